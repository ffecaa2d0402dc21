-- name: customer_counts -> CustomerCounts
-- Customers, and how many were heard of lately.
SELECT count(*) AS total,
       count(*) FILTER (WHERE s.last_contact_at > now() - interval '1 hour') AS seen_1h,
       count(*) FILTER (WHERE s.last_contact_at > now() - interval '24 hours') AS seen_24h
FROM customer c LEFT JOIN customer_stat s USING (customer_no) WHERE c.deactivated_at IS NULL
  AND ($1::int[] IS NULL OR c.programme_no = ANY($1))

-- name: ledger_counts -> LedgerCounts
-- What went through the ledger, from its progress rows.
SELECT coalesce(sum(records), 0)::bigint AS records, coalesce(sum(samples), 0)::bigint AS samples,
       coalesce(sum(inserted), 0)::bigint AS inserted, coalesce(sum(updated), 0)::bigint AS updated,
       (SELECT coalesce(sum(samples), 0)::bigint FROM customer_stat) AS rows,
       max(newest_at) AS newest_at
FROM ingest_progress

-- name: ledger_counts_within -> LedgerCounts
-- The same for some programmes, as far as it is known by customer.
SELECT 0::bigint AS records, coalesce(sum(s.samples), 0)::bigint AS samples,
       coalesce(sum(s.samples), 0)::bigint AS inserted, 0::bigint AS updated,
       coalesce(sum(s.samples), 0)::bigint AS rows, max(s.last_contact_at) AS newest_at
FROM customer_stat s JOIN customer c USING (customer_no) WHERE c.programme_no = ANY($1::int[])

-- name: other_counts -> OtherCounts
-- The rest of the overview in one round trip.
WITH mine AS MATERIALIZED (
    SELECT customer_no, id FROM customer WHERE $1::int[] IS NULL OR programme_no = ANY($1))
SELECT (SELECT count(*) FROM device JOIN mine USING (customer_no) WHERE removed_at IS NULL) AS devices,
       (SELECT count(*) FROM dead_letter WHERE state = 'parked' AND ($1::int[] IS NULL
            OR encode(key, 'escape') IN (SELECT id FROM mine))) AS dead_letters,
       (SELECT count(*) FROM model
        WHERE $1::int[] IS NULL OR programme_no = ANY($1)) AS models,
       (SELECT count(*) FROM training_run
        WHERE $1::int[] IS NULL OR programme_no = ANY($1)) AS training_runs,
       (SELECT count(*) FROM forecast JOIN mine USING (customer_no)) AS forecasts,
       (SELECT count(DISTINCT customer_no) FROM forecast JOIN mine USING (customer_no)) AS forecast_customers

-- name: newest_champion -> Champion
-- The champion that was trained last, over all programmes or some; customers' own do not count.
SELECT id, kind, created_at FROM model
WHERE stage = 'champion' AND customer_no IS NULL AND ($1::int[] IS NULL OR programme_no = ANY($1)) ORDER BY created_at DESC LIMIT 1
