-- name: account_of_customer
-- Whose login it is.
SELECT account_no FROM account WHERE customer_no = $1

-- name: end_sessions
-- All sessions of an account but the one that is kept.
DELETE FROM session WHERE account_no = $1 AND ($2::bytea IS NULL OR token_sha <> $2)

-- name: hold_session
-- Keeps a session from being ended until the transaction is over.
SELECT true FROM session WHERE token_sha = $1 FOR SHARE

-- name: end_log_ins
-- Right passwords that still wait for their second factor.
DELETE FROM login_challenge WHERE account_no = $1

-- name: end_codes
-- Codes of an account, a customer or a device; waits for one that is being exchanged.
DELETE FROM oauth_code WHERE account_no = $1::int OR customer_no = $2::int OR device_no = $3::int

-- name: end_device_codes
-- Programs on devices that were approved and have not fetched their tokens.
DELETE FROM oauth_device_code
WHERE account_no = $1::int OR customer_no = $2::int OR device_no = $3::int

-- name: end_pairings
-- Devices that were approved, or offered a code, and have no key; a removed device ends no other.
DELETE FROM pairing
WHERE $3::int IS NULL AND customer_no IS NOT NULL AND customer_no IN (
    $2::int, (SELECT a.customer_no FROM account a WHERE a.account_no = $1::int))

-- name: revoke_grants
-- OAuth grants of an account, a customer or a device; their tokens fail at the next use.
UPDATE oauth_family SET revoked_at = now(), reason = $4
WHERE revoked_at IS NULL
  AND (account_no = $1::int OR customer_no = $2::int OR device_no = $3::int)

-- name: touch_keys
-- Keys whose owner changed: caches read them again.
UPDATE api_key SET changed = $4
WHERE account_no = $1::int OR device_no = $3::int
   OR device_no IN (SELECT device_no FROM device WHERE customer_no = $2::int)

-- name: list_sessions -> OwnSession
-- Live sessions of an account after (last seen, id), the one used last first; or the one with an id.
SELECT s.id, s.token_sha, s.agent, s.created_at, s.last_seen_at, s.expires_at
FROM session s JOIN account a USING (account_no)
WHERE s.account_no = $1 AND s.expires_at > $2
  AND s.last_seen_at > $2 - make_interval(secs => CASE WHEN a.role = 'customer' THEN $4::float8 ELSE $3::float8 END)
  AND ($5::timestamptz IS NULL OR (s.last_seen_at, s.id) < ($5, $6::text))
  AND ($7::text IS NULL OR s.id = $7)
ORDER BY s.last_seen_at DESC, s.id DESC LIMIT $8

-- name: end_session
-- One session by its public id.
DELETE FROM session WHERE account_no = $1 AND id = $2
