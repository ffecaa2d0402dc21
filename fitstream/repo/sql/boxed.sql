-- name: second_factor_boxes -> Box
-- Secrets of authenticator apps, by account.
SELECT lpad(account_no::text, 12, '0') AS id, 'second factor of ' || account_no AS purpose,
       secret AS value
FROM second_factor WHERE lpad(account_no::text, 12, '0') > $1
ORDER BY 1 LIMIT $2 FOR UPDATE

-- name: api_key_boxes -> Box
-- What Digest needs of keys, by key.
SELECT id, 'digest HA1 of ' || id AS purpose, ha1 AS value
FROM api_key WHERE ha1 IS NOT NULL AND id > $1 ORDER BY id LIMIT $2 FOR UPDATE

-- name: set_second_factor_box
-- The same secret, sealed anew.
UPDATE second_factor SET secret = $2 WHERE account_no = $1::text::integer

-- name: set_api_key_box
-- The same, sealed anew; caches hold it under either key.
UPDATE api_key SET ha1 = $2 WHERE id = $1
