-- name: insert_run
-- A training run as planned; the same dataset and recipe run once.
INSERT INTO training_run (job_id, programme_no, scope, recipe, recipe_hash, dataset_hash, customers,
    weeks, customer_no, base_model_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING

-- name: finish_run
-- What a run found.
UPDATE training_run SET metrics = $2, model_id = $3 WHERE job_id = $1

-- name: list_runs -> Run
-- Training runs; or the one with an id.
SELECT j.id, r.scope, j.state, j.progress, r.customers, r.weeks, r.dataset_hash, r.recipe_hash,
       r.metrics, r.model_id, j.error, j.created_at, j.started_at, j.done_at,
       c.id AS customer_id, r.base_model_id
FROM training_run r JOIN job j ON j.id = r.job_id
LEFT JOIN customer c ON c.customer_no = r.customer_no
WHERE ($1::text IS NULL OR j.id = $1) AND ($2::int[] IS NULL OR r.programme_no = ANY($2))

-- name: insert_member
-- Whose weeks a dataset holds.
INSERT INTO dataset_member (dataset_hash, customer_no, week, version)
SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[]) ON CONFLICT DO NOTHING

-- name: consenting_weeks -> PinnedWeek
-- Current versions of finished weeks of the customers who consent to training; of so many of them at
-- most, chosen by a hash of their ids.
SELECT w.customer_no, c.id AS customer_id, w.week, v.version, v.content_sha, v.files
FROM week_state w JOIN customer c USING (customer_no)
JOIN consent t ON t.customer_no = c.customer_no AND t.purpose = 'training' AND t.granted
JOIN week_version v ON v.customer_no = w.customer_no AND v.week = w.week
    AND v.version = w.current_version
WHERE w.customer_no IN (
    SELECT o.customer_no FROM customer o
    JOIN consent g ON g.customer_no = o.customer_no AND g.purpose = 'training' AND g.granted
    WHERE o.programme_no = $1 AND o.deactivated_at IS NULL AND EXISTS (
        SELECT FROM week_state f WHERE f.customer_no = o.customer_no AND f.week >= $2
            AND f.closed_at IS NOT NULL AND f.current_version IS NOT NULL)
    ORDER BY md5(o.id) LIMIT $3)
  AND w.closed_at IS NOT NULL AND w.week >= $2
ORDER BY c.id, w.week

-- name: withdrawn_members
-- Whose weeks a dataset holds without a consent that stands.
SELECT count(DISTINCT m.customer_no) FROM dataset_member m
LEFT JOIN customer c USING (customer_no)
LEFT JOIN consent t ON t.customer_no = m.customer_no AND t.purpose = 'training'
WHERE m.dataset_hash = $1 AND (c.customer_no IS NULL OR t.granted IS NOT TRUE)

-- name: hold_consents
-- Of everybody in a dataset and in that of a base model, before a model of them is registered: who
-- withdraws at the same time would neither find it to flag nor be seen to be withdrawn.
SELECT count(*) FROM (
    SELECT FROM consent
    WHERE purpose = 'training' AND customer_no IN (
        SELECT d.customer_no FROM dataset_member d
        WHERE d.dataset_hash IN ($1, (SELECT b.dataset_hash FROM model b WHERE b.id = $2)))
    ORDER BY customer_no FOR SHARE) held

-- name: insert_model
-- A trained model. Since when it serves is the time of now, not of the transaction, which may have
-- begun before another one that put a model to use.
INSERT INTO model (id, programme_no, kind, stage, job_id, dataset_hash, metrics, object_key, sha256,
    customer_no, base_model_id, served_since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    CASE WHEN $4 = 'champion' THEN clock_timestamp() END)

-- name: retire_champion
-- Makes room for the next champion of a programme or of one customer.
UPDATE model SET stage = 'retired'
WHERE programme_no = $1 AND customer_no IS NOT DISTINCT FROM $2 AND stage = 'champion'

-- name: make_room
-- The same for a model that is there already.
UPDATE model old SET stage = 'retired' FROM model new
WHERE new.id = $1 AND old.programme_no = new.programme_no AND old.stage = 'champion'
  AND old.customer_no IS NOT DISTINCT FROM new.customer_no

-- name: set_stage
-- A model is promoted or retired.
UPDATE model SET stage = $2 WHERE id = $1

-- name: promote
-- Puts a model to use, for the first time or again.
UPDATE model SET stage = 'champion', served_since = clock_timestamp()
WHERE id = $1 AND stage <> 'champion'

-- name: serve_again
-- Goes back to a model that served before; since when stays, so that one can go back further.
UPDATE model SET stage = 'champion' WHERE id = $1

-- name: model_before
-- The model that served before another one, of the same programme or customer.
SELECT old.id FROM model old JOIN model new ON new.id = $1
WHERE old.programme_no = new.programme_no AND old.stage = 'retired' AND old.flagged_at IS NULL
  AND old.customer_no IS NOT DISTINCT FROM new.customer_no
  AND old.base_model_id IS NOT DISTINCT FROM new.base_model_id
  AND old.served_since < new.served_since
ORDER BY old.served_since DESC LIMIT 1

-- name: list_models -> Model
-- Models, perhaps of one scope; or the one with an id. What is counted is counted of the rows of a
-- page alone, so it must stay a value of its own.
SELECT m.id, m.programme_no, m.kind, m.stage, m.job_id, m.dataset_hash, m.metrics, m.object_key,
       m.sha256, m.created_at, c.id AS customer_id, m.base_model_id, m.flagged_at,
       (SELECT count(DISTINCT d.customer_no)::int
        FROM dataset_member d LEFT JOIN model b ON b.id = m.base_model_id
        WHERE d.dataset_hash IN (m.dataset_hash, b.dataset_hash)) AS seen_from,
       (SELECT count(DISTINCT d.customer_no)::int
        FROM dataset_member d LEFT JOIN model b ON b.id = m.base_model_id
        LEFT JOIN consent t ON t.customer_no = d.customer_no AND t.purpose = 'training'
        WHERE d.dataset_hash IN (m.dataset_hash, b.dataset_hash)
          AND t.granted IS NOT TRUE) AS withdrawn
FROM model m LEFT JOIN customer c ON c.customer_no = m.customer_no
WHERE ($1::text IS NULL OR m.id = $1) AND ($2::int[] IS NULL OR m.programme_no = ANY($2))
  AND ($3::text IS NULL OR (m.customer_no IS NULL) = ($3 = 'cohort'))

-- name: champion -> Model
-- The model in use.
SELECT m.id, m.programme_no, m.kind, m.stage, m.job_id, m.dataset_hash, m.metrics, m.object_key,
       m.sha256, m.created_at, NULL::text AS customer_id, m.base_model_id, m.flagged_at,
       0 AS seen_from, 0 AS withdrawn
FROM model m WHERE m.programme_no = $1 AND m.customer_no IS NULL AND m.stage = 'champion'
  AND (m.flagged_at IS NULL OR m.flagged_at > now() - make_interval(days => $2))

-- name: own_champions -> OwnModel
-- Customers' own models that rest on a cohort's and may serve.
SELECT customer_no, id, object_key, sha256 FROM model
WHERE base_model_id = $1 AND customer_no = ANY($2::int[]) AND stage = 'champion'
  AND (flagged_at IS NULL OR flagged_at > now() - make_interval(days => $3))

-- name: customer_weeks -> PinnedWeek
-- Current versions of finished weeks of one customer, if they consent to training.
SELECT w.customer_no, c.id AS customer_id, w.week, v.version, v.content_sha, v.files
FROM week_state w JOIN customer c USING (customer_no)
JOIN consent t ON t.customer_no = c.customer_no AND t.purpose = 'training' AND t.granted
JOIN week_version v ON v.customer_no = w.customer_no AND v.week = w.week
    AND v.version = w.current_version
WHERE c.customer_no = $1 AND c.deactivated_at IS NULL AND w.closed_at IS NOT NULL
  AND w.week >= $2
ORDER BY w.week

-- name: flag_models_of
-- Models that have seen a customer's weeks, and customers' models that rest on one that has.
UPDATE model m SET flagged_at = now()
WHERE m.flagged_at IS NULL AND EXISTS (
    SELECT FROM dataset_member d LEFT JOIN model b ON b.id = m.base_model_id
    WHERE d.customer_no = $1 AND d.dataset_hash IN (m.dataset_hash, b.dataset_hash))

-- name: flag_withdrawn
-- The same for everybody whose consent does not stand: of one model, or of all that may serve.
UPDATE model m SET flagged_at = now()
WHERE m.flagged_at IS NULL AND (m.id = $1 OR ($1::text IS NULL AND m.stage <> 'retired'))
  AND EXISTS (
    SELECT FROM dataset_member d LEFT JOIN model b ON b.id = m.base_model_id
    LEFT JOIN consent t ON t.customer_no = d.customer_no AND t.purpose = 'training'
    WHERE d.dataset_hash IN (m.dataset_hash, b.dataset_hash) AND t.granted IS NOT TRUE)

-- name: flagged_champions -> FlaggedChampion
-- Models in use for everybody that want to be trained anew.
SELECT id, programme_no FROM model
WHERE flagged_at IS NOT NULL AND stage = 'champion' AND customer_no IS NULL

-- name: retire_overdue
-- Models that have served as long as they may after they were flagged.
UPDATE model SET stage = 'retired'
WHERE flagged_at < now() - make_interval(days => $1) AND stage <> 'retired'
