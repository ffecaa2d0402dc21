-- name: insert_account
-- A person who logs in.
INSERT INTO account (id, email, password_hash, role, customer_no) VALUES ($1, $2, $3, $4, $5)
RETURNING account_no

-- name: set_password
-- A new password and perhaps another address, which has not answered.
UPDATE account SET password_hash = $2, email = $3,
    email_verified_at = CASE WHEN lower(email) = lower($3) THEN email_verified_at END
WHERE account_no = $1

-- name: account_by_email -> Account
-- Who logs in with this address.
SELECT a.account_no, a.id, a.email, a.password_hash, a.role, c.id AS customer_id, a.customer_no
FROM account a LEFT JOIN customer c USING (customer_no)
WHERE lower(a.email) = lower($1) AND a.disabled_at IS NULL AND c.deactivated_at IS NULL

-- name: account_of_customer -> Account
-- The login of a customer.
SELECT a.account_no, a.id, a.email, a.password_hash, a.role, c.id AS customer_id, a.customer_no
FROM account a JOIN customer c USING (customer_no) WHERE a.customer_no = $1

-- name: count_admins
-- Whether a first administrator is needed.
SELECT count(*) FROM account WHERE role = 'admin'

-- name: insert_session
-- A new session, while the password is the one that was looked at; only the hash of its token is
-- stored. The lock lets a change of the password and this come one after the other.
INSERT INTO session (token_sha, account_no, expires_at, agent)
SELECT $1, a.account_no, $3, $4 FROM account a
WHERE a.account_no = $2 AND a.password_hash = $5 AND a.disabled_at IS NULL
FOR SHARE OF a

-- name: find_session -> SessionRow
-- Whose session it is, if it is neither idle too long nor expired.
SELECT a.id AS account_id, a.email, a.role, c.id AS customer_id, s.expires_at, s.last_seen_at,
       a.account_no, a.customer_no, a.programmes, s.id AS session_id
FROM session s JOIN account a USING (account_no) LEFT JOIN customer c USING (customer_no)
WHERE s.token_sha = $1 AND s.expires_at > $2 AND a.disabled_at IS NULL
  AND c.deactivated_at IS NULL
  AND s.last_seen_at > $2 - make_interval(secs => CASE WHEN a.role = 'customer' THEN $4::float8 ELSE $3::float8 END)

-- name: touch_session
-- Keeps a used session from idling out.
UPDATE session SET last_seen_at = $2 WHERE token_sha = $1

-- name: delete_session
-- Log out.
DELETE FROM session WHERE token_sha = $1
