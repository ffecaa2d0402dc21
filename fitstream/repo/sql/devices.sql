-- name: insert_device -> Device
-- A new device of a customer.
INSERT INTO device (id, customer_no, kind, name, priority, app_version)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING device_no, id, customer_no, kind, name, priority, created_at, removed_at,
          last_contact_at, complete_through, app_version, NULL::real AS clock_skew_s,
          post_interval_s, paused

-- name: list_devices -> Device
-- Devices of a customer; or the one with an id. A post on its way can only make a clock look slow, so
-- the upper quartile of what the last posts said is the estimate.
SELECT device_no, id, customer_no, kind, name, priority, created_at, removed_at,
       last_contact_at, complete_through, app_version,
       (SELECT percentile_cont(0.75) WITHIN GROUP (ORDER BY s)
        FROM unnest(skew_recent) AS s)::real AS clock_skew_s,
       post_interval_s, paused
FROM device
WHERE customer_no = $1 AND ($2::text IS NULL OR id = $2)

-- name: lock_customer
-- Of two that add a device at once, the second counts what the first has added.
SELECT 1 FROM customer WHERE customer_no = $1 FOR NO KEY UPDATE

-- name: count_live
-- Devices that a customer could still use, uploads apart.
SELECT count(*) FROM device WHERE customer_no = $1 AND removed_at IS NULL AND kind <> 'upload'

-- name: remove_device
-- Keeps the data of a device and refuses its posts.
UPDATE device SET removed_at = coalesce(removed_at, now()) WHERE device_no = $1

-- name: rename
-- What people call it.
UPDATE device SET name = $2 WHERE device_no = $1

-- name: set_priority
-- Whose values win where devices overlap.
UPDATE device SET priority = $2 WHERE device_no = $1

-- name: set_settings
-- How often it should post (NULL: as the deployment says), and whether it should pause.
UPDATE device SET post_interval_s = $2, paused = $3 WHERE device_no = $1

-- name: touch_weeks_of
-- Weeks that hold rows of the device: their combined values may change.
UPDATE week_state w SET dirty_seq = dirty_seq + 1, last_changed_at = now(),
    first_dirty_at = CASE WHEN dirty_seq = rolled_seq THEN now() ELSE first_dirty_at END
WHERE w.customer_no = $1 AND EXISTS (
    SELECT FROM sample s WHERE s.customer_no = w.customer_no
    AND s.slot >= w.start_slot AND s.slot < w.end_slot AND s.device_no = $2)

-- name: reported_slots
-- Slots of a range that a device has sent, tombstones included.
SELECT slot FROM sample
WHERE customer_no = $1 AND device_no = $2 AND slot >= $3 AND slot < $4 ORDER BY slot
