-- name: list_dead_letters -> DeadLetter
-- Dead letters without their bytes, perhaps of one state or reason; or the one with an id.
SELECT id, topic, generation, partition, record_offset, reason, detail, key,
       octet_length(value) AS size, state, at, settled_at, settled_by
FROM dead_letter
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR reason = $2)
  AND ($3::int[] IS NULL OR encode(key, 'escape') IN (
      SELECT c.id FROM customer c WHERE c.programme_no = ANY($3)))
  AND ($4::bigint IS NULL OR id = $4)

-- name: reason_counts -> ReasonCount
-- How many there are of each reason, perhaps of one state only.
SELECT reason, count(*) AS count FROM dead_letter
WHERE ($1::text IS NULL OR state = $1)
  AND ($2::int[] IS NULL OR encode(key, 'escape') IN (
      SELECT c.id FROM customer c WHERE c.programme_no = ANY($2)))
GROUP BY reason ORDER BY count DESC, reason

-- name: value_of
-- The original bytes of one.
SELECT value FROM dead_letter WHERE id = $1

-- name: lock_state
-- The state of one, held until the caller's transaction ends.
SELECT state FROM dead_letter WHERE id = $1 FOR UPDATE

-- name: settle
-- One that is not parked any more: since when, and by whom.
UPDATE dead_letter SET state = $2, settled_at = now(), settled_by = $3
WHERE id = $1 AND state = 'parked'

-- name: keep_parked
-- Why it could not be applied this time either.
UPDATE dead_letter SET reason = $2, detail = $3 WHERE id = $1 AND state = 'parked'
