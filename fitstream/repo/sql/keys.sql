-- name: counter
-- The value that every change of a key raises.
SELECT value FROM change_counter

-- name: raise_counter
-- In the changing transaction; the row lock orders commits.
UPDATE change_counter SET value = value + 1 RETURNING value

-- name: keys_since -> KeyRow
-- Keys that changed after a counter value, in full when it is 0.
SELECT k.id, k.secret_sha, k.kind, k.revoked_at IS NOT NULL OR d.removed_at IS NOT NULL
           OR c.deactivated_at IS NOT NULL OR a.disabled_at IS NOT NULL AS revoked,
       d.id AS device_id, d.device_no, c.id AS customer_id, c.customer_no, a.id AS account_id,
       k.ha1, k.expires_at, d.post_interval_s, d.paused, a.account_no, a.role AS account_role,
       CASE WHEN k.kind = 'admin' THEN a.programmes ELSE k.programmes END AS programmes, k.scopes
FROM api_key k
LEFT JOIN device d USING (device_no)
LEFT JOIN customer c USING (customer_no)
LEFT JOIN account a ON a.account_no = k.account_no
WHERE k.changed > $1

-- name: key_by_id -> KeyRow
-- One key, for a look-up that the cache missed.
SELECT k.id, k.secret_sha, k.kind, k.revoked_at IS NOT NULL OR d.removed_at IS NOT NULL
           OR c.deactivated_at IS NOT NULL OR a.disabled_at IS NOT NULL AS revoked,
       d.id AS device_id, d.device_no, c.id AS customer_id, c.customer_no, a.id AS account_id,
       k.ha1, k.expires_at, d.post_interval_s, d.paused, a.account_no, a.role AS account_role,
       CASE WHEN k.kind = 'admin' THEN a.programmes ELSE k.programmes END AS programmes, k.scopes
FROM api_key k
LEFT JOIN device d USING (device_no)
LEFT JOIN customer c USING (customer_no)
LEFT JOIN account a ON a.account_no = k.account_no
WHERE k.id = $1

-- name: insert_key
-- A new key; only the hash of its secret is stored.
INSERT INTO api_key (id, secret_sha, kind, name, device_no, account_no, changed)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: revoke_device_keys
-- All keys of a device.
UPDATE api_key SET revoked_at = now(), changed = $2 WHERE device_no = $1 AND revoked_at IS NULL

-- name: touch_customer_keys
-- Keys of a customer whose standing changed: caches read them again.
UPDATE api_key SET changed = $2
WHERE device_no IN (SELECT device_no FROM device WHERE customer_no = $1)

-- name: set_ha1
-- What Digest needs of a key's secret, sealed.
UPDATE api_key SET ha1 = $2 WHERE id = $1

-- name: revoke_other_keys
-- All keys of a device but one.
UPDATE api_key SET revoked_at = now(), changed = $3
WHERE device_no = $1 AND id <> $2 AND revoked_at IS NULL

-- name: expire_device_keys
-- Live keys of a device end after the overlap, or earlier if they had to; the last end.
WITH ended AS (
    UPDATE api_key SET expires_at = least(expires_at, now() + $3::interval), changed = $2
    WHERE device_no = $1 AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > now())
    RETURNING expires_at)
SELECT max(expires_at) FROM ended

-- name: touch_device_keys
-- Keys of a device whose settings changed: caches read them again.
UPDATE api_key SET changed = $2 WHERE device_no = $1 AND revoked_at IS NULL
