-- name: person_by_email -> Person
-- The account of an address, however it stands.
SELECT a.account_no, a.id, a.email, a.password_hash, a.role, a.customer_no, c.id AS customer_id,
       coalesce(a.disabled_at, c.deactivated_at) IS NULL AS is_active
FROM account a LEFT JOIN customer c USING (customer_no) WHERE lower(a.email) = lower($1)

-- name: person_by_number -> Person
-- An account by its number.
SELECT a.account_no, a.id, a.email, a.password_hash, a.role, a.customer_no, c.id AS customer_id,
       coalesce(a.disabled_at, c.deactivated_at) IS NULL AS is_active
FROM account a LEFT JOIN customer c USING (customer_no) WHERE a.account_no = $1

-- name: candidate_by_number -> Candidate
-- Who may be invited.
SELECT c.customer_no, c.id, c.email, c.name, p.name AS programme, a.account_no,
       c.deactivated_at IS NULL AS is_active
FROM customer c JOIN programme p USING (programme_no) LEFT JOIN account a USING (customer_no)
WHERE c.customer_no = $1

-- name: candidate_by_email -> Candidate
-- The same by address: a customer whom the programme knows and who has no log-in yet.
SELECT c.customer_no, c.id, c.email, c.name, p.name AS programme, a.account_no,
       c.deactivated_at IS NULL AS is_active
FROM customer c JOIN programme p USING (programme_no) LEFT JOIN account a USING (customer_no)
WHERE lower(c.email) = lower($1)

-- name: change_password
-- Another password.
UPDATE account SET password_hash = $2 WHERE account_no = $1

-- name: verify_email
-- The address has answered.
UPDATE account SET email_verified_at = coalesce(email_verified_at, $2) WHERE account_no = $1

-- name: change_email
-- Another address, which has answered.
UPDATE account SET email = $2, email_verified_at = $3 WHERE account_no = $1

-- name: change_customers_email
-- The customer's address is the one they log in with.
UPDATE customer SET email = $2 WHERE customer_no = $1

-- name: registration_of -> Registration
-- Whether a programme may be joined by anybody.
SELECT id, name, open_registration FROM programme WHERE id = $1

-- name: open_registration
-- Opens or closes a programme for people who register themselves.
UPDATE programme SET open_registration = $2 WHERE id = $1

-- name: profile_of -> Profile
-- What a customer told of themselves.
SELECT c.name, c.zone, c.birth_date, c.sex, c.height_cm, c.weight_kg, c.picture_key,
       a.email_verified_at
FROM customer c LEFT JOIN account a USING (customer_no) WHERE c.customer_no = $1

-- name: set_profile
-- All of it at once.
UPDATE customer SET name = $2, birth_date = $3, sex = $4, height_cm = $5, weight_kg = $6
WHERE customer_no = $1

-- name: set_picture
-- Another picture, or none; the object of the one before is the caller's to remove. Locked first: of
-- two at once the second finds the first one's.
UPDATE customer c SET picture_key = $2
FROM (SELECT customer_no, picture_key FROM customer WHERE customer_no = $1 FOR UPDATE) o
WHERE c.customer_no = o.customer_no RETURNING o.picture_key

-- name: newest_without_folder
-- The newest customer whose folder is not set up.
SELECT max(customer_no) FROM customer WHERE folder_at IS NULL

-- name: without_folder -> Folderless
-- Customers whose folder is not set up, oldest first.
SELECT customer_no, id FROM customer WHERE folder_at IS NULL AND customer_no > $1
ORDER BY customer_no LIMIT $2

-- name: mark_folders
-- Their folders are set up.
UPDATE customer SET folder_at = now() WHERE customer_no = ANY($1::int[])

-- name: known_customer
-- Whose external id or address it is.
SELECT id FROM customer
WHERE (programme_no = $1 AND external_id = $2) OR lower(email) = lower($3) LIMIT 1
