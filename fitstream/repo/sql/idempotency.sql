-- name: take
-- Whether this transaction is the only one with that key; the lock ends with it.
SELECT pg_try_advisory_xact_lock($1::int, $2::int)

-- name: kept_answer -> KeptAnswer
-- What was answered to an earlier call with the key, if it is not too old.
SELECT call_sha, answer FROM idempotency
WHERE key_sha = $1 AND created_at > now() - make_interval(secs => $2)

-- name: keep_answer
-- Keeps an answer; one that is too old gives way.
INSERT INTO idempotency (key_sha, call_sha, answer) VALUES ($1, $2, $3)
ON CONFLICT (key_sha) DO UPDATE
SET call_sha = excluded.call_sha, answer = excluded.answer, created_at = now()

-- name: forget_answers
-- Removes what is too old.
DELETE FROM idempotency WHERE created_at < now() - make_interval(secs => $1)
