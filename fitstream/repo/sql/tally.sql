-- name: people_slice -> PeopleSlice
-- The next customers behind a number: who they are, how many are active, how many were heard of
-- lately, and their rows.
SELECT array_agg(c.customer_no ORDER BY c.customer_no) AS numbers,
       count(*) FILTER (WHERE c.deactivated_at IS NULL) AS total,
       count(*) FILTER (WHERE c.deactivated_at IS NULL
           AND s.last_contact_at > now() - interval '1 hour') AS seen_1h,
       count(*) FILTER (WHERE c.deactivated_at IS NULL
           AND s.last_contact_at > now() - interval '24 hours') AS seen_24h,
       coalesce(sum(s.samples), 0)::bigint AS rows, max(s.last_contact_at) AS newest_at
FROM (SELECT customer_no, deactivated_at FROM customer
      WHERE customer_no > $1 AND ($2::int[] IS NULL OR programme_no = ANY($2))
      ORDER BY customer_no LIMIT $3) c
LEFT JOIN customer_stat s USING (customer_no)

-- name: things_slice -> ThingsSlice
-- What belongs to some customers: devices and forecasts.
SELECT (SELECT count(*) FROM device
        WHERE customer_no = ANY($1::int[]) AND removed_at IS NULL) AS devices,
       count(*) AS forecasts, count(DISTINCT customer_no) AS forecast_customers
FROM forecast WHERE customer_no = ANY($1::int[])

-- name: weeks_slice -> WeekCounts
-- In which state the weeks of some customers are.
SELECT count(*) FILTER (WHERE closed_at IS NULL) AS open,
       count(*) FILTER (WHERE closed_at IS NOT NULL AND rolled_at IS NULL) AS closing,
       count(*) FILTER (WHERE rolled_at IS NOT NULL AND dirty_seq = rolled_seq) AS rolled,
       count(*) FILTER (WHERE rolled_at IS NOT NULL AND dirty_seq > rolled_seq) AS late,
       (SELECT count(*) FROM week_version WHERE customer_no = ANY($1::int[])) AS versions
FROM week_state WHERE customer_no = ANY($1::int[])

-- name: jobs_slice -> JobsSlice
-- The next jobs before a place, newest first: how many there are in each state, and where they end.
WITH part AS MATERIALIZED (
    SELECT created_at, id, state, programme_no FROM job
    WHERE created_at <= $1 AND (created_at < $1 OR id > $2)
    ORDER BY created_at DESC, id LIMIT $4)
SELECT count(*) AS looked,
       (array_agg(created_at ORDER BY created_at, id DESC))[1] AS last_at,
       (array_agg(id ORDER BY created_at, id DESC))[1] AS last_id,
       count(*) FILTER (WHERE state = 'queued' AND ours) AS queued,
       count(*) FILTER (WHERE state = 'running' AND ours) AS running,
       count(*) FILTER (WHERE state = 'waiting' AND ours) AS waiting,
       count(*) FILTER (WHERE state = 'succeeded' AND ours) AS succeeded,
       count(*) FILTER (WHERE state = 'failed' AND ours) AS failed,
       count(*) FILTER (WHERE state = 'cancelled' AND ours) AS cancelled
FROM part, LATERAL (SELECT $3::int[] IS NULL OR coalesce(programme_no = ANY($3), false) AS ours) o
