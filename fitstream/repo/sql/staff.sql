-- name: list_staff -> StaffRow
-- People who work here; of named programmes those who see nothing else. The search matches a whole
-- id, or how the e-mail begins.
SELECT account_no, id, email, role, programmes, created_at, disabled_at
FROM account
WHERE role <> 'customer' AND ($1::int[] IS NULL OR programmes <@ $1)
  AND ($2::text IS NULL OR id = $2)
  AND ($3::text IS NULL OR id = $3 OR starts_with(lower(email), lower($3)))

-- name: set_rights
-- What one of the staff may, and where.
UPDATE account SET role = $2, programmes = $3 WHERE account_no = $1

-- name: set_disabled
-- An account that may not log in, or may again.
UPDATE account SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END
WHERE account_no = $1

-- name: insert_program_key
-- A program's key; who made it is in the audit log, so that it outlives its maker.
INSERT INTO api_key (id, secret_sha, kind, name, scopes, programmes, expires_at, account_no, changed)
VALUES ($1, $2, 'program', $3, $4, $5, $6, $7, $8)

-- name: list_program_keys -> ProgramKeyRow
-- Programs' keys; of named programmes those that see nothing else. The search matches a whole id, or
-- how the name begins.
SELECT id, name, scopes, programmes, created_at, expires_at, revoked_at
FROM api_key
WHERE kind = 'program' AND ($1::int[] IS NULL OR programmes <@ $1)
  AND ($2::text IS NULL OR id = $2)
  AND ($3::text IS NULL OR id = $3 OR starts_with(lower(name), lower($3)))

-- name: revoke_program_key
-- A key that is refused from now on.
UPDATE api_key SET revoked_at = coalesce(revoked_at, now()), changed = $2 WHERE id = $1
