-- name: insert_job
-- A job that must be done; a repeat of its dedupe key adds nothing.
INSERT INTO job (id, parent_id, kind, queue, dedupe_key, programme_no, customer_no, payload, run_after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, now()))
ON CONFLICT (dedupe_key) DO NOTHING RETURNING id

-- name: job_by_dedupe_key
-- The job that a key stands for.
SELECT id FROM job WHERE dedupe_key = $1

-- name: due_jobs -> DueJob
-- Queued jobs whose time has come and running ones whose lease is over, not told for a while.
SELECT id, kind, queue, lease_epoch FROM job
WHERE ((state = 'queued' AND run_after <= now()) OR (state = 'running' AND lease_until < now()))
  AND queue <> 'none' AND (sent_at IS NULL OR sent_at < now() - make_interval(secs => $1))
ORDER BY run_after LIMIT 200

-- name: mark_sent
-- arq was told of these.
UPDATE job SET sent_at = now() WHERE id = ANY($1::text[])

-- name: claim_job -> ClaimedJob
-- Takes a job that is due, or whose worker is gone; no row means: not for you.
UPDATE job j SET state = 'running', lease_owner = $2, lease_epoch = j.lease_epoch + 1,
    lease_until = now() + make_interval(secs => $3), attempts = j.attempts + 1,
    started_at = coalesce(j.started_at, now()), error = NULL
FROM (SELECT id, state = 'running' AS is_taken_over FROM job
    WHERE id = $1 AND ((state = 'queued' AND run_after <= now())
        OR (state = 'running' AND lease_until < now())) FOR UPDATE) due
WHERE j.id = due.id
RETURNING j.id, j.kind, j.programme_no, j.customer_no, j.payload, j.lease_epoch, j.attempts,
    j.cancel_requested, due.is_taken_over, j.waits, j.parent_id, j.started_at

-- name: renew_job
-- Keeps the lease and stores progress; returns whether somebody asked to cancel.
UPDATE job SET lease_until = now() + make_interval(secs => $3), progress = coalesce($4, progress)
WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING cancel_requested

-- name: finish_job
-- Ends a job; only who still holds the lease may.
UPDATE job SET state = $3, result = $4, error = $5, done_at = now(), lease_owner = NULL,
    lease_until = NULL
WHERE id = $1 AND lease_epoch = $2 AND state = 'running'

-- name: retry_job_later
-- Puts a job back after an error that may pass.
UPDATE job SET state = 'queued', run_after = now() + make_interval(secs => $3), error = $4,
    lease_owner = NULL, lease_until = NULL, sent_at = NULL
WHERE id = $1 AND lease_epoch = $2 AND state = 'running'

-- name: wait_for_service
-- Puts a job back that a service kept from its work: no attempt is spent, but the waits count.
UPDATE job SET state = 'queued', run_after = now() + make_interval(secs => $3), error = $4,
    lease_owner = NULL, lease_until = NULL, sent_at = NULL, attempts = greatest(attempts - 1, 0),
    waits = waits + 1
WHERE id = $1 AND lease_epoch = $2 AND state = 'running'

-- name: give_back
-- A worker that stops leaves its job to the next one, as if it had never taken it.
UPDATE job SET state = 'queued', run_after = now(), lease_owner = NULL, lease_until = NULL,
    sent_at = NULL, attempts = greatest(attempts - 1, 0)
WHERE id = $1 AND lease_epoch = $2 AND state = 'running'

-- name: complete_roll_job
-- The roller completes a roll that was asked for by hand.
UPDATE job SET state = 'succeeded', result = $2, done_at = now(),
    started_at = coalesce(started_at, now())
WHERE id = $1 AND state IN ('queued', 'running')

-- name: request_cancel
-- A queued job is cancelled at once, a running one is asked to stop.
UPDATE job SET cancel_requested = true,
    state = CASE WHEN state IN ('queued', 'waiting') THEN 'cancelled' ELSE state END,
    done_at = CASE WHEN state IN ('queued', 'waiting') THEN now() ELSE done_at END
WHERE id = $1 AND state IN ('queued', 'running', 'waiting')

-- name: forget_forced_roll
-- The roller need not roll this week by hand any more.
UPDATE week_state SET forced_job_id = NULL WHERE forced_job_id = $1

-- name: requeue
-- Runs a failed or cancelled job again, from its beginning.
UPDATE job SET state = 'queued', run_after = now(), sent_at = NULL, cancel_requested = false,
    error = NULL, started_at = NULL, done_at = NULL, attempts = 0, waits = 0, result = '{}'
WHERE id = $1 AND state IN ('failed', 'cancelled')

-- name: prune_jobs
-- Forgets jobs of these kinds that ended well long ago and that nothing refers to.
DELETE FROM job WHERE id IN (
    SELECT j.id FROM job j
    WHERE j.state IN ('succeeded', 'cancelled') AND j.kind = ANY($1::text[])
      AND j.done_at < now() - make_interval(days => $2)
      AND NOT EXISTS (SELECT FROM job c WHERE c.parent_id = j.id)
    ORDER BY j.done_at LIMIT $3 FOR UPDATE SKIP LOCKED)

-- name: list_jobs -> Job
-- Jobs, perhaps of one state or kind; or the one with an id.
SELECT id, parent_id, kind, queue, state, payload, progress, result, attempts, error,
       cancel_requested, created_at, started_at, done_at, run_after
FROM job
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2)
  AND ($3::text IS NULL OR id = $3) AND ($4::int[] IS NULL OR programme_no = ANY($4))

-- name: take_finished_weeks -> FinishedWeek
-- Finished weeks that nobody has looked at: their programmes are stale now.
UPDATE job SET state = 'succeeded', started_at = now(), done_at = now()
WHERE id IN (SELECT id FROM job WHERE kind = 'week_finished' AND state = 'queued'
             ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
RETURNING programme_no, customer_no

-- name: mark_stale
-- A programme has weeks that its model has not seen.
UPDATE programme SET stale_since = coalesce(stale_since, now()), stale_last = now()
WHERE programme_no = ANY($1::int[])

-- name: quiet_programmes -> QuietProgramme
-- Stale programmes that are quiet, or have waited long enough; nobody else looks at them meanwhile.
SELECT programme_no, stale_since FROM programme
WHERE stale_since IS NOT NULL
  AND now() >= least(stale_last + make_interval(secs => $1), stale_since + make_interval(secs => $2))
ORDER BY programme_no FOR NO KEY UPDATE SKIP LOCKED

-- name: mark_fresh
-- A programme's training is planned: it is stale again with the next week.
UPDATE programme SET stale_since = NULL, stale_last = NULL WHERE programme_no = $1

-- name: programmes -> ProgrammeNo
-- All programmes, for nightly work.
SELECT programme_no FROM programme ORDER BY programme_no

-- name: claimed_job -> ClaimedJob
-- A job as its worker holds it, for the child process that does it.
SELECT id, kind, programme_no, customer_no, payload, lease_epoch, attempts, cancel_requested,
    false AS is_taken_over, waits, parent_id, started_at
FROM job WHERE id = $1 AND lease_epoch = $2 AND state = 'running'

-- name: forget_letter
-- What was in a letter, when it has been sent or given up.
UPDATE job SET payload = payload - 'sealed' WHERE id = $1

-- name: forget_letters
-- The same for letters whose worker could not do it.
UPDATE job SET payload = payload - 'sealed'
WHERE kind = 'mail' AND payload ? 'sealed' AND state IN ('failed', 'cancelled', 'succeeded')

-- name: widen_forecast
-- Adds customers to a programme's forecast of all horizons that nobody has begun; no row when there
-- is none.
UPDATE job j SET payload = jsonb_set(j.payload, '{customers}', (
    SELECT jsonb_agg(DISTINCT number ORDER BY number)
    FROM jsonb_array_elements(j.payload->'customers' || $2::jsonb) AS number))
FROM (SELECT id FROM job
    WHERE kind = 'forecast' AND programme_no = $1 AND state = 'queued' AND started_at IS NULL
      AND jsonb_typeof(payload->'customers') = 'array' AND NOT payload ? 'horizons'
    ORDER BY created_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED) waiting
WHERE j.id = waiting.id RETURNING j.id

-- name: hold_parent
-- A parent that waits, until this transaction ends.
SELECT id FROM job WHERE id = $1 AND state = 'waiting' FOR UPDATE

-- name: wait_for_children
-- A job leaves its worker until its children have ended; not one that was to be cancelled.
UPDATE job SET state = 'waiting', progress = $3, attempts = 0, waits = 0, lease_owner = NULL,
    lease_until = NULL
WHERE id = $1 AND lease_epoch = $2 AND state = 'running' AND NOT cancel_requested

-- name: child_ended
-- Counts a child of a waiting parent; the last one, or one that has not succeeded, queues it again.
UPDATE job p SET
    progress = p.progress || jsonb_build_object('candidates', (
        SELECT count(*) FROM job c WHERE c.parent_id = p.id AND c.state = 'succeeded')),
    (state, run_after, sent_at) = (
        SELECT CASE WHEN over THEN 'queued' ELSE p.state END,
            CASE WHEN over THEN now() ELSE p.run_after END,
            CASE WHEN over THEN NULL ELSE p.sent_at END
        FROM (SELECT $2::text <> 'succeeded' OR NOT EXISTS (
            SELECT FROM job c WHERE c.parent_id = p.id
                AND c.state IN ('queued', 'running', 'waiting')) AS over) ended)
WHERE p.id = $1 AND p.state = 'waiting'

-- name: children_of -> Child
-- The children of a job.
SELECT id, kind, state, payload, progress, result, error FROM job WHERE parent_id = $1
ORDER BY created_at, id

-- name: cancel_children
-- What is queued below a job is cancelled, what runs is asked to stop.
UPDATE job SET cancel_requested = true,
    state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END,
    done_at = CASE WHEN state = 'running' THEN done_at ELSE now() END
WHERE parent_id = $1 AND state IN ('queued', 'running', 'waiting')

-- name: requeue_children
-- Children that failed or were cancelled run again with their parent.
UPDATE job SET state = 'queued', run_after = now(), sent_at = NULL, cancel_requested = false,
    error = NULL, done_at = NULL, attempts = 0, waits = 0, result = '{}'
WHERE parent_id = $1 AND kind = 'train_candidate' AND state IN ('failed', 'cancelled')

-- name: wait_again
-- A job that was put back, but must wait for its children first.
UPDATE job SET state = 'waiting' WHERE id = $1 AND state = 'queued'
