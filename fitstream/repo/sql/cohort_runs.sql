-- name: hold_programme
-- Who serves, and whether a run is under way, is settled by one transaction after the other.
SELECT programme_no FROM programme WHERE programme_no = $1 FOR NO KEY UPDATE

-- name: run_under_way
-- The cohort run of a programme that is prepared, waits or is trained now, other than one of them.
SELECT id FROM job
WHERE programme_no = $1 AND kind IN ('cohort_prepare', 'train_cohort')
  AND state IN ('queued', 'running', 'waiting') AND NOT id = ANY($2::text[])
ORDER BY created_at, id LIMIT 1

-- name: serving
-- The id of the model that is in use for everybody, whether or not it may serve much longer.
SELECT id FROM model WHERE programme_no = $1 AND customer_no IS NULL AND stage = 'champion'

-- name: programme_of
-- Whose cohort a job trains or prepares; no row for any other job.
SELECT programme_no FROM job WHERE id = $1 AND kind IN ('cohort_prepare', 'train_cohort')
