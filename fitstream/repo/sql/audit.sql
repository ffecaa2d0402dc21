-- name: insert_entry
-- One line of the log, in the transaction that it tells of.
INSERT INTO audit (actor, actor_no, via, action, subject, customer_no, programme_no, fields)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: list_entries -> Entry
-- Entries; of named programmes only those that tell their programme.
SELECT audit_no, at, actor, actor_no, via, action, subject, customer_no, programme_no, fields
FROM audit
WHERE ($1::int[] IS NULL OR programme_no = ANY($1))
  AND ($2::text IS NULL OR action = $2)
  AND ($3::text IS NULL OR customer_no = (SELECT customer_no FROM customer WHERE id = $3))

-- name: set_lock_timeout
-- The log must not stand still behind a long transaction.
SET LOCAL lock_timeout = '1s'

-- name: lock_log
-- Conflicts with every transaction that has inserted, and with other sealers.
LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE

-- name: last_seal -> Seal
-- The newest link of the chain.
SELECT seal_no, last_no, entries, hash, mac, key_id FROM audit_seal ORDER BY seal_no DESC LIMIT 1

-- name: seals_after -> Seal
-- Links in order.
SELECT seal_no, last_no, entries, hash, mac, key_id FROM audit_seal
WHERE seal_no > $1 ORDER BY seal_no LIMIT $2

-- name: entries_after -> Entry
-- Entries in order.
SELECT audit_no, at, actor, actor_no, via, action, subject, customer_no, programme_no, fields
FROM audit WHERE audit_no > $1 AND ($2::bigint IS NULL OR audit_no <= $2)
ORDER BY audit_no LIMIT $3

-- name: oldest_unsealed
-- The first entry behind the last link.
SELECT at FROM audit
WHERE audit_no > coalesce((SELECT max(last_no) FROM audit_seal), 0) ORDER BY audit_no LIMIT 1

-- name: insert_seal
-- A link of the chain.
INSERT INTO audit_seal (seal_no, last_no, entries, hash, mac, key_id)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: newest_anchor -> Anchor
-- Up to which link the entries were dropped.
SELECT seal_no, last_no, mac, key_id FROM audit_anchor ORDER BY seal_no DESC LIMIT 1

-- name: seal_before -> Seal
-- The newest link that was made before a time.
SELECT seal_no, last_no, entries, hash, mac, key_id FROM audit_seal
WHERE at < $1 ORDER BY seal_no DESC LIMIT 1

-- name: insert_anchor
-- Entries up to a link may go from now on.
INSERT INTO audit_anchor (seal_no, last_no, mac, key_id) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING

-- name: drop_entries
-- The oldest entries up to a number.
DELETE FROM audit WHERE audit_no IN (
    SELECT audit_no FROM audit WHERE audit_no <= $1 ORDER BY audit_no LIMIT $2)
