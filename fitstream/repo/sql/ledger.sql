-- name: hold_zones
-- Customers of these devices cannot move until this chunk is in; a statement of its own, so that
-- the next one sees the zone of a move that it waited for.
SELECT FROM customer_zone z WHERE z.customer_no IN (
    SELECT d.customer_no FROM device d WHERE d.id = ANY($1::text[]))
ORDER BY z.customer_no, z.from_week FOR SHARE OF z

-- name: device_zones -> DeviceZone
-- Numbers and home zones behind the devices that a chunk names (removed ones keep theirs).
SELECT d.id AS device_id, d.device_no, c.id AS customer_id, c.customer_no, z.from_week, z.zone,
       d.upload_no IS NOT NULL AS is_upload
FROM device d JOIN customer c USING (customer_no) JOIN customer_zone z USING (customer_no)
WHERE d.id = ANY($1::text[]) ORDER BY customer_no, d.device_no, z.from_week

-- name: hold_uploads
-- Uploads of these devices cannot be undone until this chunk is in; a statement of its own, so that
-- the next one sees what it waited for.
SELECT FROM upload u WHERE u.upload_no IN (
    SELECT d.upload_no FROM device d WHERE d.id = ANY($1::text[]))
ORDER BY u.upload_no FOR SHARE OF u

-- name: undone_devices -> Undone
-- Devices whose upload was undone: what the topic still has of them is passed over.
SELECT d.id AS device_id FROM device d JOIN upload u USING (upload_no)
WHERE d.id = ANY($1::text[]) AND u.phase IN ('undoing', 'undone')

-- name: create_stage
-- Stage of one chunk: the columns of `sample` without index or log.
CREATE TEMPORARY TABLE IF NOT EXISTS stage (LIKE sample) ON COMMIT DELETE ROWS

-- name: upsert_stage -> Upserted
-- The merge rule in one statement: the larger (rev, tie) stays. Returns what changed, by week.
WITH up AS (
    INSERT INTO sample SELECT * FROM stage ORDER BY customer_no, slot, device_no
    ON CONFLICT (customer_no, slot, device_no) DO UPDATE SET
        tie = excluded.tie, src = excluded.src, rev = excluded.rev,
        received_s = excluded.received_s, distance_m = excluded.distance_m,
        calories_kcal = excluded.calories_kcal, tz_offset_min = excluded.tz_offset_min,
        steps = excluded.steps, heart_rate_bpm = excluded.heart_rate_bpm,
        heart_rate_min_bpm = excluded.heart_rate_min_bpm,
        heart_rate_max_bpm = excluded.heart_rate_max_bpm, light_min = excluded.light_min,
        moderate_min = excluded.moderate_min, vigorous_min = excluded.vigorous_min,
        sedentary_min = excluded.sedentary_min, sleep_min = excluded.sleep_min,
        floors = excluded.floors
    WHERE (excluded.rev, excluded.tie) > (sample.rev, sample.tie)
    RETURNING new.customer_no, new.slot, (old.slot IS NULL) AS inserted
), bounds AS (
    SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::int[])
        AS w (customer_no, week, start_slot, end_slot)
)
SELECT w.customer_no, w.week,
       count(*) FILTER (WHERE inserted)::int AS inserted,
       count(*) FILTER (WHERE NOT inserted)::int AS updated
FROM up JOIN bounds w ON w.customer_no = up.customer_no
    AND up.slot >= w.start_slot AND up.slot < w.end_slot
GROUP BY w.customer_no, w.week

-- name: find_conflicts
-- Same rev and equally complete, other content: worth a record before the merge decides.
INSERT INTO sample_conflict (customer_no, slot, device_no, rev, kept_tie, other_tie, src)
SELECT s.customer_no, s.slot, s.device_no, s.rev,
       greatest(s.tie, g.tie), least(s.tie, g.tie), g.src
FROM stage g JOIN sample s USING (customer_no, slot, device_no)
WHERE s.rev = g.rev AND s.tie <> g.tie AND s.tie >> 59 = g.tie >> 59
ON CONFLICT DO NOTHING

-- name: note_conflicts
-- The same between two rows of one chunk, of which only one reaches the stage.
INSERT INTO sample_conflict (customer_no, slot, device_no, rev, kept_tie, other_tie, src)
SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::bigint[], $6::bigint[],
                     $7::bigint[])
ON CONFLICT DO NOTHING

-- name: mark_weeks_dirty
-- One step of dirty_seq for every week that changed in this chunk.
INSERT INTO week_state AS w (customer_no, week, start_slot, end_slot)
SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::int[]) AS u (customer_no, week, s, e)
ORDER BY customer_no, week
ON CONFLICT (customer_no, week) DO UPDATE SET
    first_dirty_at = CASE WHEN w.dirty_seq = w.rolled_seq THEN now() ELSE w.first_dirty_at END,
    last_changed_at = now(), dirty_seq = w.dirty_seq + 1

-- name: move_progress
-- Moves a partition from exactly where this chunk begins; no row changed means a stale consumer.
UPDATE ingest_progress SET
    next_offset = $4, last_batch_id = $5, records = records + $6, samples = samples + $7,
    inserted = inserted + $8, updated = updated + $9, newest_at = greatest(newest_at, $10)
WHERE generation = $1 AND partition = $2 AND next_offset = $3
