-- name: ledger_counts -> LedgerCounts
-- What went through the ledger, from its progress rows.
SELECT coalesce(sum(records), 0)::bigint AS records, coalesce(sum(samples), 0)::bigint AS samples,
       coalesce(sum(inserted), 0)::bigint AS inserted, coalesce(sum(updated), 0)::bigint AS updated,
       max(newest_at) AS newest_at
FROM ingest_progress

-- name: other_counts -> OtherCounts
-- What does not grow with the customers: parked dead letters, models, runs.
SELECT (SELECT count(*) FROM dead_letter WHERE state = 'parked' AND ($1::int[] IS NULL OR EXISTS (
            SELECT FROM customer c WHERE c.id = encode(key, 'escape')
              AND c.programme_no = ANY($1)))) AS dead_letters,
       (SELECT count(*) FROM model
        WHERE $1::int[] IS NULL OR programme_no = ANY($1)) AS models,
       (SELECT count(*) FROM training_run
        WHERE $1::int[] IS NULL OR programme_no = ANY($1)) AS training_runs

-- name: newest_champion -> Champion
-- The champion that was trained last, over all programmes or some; customers' own do not count.
SELECT id, kind, created_at FROM model
WHERE stage = 'champion' AND customer_no IS NULL AND ($1::int[] IS NULL OR programme_no = ANY($1)) ORDER BY created_at DESC LIMIT 1
