-- name: insert_client -> ClientRow
-- A program that may ask for tokens.
INSERT INTO oauth_client (id, name, secret_sha, redirect_uris, grants, scopes, programmes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING client_no, id, name, secret_sha, redirect_uris, grants, scopes, programmes, created_at,
          disabled_at

-- name: client_by_id -> ClientRow
-- One client, disabled or not.
SELECT client_no, id, name, secret_sha, redirect_uris, grants, scopes, programmes, created_at,
       disabled_at
FROM oauth_client WHERE id = $1

-- name: list_clients -> ClientRow
-- Clients; of named programmes those that see nothing else. The search matches a whole id, or how the
-- name begins.
SELECT client_no, id, name, secret_sha, redirect_uris, grants, scopes, programmes, created_at,
       disabled_at
FROM oauth_client
WHERE ($1::int[] IS NULL OR programmes <@ $1)
  AND ($2::text IS NULL OR id = $2 OR starts_with(lower(name), lower($2)))

-- name: set_client_secret
-- A new secret; the old one stops working at once.
UPDATE oauth_client SET secret_sha = $2 WHERE client_no = $1

-- name: set_client_disabled
-- A client that may ask for nothing, or may again.
UPDATE oauth_client SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END
WHERE client_no = $1

-- name: end_client_codes
-- Codes and waiting devices of a client; waits for those that are being exchanged.
WITH codes AS (DELETE FROM oauth_code WHERE client_no = $1)
DELETE FROM oauth_device_code WHERE client_no = $1

-- name: revoke_client
-- Everything that was granted to a client.
UPDATE oauth_family SET revoked_at = now(), reason = $2 WHERE client_no = $1 AND revoked_at IS NULL

-- name: insert_code
-- An authorization code on its way through the browser.
INSERT INTO oauth_code (code_sha, client_no, account_no, customer_no, device_no, redirect_uri,
                        scopes, code_challenge, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: lock_code -> CodeRow
-- A code, held so that it is exchanged once.
SELECT code_sha, client_no, account_no, customer_no, device_no, redirect_uri, scopes,
       code_challenge, expires_at, used_at, family_no
FROM oauth_code WHERE code_sha = $1 FOR UPDATE

-- name: use_code
-- It was exchanged for the tokens of this family.
UPDATE oauth_code SET used_at = $2, family_no = $3 WHERE code_sha = $1

-- name: forget_waiting
-- Devices that were told for a while that their code has expired.
DELETE FROM oauth_device_code WHERE expires_at < $1::timestamptz - interval '10 minutes'

-- name: count_waiting
-- Devices of a client whose codes still work.
SELECT count(*) FROM oauth_device_code WHERE client_no = $1 AND expires_at > $2

-- name: insert_device_code
-- A device that waits for a person to approve it.
INSERT INTO oauth_device_code (device_code_sha, user_code, client_no, scopes, interval_s, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: lock_device_code -> DeviceCodeRow
-- A device code, held while it is polled.
SELECT d.device_code_sha, d.user_code, d.client_no, k.id AS client_id, d.scopes, d.state,
       d.account_no, d.customer_no, d.device_no, d.interval_s, d.polled_at, d.expires_at
FROM oauth_device_code d JOIN oauth_client k USING (client_no)
WHERE d.device_code_sha = $1 FOR UPDATE OF d

-- name: lock_user_code -> DeviceCodeRow
-- The same by what the person types.
SELECT d.device_code_sha, d.user_code, d.client_no, k.id AS client_id, d.scopes, d.state,
       d.account_no, d.customer_no, d.device_no, d.interval_s, d.polled_at, d.expires_at
FROM oauth_device_code d JOIN oauth_client k USING (client_no)
WHERE d.user_code = $1 AND d.state = 'pending' AND d.expires_at > $2 FOR UPDATE OF d

-- name: decide_device_code
-- What the person said, and who it was.
UPDATE oauth_device_code SET state = $2, account_no = $3, customer_no = $4, device_no = $5
WHERE device_code_sha = $1

-- name: note_poll
-- When the device asked last, and how long it must wait now.
UPDATE oauth_device_code SET polled_at = $2, interval_s = $3 WHERE device_code_sha = $1

-- name: use_device_code
-- It was exchanged for tokens.
UPDATE oauth_device_code SET state = 'used' WHERE device_code_sha = $1

-- name: insert_family
-- One grant; all tokens that follow from it belong to it.
INSERT INTO oauth_family (id, client_no, account_no, customer_no, device_no, scopes, created_at,
                          expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING family_no

-- name: insert_token
-- An access or refresh token; only its hash is stored.
INSERT INTO oauth_token (token_sha, family_no, kind, scopes, parent_sha, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: lock_family_of
-- Whoever exchanges or revokes a token of this family comes one after the other.
SELECT f.family_no FROM oauth_family f JOIN oauth_token t USING (family_no)
WHERE t.token_sha = $1 FOR UPDATE OF f

-- name: find_token -> TokenRow
-- A token with whom it stands for, and whether anything behind it has ended.
SELECT t.token_sha, t.family_no, t.kind, t.scopes, t.created_at, t.expires_at, t.used_at,
       f.revoked_at IS NOT NULL OR t.revoked_at IS NOT NULL OR k.disabled_at IS NOT NULL
           OR a.disabled_at IS NOT NULL OR c.deactivated_at IS NOT NULL
           OR d.removed_at IS NOT NULL AS revoked,
       f.expires_at AS family_expires_at, f.client_no, k.id AS client_id, k.programmes,
       f.account_no, a.id AS account_id, a.email, f.customer_no, c.id AS customer_id, f.device_no,
       EXISTS (SELECT FROM oauth_token n WHERE n.parent_sha = t.token_sha
               AND n.kind = 'refresh' AND n.used_at IS NOT NULL) AS is_old
FROM oauth_token t JOIN oauth_family f USING (family_no) JOIN oauth_client k USING (client_no)
LEFT JOIN account a ON a.account_no = f.account_no
LEFT JOIN customer c ON c.customer_no = f.customer_no
LEFT JOIN device d ON d.device_no = f.device_no
WHERE t.token_sha = $1

-- name: use_token
-- A refresh token that was exchanged.
UPDATE oauth_token SET used_at = $2 WHERE token_sha = $1

-- name: revoke_token
-- One access token.
UPDATE oauth_token SET revoked_at = coalesce(revoked_at, now()) WHERE token_sha = $1

-- name: revoke_family
-- A grant with all its tokens.
UPDATE oauth_family SET revoked_at = now(), reason = $2 WHERE family_no = $1 AND revoked_at IS NULL

-- name: list_grants -> GrantRow
-- What a customer has granted and not withdrawn, before a number; or the one with an id.
SELECT f.family_no, f.id, k.id AS client_id, k.name AS client_name, f.scopes, f.created_at,
       f.expires_at, (SELECT max(t.created_at) FROM oauth_token t
                      WHERE t.family_no = f.family_no) AS last_used_at
FROM oauth_family f JOIN oauth_client k USING (client_no)
WHERE f.customer_no = $1 AND f.revoked_at IS NULL AND f.expires_at > $2
  AND ($3::int IS NULL OR f.family_no < $3) AND ($4::text IS NULL OR f.id = $4)
ORDER BY f.family_no DESC LIMIT $5

-- name: forget_old
-- Grants, codes and tokens that have been over for a day.
WITH codes AS (DELETE FROM oauth_code WHERE expires_at < $1::timestamptz),
     devices AS (DELETE FROM oauth_device_code WHERE expires_at < $1),
     tokens AS (DELETE FROM oauth_token WHERE expires_at < $1)
DELETE FROM oauth_family WHERE expires_at < $1
