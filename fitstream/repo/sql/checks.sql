-- name: weeks_after -> CheckedWeek
-- Weeks in order, after one, perhaps of one customer; overdue: closed and unrolled for so long.
SELECT w.customer_no, c.id AS customer_id, w.week, w.start_slot, w.end_slot, w.dirty_seq,
       w.rolled_seq, w.current_version, w.closed_at, w.rolled_at,
       w.dirty_seq > w.rolled_seq AND w.closed_at IS NOT NULL
       AND now() > greatest(w.closed_at, w.first_dirty_at) + make_interval(secs => $4) AS is_overdue
FROM week_state w JOIN customer c USING (customer_no)
WHERE (w.customer_no, w.week) > ($1, $2) AND ($3::int IS NULL OR w.customer_no = $3)
ORDER BY w.customer_no, w.week LIMIT $5

-- name: stray_versions -> StrayVersion
-- Versions of weeks that nobody knows.
SELECT v.customer_no, v.week, v.version FROM week_version v
LEFT JOIN week_state w USING (customer_no, week)
WHERE w.week IS NULL AND ($1::int IS NULL OR v.customer_no = $1) LIMIT 1000

-- name: customers_after -> CountedCustomer
-- Customers in order: rows in the ledger, rows that lie in a week, rows counted when they came.
SELECT c.customer_no, c.id AS customer_id,
       (SELECT count(*) FROM sample s WHERE s.customer_no = c.customer_no) AS rows,
       (SELECT count(*) FROM week_state w JOIN sample s ON s.customer_no = w.customer_no
            AND s.slot >= w.start_slot AND s.slot < w.end_slot
        WHERE w.customer_no = c.customer_no) AS in_weeks,
       coalesce((SELECT samples FROM customer_stat t WHERE t.customer_no = c.customer_no), 0)
           AS counted
FROM customer c WHERE c.customer_no > $1 AND ($2::int IS NULL OR c.customer_no = $2)
ORDER BY c.customer_no LIMIT $3

-- name: device_gaps -> DeviceGap
-- Slots that a device of a customer never sent, between its first and its last one.
SELECT d.id AS device_id, min(s.slot) AS first_slot, max(s.slot) AS last_slot,
       (max(s.slot) - min(s.slot) + 1 - count(*))::int AS missing
FROM sample s JOIN device d USING (device_no)
WHERE s.customer_no = $1 GROUP BY d.id HAVING max(s.slot) - min(s.slot) + 1 > count(*) ORDER BY d.id

-- name: losses -> Loss
-- Proven losses that no person has acknowledged.
SELECT reader, generation, partition, first_offset, next_offset, found_at FROM ingest_loss
WHERE acknowledged_at IS NULL ORDER BY reader, generation, partition, first_offset

-- name: acknowledge_losses
-- A person has seen every loss up to now.
UPDATE ingest_loss SET acknowledged_at = now() WHERE acknowledged_at IS NULL

-- name: repeated_runs -> RepeatedRun
-- Datasets that more than one run of a recipe has finished on.
SELECT r.dataset_hash, r.recipe_hash, count(*)::int AS runs
FROM training_run r JOIN job j ON j.id = r.job_id WHERE j.state = 'succeeded'
GROUP BY r.dataset_hash, r.recipe_hash HAVING count(*) > 1

-- name: ledger_positions -> LedgerPosition
-- Where the ledger stands in a generation, and what it has counted there.
SELECT partition, next_offset, records, samples, inserted, updated FROM ingest_progress
WHERE generation = $1 ORDER BY partition

-- name: ledger_sums -> LedgerSums
-- Rows that chunks inserted over all generations, and rows that customers have gained, those that
-- an undone upload has taken back among them.
SELECT (SELECT coalesce(sum(inserted), 0)::bigint FROM ingest_progress) AS inserted,
       (SELECT coalesce(sum(samples), 0)::bigint FROM customer_stat)
           + (SELECT coalesce(sum(removed), 0)::bigint FROM upload) AS gained,
       (SELECT count(*) FROM dead_letter WHERE state = 'parked') AS parked

-- name: files_of_customer -> WeekFiles
-- Every object that a version of a customer's weeks names, week by week.
SELECT week, max(w.current_version) AS current_version,
       coalesce(array_agg(f ->> 'key') FILTER (WHERE f IS NOT NULL), '{}') AS keys
FROM week_version v FULL JOIN week_state w USING (customer_no, week)
JOIN customer c USING (customer_no)
LEFT JOIN LATERAL jsonb_array_elements(v.files) AS f ON true
WHERE c.id = $1 GROUP BY week

-- name: roll_again
-- A week that differs is rolled again as soon as it may; its data stays as it is.
UPDATE week_state SET
    first_dirty_at = CASE WHEN dirty_seq = rolled_seq THEN now() ELSE first_dirty_at END,
    dirty_seq = dirty_seq + 1
WHERE customer_no = $1 AND week = $2
