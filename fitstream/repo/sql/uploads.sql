-- name: insert_upload
-- A file that was stored, about to be checked.
INSERT INTO upload (id, programme_no, customer_no, created_by, name, format, size, sha256,
                    object_key, priority, phase)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'checking')

-- name: list_uploads -> Upload
-- Uploads: one by id and owner, those of an owner, or those with rows of one customer.
SELECT * FROM (
    SELECT u.upload_no, u.id, p.id AS programme, u.programme_no, u.customer_no, c.id AS customer,
           u.created_by, u.name, u.format, u.size, u.sha256, u.object_key, u.priority, u.phase,
           CASE WHEN u.phase IN ('checking', 'ingesting', 'undoing')
                     AND j.state IN ('failed', 'cancelled') THEN j.state ELSE u.phase END AS state,
           u.job_id, j.error, coalesce(j.progress, '{}') AS progress,
           coalesce(j.cancel_requested, false) AS cancel_requested,
           m.name AS mapping, m.version AS mapping_version, u.spec, u.head, u.report, u.result,
           u.sent, u.removed,
           (SELECT count(*) FROM device d WHERE d.upload_no = u.upload_no)::int AS devices,
           u.created_at, u.checked_at, u.ingested_at, u.undone_at
    FROM upload u JOIN programme p USING (programme_no)
    LEFT JOIN customer c ON c.customer_no = u.customer_no
    LEFT JOIN job j ON j.id = u.job_id LEFT JOIN schema_mapping m USING (mapping_no)
    WHERE ($5::int[] IS NULL OR u.programme_no = ANY($5))
      AND ($1::text IS NULL OR u.id = $1) AND ($2::text IS NULL OR c.id = $2)
      AND ($3::text IS NULL OR c.id = $3 OR EXISTS (
          SELECT FROM device d JOIN customer o ON o.customer_no = d.customer_no
          WHERE d.upload_no = u.upload_no AND o.id = $3))
) AS found
WHERE ($4::text IS NULL OR state = $4)
  AND ($6::text IS NULL OR position(lower($6) IN lower(name)) > 0)

-- name: same_file
-- The newest other upload of the same bytes that is in the ledger.
SELECT id FROM upload WHERE programme_no = $1 AND sha256 = $2 AND id <> $3
  AND phase IN ('ingesting', 'ingested') ORDER BY created_at DESC LIMIT 1

-- name: start_phase
-- Hands an upload to a job, if it is in a state from which that may begin.
UPDATE upload u SET phase = $2, job_id = $3 WHERE u.upload_no = $1 AND (
    CASE WHEN u.phase IN ('checking', 'ingesting', 'undoing')
         THEN coalesce((SELECT CASE WHEN j.state IN ('failed', 'cancelled')
                                    THEN u.phase || '_' || j.state ELSE u.phase END
                        FROM job j WHERE j.id = u.job_id), u.phase || '_new')
         ELSE u.phase END) = ANY($4::text[])

-- name: set_mapping
-- How the file is to be read.
UPDATE upload SET mapping_no = $2, spec = $3 WHERE upload_no = $1

-- name: set_head
-- What the file begins with.
UPDATE upload SET head = $2 WHERE upload_no = $1

-- name: set_object
-- Where what is kept of the file lies.
UPDATE upload SET object_key = $2 WHERE upload_no = $1

-- name: end_check
-- The verdict on the file, or the wish for a mapping.
UPDATE upload SET phase = $2, report = $3, checked_at = now()
WHERE upload_no = $1 AND phase = 'checking'

-- name: note_sent
-- Rows of the file that Kafka has; only who holds the job may say so.
UPDATE upload u SET sent = greatest(sent, $2), result = $3 FROM job j
WHERE u.upload_no = $1 AND u.phase = 'ingesting' AND j.id = $4 AND j.lease_epoch = $5
  AND j.state = 'running' AND u.job_id = j.id

-- name: end_ingest
-- Every accepted row is in Kafka.
UPDATE upload SET phase = 'ingested', ingested_at = now()
WHERE upload_no = $1 AND phase = 'ingesting'

-- name: end_undo
-- Nothing of it lies in the ledger any more.
UPDATE upload SET phase = 'undone', undone_at = now() WHERE upload_no = $1 AND phase = 'undoing'

-- name: end_delete
-- What it held is gone; its objects go next, and then their name.
UPDATE upload SET phase = CASE WHEN phase = 'undone' THEN 'undone' ELSE 'deleted' END,
    head = '{}', report = '{}', name = '' WHERE upload_no = $1

-- name: wearers_of -> WearerRow
-- Customers that a file names, by id or external id.
SELECT CASE WHEN $2::text = 'id' THEN id ELSE external_id END AS key, customer_no, id, zone,
       deactivated_at IS NULL AS is_active
FROM customer WHERE programme_no = $1
  AND CASE WHEN $2::text = 'id' THEN id ELSE external_id END = ANY($3::text[])

-- name: wearer_no -> WearerRow
-- The one customer of an upload.
SELECT '' AS key, customer_no, id, zone, deactivated_at IS NULL AS is_active FROM customer WHERE customer_no = $1

-- name: rows_at -> ThereRow
-- What all devices say of some slots, best device first, tombstones left out.
SELECT s.customer_no, s.slot, d.priority, s.steps, s.distance_m, s.calories_kcal,
       s.heart_rate_bpm, s.heart_rate_min_bpm, s.heart_rate_max_bpm, s.light_min, s.moderate_min,
       s.vigorous_min, s.sedentary_min, s.sleep_min, s.floors
FROM (SELECT DISTINCT * FROM unnest($1::int[], $2::int[]) AS u (customer_no, slot)) AS k
JOIN sample s ON s.customer_no = k.customer_no AND s.slot = k.slot
JOIN device d ON d.device_no = s.device_no
WHERE s.tie >> 59 <> 15 ORDER BY s.customer_no, s.slot, d.priority, d.id

-- name: insert_device
-- The device of an upload with one customer; refused posts from the start, as it has no key.
INSERT INTO device (id, customer_no, kind, name, priority, upload_no, removed_at)
VALUES ($1, $2, 'upload', $3, $4, $5, now())
ON CONFLICT (upload_no, customer_no) WHERE upload_no IS NOT NULL DO NOTHING

-- name: devices_of -> UploadDevice
-- Devices of an upload, perhaps of one customer.
SELECT d.device_no, d.id, d.customer_no, c.id AS customer
FROM device d JOIN customer c USING (customer_no)
WHERE d.upload_no = $1 AND ($2::int IS NULL OR d.customer_no = $2) ORDER BY d.customer_no

-- name: lock_zones
-- Waits for chunks of the customer that are being written, and holds off a move.
SELECT FROM customer_zone WHERE customer_no = $1 FOR UPDATE

-- name: delete_samples
-- What a device put into the ledger.
DELETE FROM sample WHERE customer_no = $1 AND device_no = $2

-- name: delete_rejects
-- What was refused of it.
DELETE FROM slot_reject WHERE customer_no = $1 AND device_no = $2

-- name: delete_conflicts
-- Where it disagreed with itself.
DELETE FROM sample_conflict WHERE customer_no = $1 AND device_no = $2

-- name: recount_customer
-- Lists and checks count what is there.
UPDATE customer_stat t SET samples = samples - $2,
    first_slot = (SELECT min(slot) FROM sample s WHERE s.customer_no = $1),
    last_slot = (SELECT max(slot) FROM sample s WHERE s.customer_no = $1)
WHERE t.customer_no = $1

-- name: add_removed
-- Rows that undoing took out, for the sums of `verify`.
UPDATE upload SET removed = removed + $2 WHERE upload_no = $1

-- name: ledger_positions -> Position
-- How far the ledger has read.
SELECT partition, next_offset FROM ingest_progress WHERE generation = $1

-- name: objects_of_customer -> _Prefix
-- Files with rows of a customer, its own and those of many.
SELECT object_key FROM upload u WHERE object_key <> '' AND (u.customer_no = $1 OR EXISTS (
    SELECT FROM device d WHERE d.upload_no = u.upload_no AND d.customer_no = $1))
