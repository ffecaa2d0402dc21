-- name: close_due -> Looked
-- Looks at some open weeks behind a place and closes those whose every active device is complete,
-- or whose grace is over; once each. Says how many, and where it has come to.
WITH looked AS MATERIALIZED (
    SELECT o.customer_no, o.week, o.end_slot FROM week_state o
    WHERE o.closed_at IS NULL AND o.end_slot <= $1
      AND (o.end_slot, o.customer_no, o.week) > ($4, $5, $6)
    ORDER BY o.end_slot, o.customer_no, o.week LIMIT $7
), ready AS (
    SELECT w.customer_no, w.week FROM week_state w
    WHERE w.closed_at IS NULL AND (w.customer_no, w.week) IN (
        SELECT o.customer_no, o.week FROM looked o
        WHERE o.end_slot <= $2 OR NOT EXISTS (
            SELECT FROM device d WHERE d.customer_no = o.customer_no AND d.removed_at IS NULL
              AND d.last_contact_at > $3 AND coalesce(d.complete_through, 0) < o.end_slot))
    ORDER BY w.customer_no, w.week FOR UPDATE SKIP LOCKED
), closed AS (
    UPDATE week_state w SET closed_at = now(), dirty_seq = dirty_seq + 1 FROM ready r
    WHERE w.customer_no = r.customer_no AND w.week = r.week
    RETURNING w.week
)
SELECT (SELECT count(*) FROM closed) AS closed, count(*) OVER () AS looked,
       end_slot, customer_no, week
FROM looked ORDER BY end_slot DESC, customer_no DESC, week DESC LIMIT 1

-- name: claim_due -> Claim
-- Takes a lease on weeks that are due: quiet long enough, late long enough, or asked for by hand.
WITH forced AS MATERIALIZED (
    SELECT o.customer_no, o.week, o.lease_owner IS NOT NULL AS is_taken_over FROM week_state o
    WHERE o.forced_job_id IS NOT NULL AND (o.lease_until IS NULL OR o.lease_until < now())
    LIMIT $5 FOR UPDATE SKIP LOCKED
), quiet AS MATERIALIZED (
    SELECT o.customer_no, o.week, o.lease_owner IS NOT NULL AS is_taken_over FROM week_state o
    WHERE o.closed_at IS NOT NULL AND o.dirty_seq > o.rolled_seq AND o.forced_job_id IS NULL
      AND (o.lease_until IS NULL OR o.lease_until < now())
      AND now() >= least(o.last_changed_at + make_interval(secs => $3),
          greatest(o.closed_at, o.first_dirty_at) + make_interval(secs => $4))
    ORDER BY o.last_changed_at LIMIT $5 FOR UPDATE SKIP LOCKED
), due AS (
    SELECT * FROM forced UNION ALL SELECT * FROM quiet LIMIT $5
)
UPDATE week_state w SET lease_owner = $1, lease_until = now() + make_interval(secs => $2),
    lease_epoch = lease_epoch + 1, attempts = attempts + 1
FROM customer c, due
WHERE c.customer_no = w.customer_no AND (w.customer_no, w.week) = (due.customer_no, due.week)
RETURNING w.customer_no, c.id AS customer_id, w.week, w.lease_epoch, due.is_taken_over

-- name: snapshot_state -> WeekState
-- What a roll starts from, read in one snapshot with the rows.
SELECT w.customer_no, c.id AS customer_id, c.programme_no, w.week, w.start_slot, w.end_slot,
       w.dirty_seq, w.rolled_seq, w.closed_at, w.rolled_at, w.current_version, w.forced_job_id,
       w.lease_epoch,
       v.content_sha, v.files
FROM week_state w JOIN customer c USING (customer_no)
LEFT JOIN week_version v ON v.customer_no = w.customer_no AND v.week = w.week
    AND v.version = w.current_version
WHERE w.customer_no = $1 AND w.week = $2

-- name: finish_roll
-- The commit point: only who still holds the lease on the same version may pass.
UPDATE week_state SET rolled_seq = $5, current_version = $6, lease_owner = NULL,
    lease_until = NULL, attempts = 0,
    rolled_at = CASE WHEN $7 THEN now() ELSE rolled_at END,
    forced_job_id = CASE WHEN forced_job_id IS NOT DISTINCT FROM $8 THEN NULL ELSE forced_job_id END
WHERE customer_no = $1 AND week = $2 AND lease_epoch = $3 AND current_version IS NOT DISTINCT FROM $4

-- name: release_lease
-- Gives a claimed week back after an error, to be tried again after a while.
UPDATE week_state SET lease_owner = NULL, lease_until = now() + make_interval(secs => $4)
WHERE customer_no = $1 AND week = $2 AND lease_epoch = $3

-- name: insert_version
-- One published state of a week.
INSERT INTO week_version
    (customer_no, week, version, content_sha, rows, slots, measured, files, reason, changed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: force_roll
-- Asks the roller for this week now.
UPDATE week_state SET forced_job_id = coalesce(forced_job_id, $3)
WHERE customer_no = $1 AND week = $2 RETURNING forced_job_id

-- name: list_weeks -> WeekRow
-- Weeks of a customer, newest first.
SELECT w.week, w.start_slot, w.end_slot,
       CASE WHEN w.closed_at IS NULL THEN 'open' WHEN w.rolled_at IS NULL THEN 'closing'
            WHEN w.dirty_seq > w.rolled_seq THEN 'late' ELSE 'rolled' END AS state,
       w.current_version, w.closed_at,
       CASE WHEN v.version IS NOT NULL AND w.dirty_seq = w.rolled_seq THEN v.measured
            ELSE (SELECT count(DISTINCT s.slot)::int FROM sample s
                  WHERE s.customer_no = w.customer_no AND s.slot >= w.start_slot
                    AND s.slot < w.end_slot AND s.tie >> 59 BETWEEN 1 AND 14)
       END AS measured
FROM week_state w LEFT JOIN week_version v ON v.customer_no = w.customer_no AND v.week = w.week
    AND v.version = w.current_version
WHERE w.customer_no = $1 AND ($2::text IS NULL OR w.week < $2) AND ($3::text IS NULL OR w.week = $3)
ORDER BY w.week DESC LIMIT $4

-- name: list_versions -> WeekVersion
-- Published states of a week, newest first.
SELECT version, content_sha, rows, slots, measured, files, reason, changed, created_at
FROM week_version WHERE customer_no = $1 AND week = $2 ORDER BY version DESC
