-- name: spent_datasets -> Dataset
-- Which of some datasets may go: no run on them is under way, and somebody in them has withdrawn, or
-- no run of late has used them, or none ever did.
SELECT u.programme_no, u.dataset_hash
FROM unnest($1::int[], $2::text[], $3::timestamptz[]) AS u (programme_no, dataset_hash, written_at)
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM job p WHERE p.programme_no = u.programme_no
            AND p.kind IN ('cohort_prepare', 'customer_prepare')
            AND p.state IN ('queued', 'running', 'waiting')) AS any_kind,
        EXISTS (SELECT FROM job p WHERE p.programme_no = u.programme_no
            AND p.kind = 'cohort_prepare' AND p.payload->>'dataset' = u.dataset_hash
            AND p.state IN ('queued', 'running', 'waiting')) AS of_this) preparation
LEFT JOIN LATERAL (
    SELECT bool_or(j.state IN ('queued', 'running', 'waiting')) AS under_way,
        max(coalesce(j.done_at, j.created_at)) AS last_at
    FROM training_run r JOIN job j ON j.id = r.job_id
    WHERE r.dataset_hash = u.dataset_hash) run ON true
WHERE run.under_way IS NOT TRUE AND NOT preparation.of_this
  AND (EXISTS (SELECT FROM dataset_member m
            LEFT JOIN consent t ON t.customer_no = m.customer_no AND t.purpose = 'training'
            WHERE m.dataset_hash = u.dataset_hash AND t.granted IS NOT TRUE)
       OR (NOT preparation.any_kind AND greatest(u.written_at, run.last_at) < $4::timestamptz)
       OR (NOT preparation.any_kind AND run.last_at IS NULL AND u.written_at < $5::timestamptz))
ORDER BY u.programme_no, u.dataset_hash

-- name: unregistered_models -> ModelId
-- Names of models in S3 that the registry does not know.
SELECT u.id FROM unnest($1::text[]) AS u (id)
WHERE NOT EXISTS (SELECT FROM model m WHERE m.id = u.id) ORDER BY u.id
