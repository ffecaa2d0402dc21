-- name: owner_of -> Owner
-- Numbers and customer behind a device.
SELECT d.device_no, d.customer_no, c.id AS customer_id
FROM device d JOIN customer c USING (customer_no) WHERE d.id = $1

-- name: was_undone
-- Whether one of these devices is that of an upload whose rows were taken out again.
SELECT EXISTS (
    SELECT FROM device d JOIN upload u USING (upload_no)
    WHERE d.id = ANY($1::text[]) AND u.phase IN ('undoing', 'undone')
)

-- name: rows_at -> LedgerRow
-- Rows of a customer at chosen slots, perhaps of one device.
SELECT s.slot, s.device_no, d.id AS device_id, d.priority, s.tz_offset_min, s.rev, s.tie,
       s.received_s, s.src, s.steps, s.distance_m, s.calories_kcal, s.heart_rate_bpm,
       s.heart_rate_min_bpm, s.heart_rate_max_bpm, s.light_min, s.moderate_min, s.vigorous_min,
       s.sedentary_min, s.sleep_min, s.floors
FROM sample s JOIN device d USING (device_no)
WHERE s.customer_no = $1 AND s.slot = ANY($2::int[]) AND ($3::int IS NULL OR s.device_no = $3)
ORDER BY s.slot, d.priority, d.id

-- name: conflicts_at -> ConflictAt
-- Same rev, equally complete, other content: noted when the ledger merged them.
SELECT slot, device_no, rev, max(at) AS at FROM sample_conflict
WHERE customer_no = $1 AND slot = ANY($2::int[]) GROUP BY slot, device_no, rev

-- name: parked_at -> ParkedAt
-- The dead letter of one record.
SELECT state, reason FROM dead_letter
WHERE topic = $1 AND generation = $2 AND partition = $3 AND record_offset = $4

-- name: weeks_at -> WeekAt
-- Weeks that hold any of the slots, newest first.
SELECT w.week, w.start_slot, w.end_slot,
       CASE WHEN w.closed_at IS NULL THEN 'open' WHEN w.rolled_at IS NULL THEN 'closing'
            WHEN w.dirty_seq > w.rolled_seq THEN 'late' ELSE 'rolled' END AS state,
       w.current_version
FROM week_state w
WHERE w.customer_no = $1 AND EXISTS (
    SELECT FROM unnest($2::int[]) AS s (slot) WHERE s.slot >= w.start_slot AND s.slot < w.end_slot)
ORDER BY w.week DESC LIMIT $3

-- name: members_of -> MemberOf
-- Datasets that a week went into.
SELECT dataset_hash, version FROM dataset_member
WHERE customer_no = $1 AND week = $2 ORDER BY dataset_hash LIMIT $3

-- name: runs_on -> RunOn
-- Training runs on datasets, newest first.
SELECT j.id, j.state, r.dataset_hash, r.model_id, r.created_at
FROM training_run r JOIN job j ON j.id = r.job_id
WHERE r.dataset_hash = ANY($1::text[]) ORDER BY r.created_at DESC

-- name: models_on -> ModelOn
-- Models trained on datasets, newest first.
SELECT id, kind, stage, dataset_hash, object_key, created_at
FROM model WHERE dataset_hash = ANY($1::text[]) ORDER BY created_at DESC

-- name: forecasts_on -> ForecastOn
-- Latest forecasts of a customer that rest on a week.
SELECT target, version, model_id, issued_at, object_key
FROM forecast WHERE customer_no = $1 AND week = $2 ORDER BY target
