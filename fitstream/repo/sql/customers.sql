-- name: programme_by_id -> Programme
-- A programme by its public id.
SELECT programme_no, id, name, open_registration FROM programme WHERE id = $1

-- name: list_programmes -> Programme
-- A page of programmes, oldest first.
SELECT programme_no, id, name, open_registration FROM programme
WHERE ($1::int[] IS NULL OR programme_no = ANY($1)) AND programme_no > $2
ORDER BY programme_no LIMIT $3

-- name: insert_programme -> Programme
-- A new programme.
INSERT INTO programme (id, name) VALUES ($1, $2)
RETURNING programme_no, id, name, open_registration

-- name: insert_customer
-- A new customer; the caller adds zone and consents in the same transaction.
INSERT INTO customer (id, programme_no, external_id, email, name, zone)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING customer_no

-- name: insert_zone
-- The home zone from a week on.
INSERT INTO customer_zone (customer_no, from_week, zone) VALUES ($1, $2, $3)
ON CONFLICT (customer_no, from_week) DO UPDATE SET zone = excluded.zone

-- name: forget_later_zones
-- A move that has not taken force yet gives way to the one asked for now.
DELETE FROM customer_zone WHERE customer_no = $1 AND from_week > $2

-- name: is_consented
-- Whether a consent stands, before it changes.
SELECT granted FROM consent WHERE customer_no = $1 AND purpose = $2 FOR UPDATE

-- name: set_consent
-- A consent as given or withdrawn; its version rises with every change.
INSERT INTO consent AS c (customer_no, purpose, granted) VALUES ($1, $2, $3)
ON CONFLICT (customer_no, purpose) DO UPDATE SET
    granted = excluded.granted, version = c.version + 1, changed_at = now()
WHERE c.granted <> excluded.granted

-- name: existing_customer
-- Whose external id or e-mail is taken.
SELECT id FROM customer
WHERE (programme_no = $1 AND external_id = $2) OR lower(email) = lower($3) LIMIT 1

-- name: customer_by_id -> Customer
-- One customer with consents and what the ledger knows.
SELECT c.customer_no, c.id, p.id AS programme, c.programme_no, c.external_id, c.email, c.name,
       c.zone, c.created_at, c.deactivated_at, s.last_contact_at, coalesce(s.samples, 0) AS samples,
       coalesce((SELECT granted FROM consent t WHERE t.customer_no = c.customer_no
                 AND t.purpose = 'training'), false) AS training,
       coalesce((SELECT granted FROM consent t WHERE t.customer_no = c.customer_no
                 AND t.purpose = 'sharing'), false) AS sharing
FROM customer c JOIN programme p USING (programme_no) LEFT JOIN customer_stat s USING (customer_no)
WHERE c.id = $1

-- name: list_customers -> Customer
-- Customers; the search matches a whole id, or how external id, e-mail or name begin; of whoever may
-- not see those the id alone.
SELECT c.customer_no, c.id, p.id AS programme, c.programme_no, c.external_id, c.email, c.name,
       c.zone, c.created_at, c.deactivated_at, s.last_contact_at, coalesce(s.samples, 0) AS samples,
       coalesce((SELECT granted FROM consent t WHERE t.customer_no = c.customer_no
                 AND t.purpose = 'training'), false) AS training,
       coalesce((SELECT granted FROM consent t WHERE t.customer_no = c.customer_no
                 AND t.purpose = 'sharing'), false) AS sharing
FROM customer c JOIN programme p USING (programme_no) LEFT JOIN customer_stat s USING (customer_no)
WHERE ($3::int[] IS NULL OR c.programme_no = ANY($3))
  AND ($1::text IS NULL OR c.id = $1 OR (NOT $4 AND (starts_with(lower(c.external_id), lower($1))
       OR starts_with(lower(c.email), lower($1)) OR starts_with(lower(c.name), lower($1)))))
  AND ($2::text IS DISTINCT FROM 'silent'
       OR s.last_contact_at IS NULL OR s.last_contact_at < now() - interval '24 hours')
  AND ($2::text IS DISTINCT FROM 'incomplete'
       OR EXISTS (SELECT FROM week_state w WHERE w.customer_no = c.customer_no
                  AND w.closed_at IS NOT NULL AND w.dirty_seq > w.rolled_seq))
  AND ($2::text IS DISTINCT FROM 'no_forecast'
       OR NOT EXISTS (SELECT FROM forecast f WHERE f.customer_no = c.customer_no))

-- name: update_customer
-- Profile fields; NULL leaves one as it is. Invitations to another address end with it.
WITH ended AS (
    UPDATE account_link SET used_at = coalesce(used_at, now()), data = NULL
    WHERE customer_no = $1 AND lower($3) IS DISTINCT FROM (
        SELECT lower(c.email) FROM customer c WHERE c.customer_no = $1) AND $3::text IS NOT NULL
)
UPDATE customer SET name = coalesce($2, name), email = coalesce($3, email) WHERE customer_no = $1

-- name: set_deactivated
-- Keeps all data and refuses new posts.
UPDATE customer SET deactivated_at = CASE WHEN $2 THEN coalesce(deactivated_at, now()) END
WHERE customer_no = $1

-- name: zones_of -> ZoneRow
-- Home zones of one customer, by week; locked against another move.
SELECT from_week, zone FROM customer_zone WHERE customer_no = $1 ORDER BY from_week FOR UPDATE

-- name: read_zones -> ZoneRow
-- The same, to read.
SELECT from_week, zone FROM customer_zone WHERE customer_no = $1 ORDER BY from_week

-- name: set_home_zone
-- What new pages show; weeks follow `customer_zone`.
UPDATE customer SET zone = $2 WHERE customer_no = $1

-- name: weeks_from -> WeekName
-- Names of the open weeks whose bounds a move may change.
SELECT week FROM week_state
WHERE customer_no = $1 AND week >= $2 AND closed_at IS NULL ORDER BY week FOR UPDATE

-- name: set_bounds
-- New bounds of a week; rolled again with them.
UPDATE week_state SET start_slot = $3, end_slot = $4, dirty_seq = dirty_seq + 1,
    last_changed_at = now() WHERE customer_no = $1 AND week = $2

-- name: hold_customer
-- A customer who stays until the caller's transaction ends.
SELECT true FROM customer WHERE id = $1 FOR KEY SHARE
