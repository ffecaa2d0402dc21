-- name: touch_devices
-- Last contact of each device of a chunk, and how far it says it is complete (never backwards);
-- a post that is read again after newer ones tells nothing about the device of today.
UPDATE device d SET
    last_contact_at = greatest(d.last_contact_at, u.at),
    complete_through = greatest(d.complete_through, u.through),
    app_version = CASE WHEN u.at < d.last_contact_at THEN d.app_version
                       ELSE coalesce(u.version, d.app_version) END,
    skew_recent = CASE WHEN u.at < d.last_contact_at OR u.skew IS NULL THEN d.skew_recent
                       ELSE (u.skew || d.skew_recent)[1:15] END
FROM unnest($1::int[], $2::timestamptz[], $3::int[], $4::text[], $5::real[])
    AS u (device_no, at, through, version, skew)
WHERE d.device_no = u.device_no

-- name: touch_customers
-- What lists and filters read instead of the samples, with the new rows of a chunk.
INSERT INTO customer_stat AS c (customer_no, last_contact_at, first_slot, last_slot, samples)
SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::int[], $4::int[], $5::bigint[])
    AS u (customer_no, at, first_slot, last_slot, inserted)
ORDER BY customer_no
ON CONFLICT (customer_no) DO UPDATE SET
    last_contact_at = greatest(c.last_contact_at, excluded.last_contact_at),
    first_slot = least(c.first_slot, excluded.first_slot),
    last_slot = greatest(c.last_slot, excluded.last_slot),
    samples = c.samples + excluded.samples

-- name: insert_rejects
-- Slots that the gateway refused, for the picture of the week.
INSERT INTO slot_reject (customer_no, slot, device_no, code)
SELECT DISTINCT ON (u.customer_no, u.slot, u.device_no) u.*
FROM unnest($1::int[], $2::int[], $3::int[], $4::text[]) AS u (customer_no, slot, device_no, code)
ORDER BY u.customer_no, u.slot, u.device_no
ON CONFLICT (customer_no, slot, device_no) DO UPDATE SET code = excluded.code, at = now()
