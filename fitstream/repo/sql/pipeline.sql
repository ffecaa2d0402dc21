-- name: customer_counts -> CustomerCounts
-- Customers, and how many were heard of lately.
SELECT count(*) AS total,
       count(*) FILTER (WHERE s.last_contact_at > now() - interval '1 hour') AS seen_1h,
       count(*) FILTER (WHERE s.last_contact_at > now() - interval '24 hours') AS seen_24h
FROM customer c LEFT JOIN customer_stat s USING (customer_no) WHERE c.deactivated_at IS NULL

-- name: ledger_counts -> LedgerCounts
-- What went through the ledger, from its progress rows.
SELECT coalesce(sum(records), 0)::bigint AS records, coalesce(sum(samples), 0)::bigint AS samples,
       coalesce(sum(inserted), 0)::bigint AS inserted, coalesce(sum(updated), 0)::bigint AS updated,
       (SELECT coalesce(sum(samples), 0)::bigint FROM customer_stat) AS rows,
       max(newest_at) AS newest_at
FROM ingest_progress

-- name: other_counts -> OtherCounts
-- The rest of the overview in one round trip.
SELECT (SELECT count(*) FROM device WHERE removed_at IS NULL) AS devices,
       (SELECT count(*) FROM dead_letter WHERE state = 'parked') AS dead_letters,
       (SELECT count(*) FROM model) AS models,
       (SELECT count(*) FROM training_run) AS training_runs,
       (SELECT count(*) FROM forecast) AS forecasts,
       (SELECT count(DISTINCT customer_no) FROM forecast) AS forecast_customers

-- name: newest_champion -> Champion
-- The champion that was trained last, over all programmes.
SELECT id, kind, created_at FROM model WHERE stage = 'champion' ORDER BY created_at DESC LIMIT 1
