-- name: run_plan -> RunPlan
-- What a run was asked to do.
SELECT scope, recipe, dataset_hash, plan, customer_no, base_model_id
FROM training_run WHERE job_id = $1

-- name: fix_plan
-- What a run will try; fixed once.
UPDATE training_run SET plan = coalesce(plan, $2) WHERE job_id = $1

-- name: save_trial
-- How far a candidate has come, from who still holds its lease.
INSERT INTO training_trial (job_id, run_id, state)
SELECT $1, $3, $4 WHERE EXISTS (
    SELECT FROM job WHERE id = $1 AND lease_epoch = $2 AND state = 'running')
ON CONFLICT (job_id) DO UPDATE SET state = excluded.state, updated_at = now()

-- name: trial_state
-- The checkpoint of a candidate.
SELECT state FROM training_trial WHERE job_id = $1

-- name: trial_states -> TrialState
-- Weights of candidates that have ended.
SELECT job_id, state FROM training_trial WHERE job_id = ANY($1::text[])

-- name: forget_trials
-- A run that has ended needs its candidates' weights no more.
DELETE FROM training_trial WHERE run_id = $1

-- name: forget_old_trials
-- Nor does one that nobody has repeated for so long.
DELETE FROM training_trial t WHERE NOT EXISTS (
    SELECT FROM job j WHERE j.id = t.run_id
        AND (j.done_at IS NULL OR j.done_at > now() - make_interval(days => $1)))

-- name: mark_due
-- Models of these customers want to be made anew.
INSERT INTO adapt_due (customer_no)
SELECT customer_no FROM consent
WHERE customer_no = ANY($1::int[]) AND purpose = 'training' AND granted ON CONFLICT DO NOTHING

-- name: mark_adapted_due
-- A customer's model rests on the programme's: with another one it wants to be made anew.
INSERT INTO adapt_due (customer_no)
SELECT m.customer_no FROM model m JOIN customer c USING (customer_no)
WHERE m.programme_no = $1 AND m.stage = 'champion' ON CONFLICT DO NOTHING

-- name: take_due -> Due
-- Whose models are made now, the longest due first.
DELETE FROM adapt_due d USING (
    SELECT a.customer_no, c.programme_no FROM adapt_due a
    JOIN customer c USING (customer_no) JOIN programme p USING (programme_no)
    WHERE p.stale_since IS NULL AND c.deactivated_at IS NULL
      AND EXISTS (SELECT FROM model m WHERE m.programme_no = p.programme_no
          AND m.stage = 'champion' AND m.customer_no IS NULL)
      AND NOT EXISTS (SELECT FROM job j WHERE j.programme_no = p.programme_no
          AND j.kind IN ('cohort_prepare', 'train_cohort')
          AND j.state IN ('queued', 'running', 'waiting'))
    ORDER BY a.since, a.customer_no
    LIMIT greatest(0, $1::int - (SELECT count(*)::int FROM job
        WHERE kind IN ('customer_prepare', 'train_customer')
          AND state IN ('queued', 'running', 'waiting')))
    FOR UPDATE OF a SKIP LOCKED) due
WHERE d.customer_no = due.customer_no
RETURNING d.customer_no, due.programme_no, d.since
