-- name: insert_run
-- A training run as planned; the same dataset and recipe run once.
INSERT INTO training_run (job_id, programme_no, scope, recipe, recipe_hash, dataset_hash, customers, weeks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING

-- name: finish_run
-- What a run found.
UPDATE training_run SET metrics = $2, model_id = $3 WHERE job_id = $1

-- name: list_runs -> Run
-- Runs, newest first.
SELECT j.id, r.scope, j.state, j.progress, r.customers, r.weeks, r.dataset_hash, r.recipe_hash,
       r.metrics, r.model_id, j.error, j.created_at, j.started_at, j.done_at
FROM training_run r JOIN job j ON j.id = r.job_id
WHERE ($1::timestamptz IS NULL OR (j.created_at, j.id) < ($1, $2)) AND ($3::text IS NULL OR j.id = $3)
  AND ($5::int[] IS NULL OR r.programme_no = ANY($5))
ORDER BY j.created_at DESC, j.id DESC LIMIT $4

-- name: insert_member
-- Whose weeks a dataset holds.
INSERT INTO dataset_member (dataset_hash, customer_no, week, version)
SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[]) ON CONFLICT DO NOTHING

-- name: consenting_weeks -> PinnedWeek
-- Current versions of finished weeks of the customers who consent to training.
SELECT w.customer_no, c.id AS customer_id, w.week, v.version, v.content_sha, v.files
FROM week_state w JOIN customer c USING (customer_no)
JOIN consent t ON t.customer_no = c.customer_no AND t.purpose = 'training' AND t.granted
JOIN week_version v ON v.customer_no = w.customer_no AND v.week = w.week
    AND v.version = w.current_version
WHERE c.programme_no = $1 AND c.deactivated_at IS NULL AND w.closed_at IS NOT NULL
  AND w.week >= $2
ORDER BY c.id, w.week

-- name: withdrawn_members
-- Whose weeks a dataset holds without a consent that stands.
SELECT count(DISTINCT m.customer_no) FROM dataset_member m
LEFT JOIN customer c USING (customer_no)
LEFT JOIN consent t ON t.customer_no = m.customer_no AND t.purpose = 'training'
WHERE m.dataset_hash = $1 AND (c.customer_no IS NULL OR t.granted IS NOT TRUE)

-- name: insert_model
-- A trained model.
INSERT INTO model (id, programme_no, kind, stage, job_id, dataset_hash, metrics, object_key, sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: retire_champion
-- Makes room for the next champion.
UPDATE model SET stage = 'retired' WHERE programme_no = $1 AND stage = 'champion'

-- name: set_stage
-- A model is promoted or retired.
UPDATE model SET stage = $2 WHERE id = $1

-- name: list_models -> Model
-- Models, newest first.
SELECT id, programme_no, kind, stage, job_id, dataset_hash, metrics, object_key, sha256, created_at
FROM model
WHERE ($1::timestamptz IS NULL OR (created_at, id) < ($1, $2)) AND ($3::text IS NULL OR id = $3)
  AND ($5::int[] IS NULL OR programme_no = ANY($5))
ORDER BY created_at DESC, id DESC LIMIT $4

-- name: champion -> Model
-- The model in use.
SELECT id, programme_no, kind, stage, job_id, dataset_hash, metrics, object_key, sha256, created_at
FROM model WHERE programme_no = $1 AND stage = 'champion'

-- name: forecast_customers -> ForecastCustomer
-- Whom to forecast: active customers of a programme with any data, or the ones named.
SELECT c.customer_no, c.id, c.zone, s.last_slot,
       w.week, w.current_version AS version
FROM customer c JOIN customer_stat s USING (customer_no)
LEFT JOIN LATERAL (
    SELECT week, current_version FROM week_state
    WHERE customer_no = c.customer_no AND current_version IS NOT NULL
    ORDER BY week DESC LIMIT 1) w ON true
WHERE c.programme_no = $1 AND c.deactivated_at IS NULL
  AND ($2::int[] IS NULL OR c.customer_no = ANY($2)) AND s.last_slot IS NOT NULL
ORDER BY c.customer_no

-- name: upsert_forecast
-- The latest forecast per target; an older one never replaces a newer.
INSERT INTO forecast AS f (customer_no, target, issued_at, model_id, week, version, data_through,
                           start_slot, basis, quantiles, object_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (customer_no, target) DO UPDATE SET
    issued_at = excluded.issued_at, model_id = excluded.model_id, week = excluded.week,
    version = excluded.version, data_through = excluded.data_through,
    start_slot = excluded.start_slot, basis = excluded.basis, quantiles = excluded.quantiles,
    object_key = excluded.object_key
WHERE f.issued_at <= excluded.issued_at

-- name: forecast_of -> Forecast
-- The latest forecast of a customer.
SELECT f.target, f.issued_at, f.model_id, m.kind AS model_kind, f.week, f.version, f.data_through,
       f.start_slot, f.basis, f.quantiles
FROM forecast f JOIN model m ON m.id = f.model_id WHERE f.customer_no = $1 AND f.target = $2
