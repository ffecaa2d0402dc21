-- name: forget_expired
-- Pairings that nobody can finish any more.
DELETE FROM pairing WHERE expires_at < $1

-- name: count_open
-- Pairings under way.
SELECT count(*) FROM pairing

-- name: insert_pairing
-- A pairing that begins; only hashes of its codes are stored.
INSERT INTO pairing (code_sha, device_sha, kind, name, app_version, customer_no, state, interval_s,
                     created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: find_pending -> Pairing
-- The device that shows this code, while it waits for its person.
SELECT p.code_sha, p.kind, p.name, p.app_version, p.customer_no, p.state, p.interval_s, p.polled_at,
       p.created_at, p.expires_at
FROM pairing p WHERE p.code_sha = $1 AND p.state = 'pending' AND p.expires_at > $2 FOR UPDATE

-- name: settle
-- A person has decided.
UPDATE pairing SET state = $2, customer_no = $3, name = $4 WHERE code_sha = $1

-- name: find_polled -> Pairing
-- The pairing of a device that asks; locked, so that of two at once one gets the key.
SELECT p.code_sha, p.kind, p.name, p.app_version, p.customer_no, p.state, p.interval_s, p.polled_at,
       p.created_at, p.expires_at
FROM pairing p WHERE p.device_sha = $1 FOR UPDATE

-- name: note_poll
-- When the device asked last, and how long it has to wait between two questions.
UPDATE pairing SET polled_at = $2, interval_s = $3 WHERE code_sha = $1

-- name: take_offer -> Pairing
-- A code that a customer's page shows, used up.
DELETE FROM pairing p WHERE p.code_sha = $1 AND p.state = 'offered' AND p.expires_at > $2
RETURNING p.code_sha, p.kind, p.name, p.app_version, p.customer_no, p.state, p.interval_s,
          p.polled_at, p.created_at, p.expires_at

-- name: forget
-- A pairing that has ended.
DELETE FROM pairing WHERE code_sha = $1

-- name: is_active
-- Whether a customer may get another device.
SELECT deactivated_at IS NULL FROM customer WHERE customer_no = $1
