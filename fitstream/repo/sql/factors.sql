-- name: begin
-- A secret that waits for its first code; one in force is left alone.
INSERT INTO second_factor AS f (account_no, secret) VALUES ($1, $2)
ON CONFLICT (account_no) DO UPDATE SET secret = excluded.secret, last_step = 0, created_at = now()
WHERE f.confirmed_at IS NULL

-- name: find -> Factor
-- The second factor of an account, in force or not.
SELECT secret, confirmed_at, last_step FROM second_factor WHERE account_no = $1

-- name: confirm
-- In force from now on.
UPDATE second_factor SET confirmed_at = $3, last_step = $2
WHERE account_no = $1 AND confirmed_at IS NULL

-- name: use_step
-- A step's code works once.
UPDATE second_factor SET last_step = $2
WHERE account_no = $1 AND last_step < $2 AND confirmed_at IS NOT NULL

-- name: remove
-- No second factor any more.
DELETE FROM second_factor WHERE account_no = $1

-- name: remove_recovery_codes
-- Nor recovery codes.
DELETE FROM recovery_code WHERE account_no = $1

-- name: insert_recovery_codes
-- New ones, by their hashes.
INSERT INTO recovery_code (account_no, code_sha) SELECT $1, unnest($2::bytea[])

-- name: use_recovery_code
-- A recovery code works once.
UPDATE recovery_code SET used_at = $3
WHERE account_no = $1 AND code_sha = $2 AND used_at IS NULL

-- name: recovery_codes_left
-- How many still work.
SELECT count(*) FROM recovery_code WHERE account_no = $1 AND used_at IS NULL

-- name: insert_challenge
-- A right password that waits for its code, while it is the right one.
INSERT INTO login_challenge (token_sha, account_no, tries_left, expires_at)
SELECT $1, a.account_no, $3, $4 FROM account a
WHERE a.account_no = $2 AND a.password_hash = $5 AND a.disabled_at IS NULL
FOR SHARE OF a

-- name: end_challenge
-- One that was answered.
DELETE FROM login_challenge WHERE token_sha = $1

-- name: try_challenge
-- Takes one of the tries of a challenge.
UPDATE login_challenge SET tries_left = tries_left - 1
WHERE token_sha = $1 AND tries_left > 0 AND expires_at > $2 RETURNING account_no

-- name: end_challenges
-- Of an account that has logged in, and of everybody who took too long.
DELETE FROM login_challenge WHERE account_no = $1 OR expires_at < $2
