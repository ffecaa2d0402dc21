-- name: insert_link
-- A link that a mail holds; a repeat of the mail finds it there, used or not.
INSERT INTO account_link (token_sha, purpose, account_no, customer_no, data, expires_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (token_sha) DO NOTHING

-- name: use_link -> Link
-- Takes a link that works; the second of two at once finds none.
UPDATE account_link SET used_at = $2, data = NULL
WHERE token_sha = $1 AND used_at IS NULL AND expires_at > $2 AND purpose = ANY($3::text[])
RETURNING purpose, account_no, customer_no, expires_at,
    (SELECT data FROM account_link o WHERE o.token_sha = $1) AS data

-- name: find_link -> Link
-- What a link that works is for.
SELECT purpose, account_no, customer_no, expires_at, data FROM account_link
WHERE token_sha = $1 AND used_at IS NULL AND expires_at > $2

-- name: end_links
-- No other link of a person works any more.
UPDATE account_link SET used_at = coalesce(used_at, now()), data = NULL
WHERE account_no = $1 OR customer_no = $2

-- name: forget_links
-- What is in links that have expired, and later the links.
WITH gone AS (DELETE FROM account_link WHERE expires_at < $1::timestamptz - interval '2 days')
UPDATE account_link SET data = NULL
WHERE expires_at < $1 AND expires_at >= $1::timestamptz - interval '2 days' AND data IS NOT NULL
