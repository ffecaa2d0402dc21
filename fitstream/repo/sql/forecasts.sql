-- name: forecast_customers -> ForecastCustomer
-- Whom to forecast: active customers of a programme with a device or data, or the ones named.
SELECT c.customer_no, c.id, c.zone, s.last_slot,
       w.week, w.current_version AS version,
       (SELECT n.dirty_seq FROM week_state n WHERE n.customer_no = c.customer_no
        AND n.start_slot <= s.last_slot AND n.end_slot > s.last_slot) AS week_seq
FROM customer c LEFT JOIN customer_stat s USING (customer_no)
LEFT JOIN LATERAL (
    SELECT week, current_version FROM week_state
    WHERE customer_no = c.customer_no AND current_version IS NOT NULL
    ORDER BY week DESC LIMIT 1) w ON true
WHERE c.programme_no = $1 AND c.deactivated_at IS NULL
  AND ($2::int[] IS NULL OR c.customer_no = ANY($2))
  AND (s.last_slot IS NOT NULL OR EXISTS (
      SELECT FROM device d WHERE d.customer_no = c.customer_no AND d.removed_at IS NULL))
  AND ($3::text[] IS NULL OR c.zone = ANY($3))
ORDER BY c.customer_no

-- name: homes -> Home
-- Where those to forecast are at home, of the programmes with a model in use.
SELECT DISTINCT c.programme_no, c.zone
FROM customer c LEFT JOIN customer_stat s USING (customer_no)
JOIN model m ON m.programme_no = c.programme_no
    AND m.stage = 'champion' AND m.customer_no IS NULL
WHERE c.deactivated_at IS NULL
  AND (s.last_slot IS NOT NULL OR EXISTS (
      SELECT FROM device d WHERE d.customer_no = c.customer_no AND d.removed_at IS NULL))
ORDER BY c.programme_no, c.zone

-- name: left_out -> CustomerNo
-- Whom the forecasts of a night (its job, zones and first slot) have not reached, as they came or
-- moved there later; nobody while a forecast of the programme is under way, or twice. No forecast
-- is issued more than a day before it begins: that bounds the look at the past.
SELECT c.customer_no
FROM job night JOIN customer c ON c.programme_no = night.programme_no AND c.zone = ANY($2::text[])
LEFT JOIN customer_stat s ON s.customer_no = c.customer_no
WHERE night.id = $1 AND night.state = 'succeeded'
  AND c.deactivated_at IS NULL
  AND (s.last_slot IS NOT NULL OR EXISTS (
      SELECT FROM device d WHERE d.customer_no = c.customer_no AND d.removed_at IS NULL))
  AND NOT EXISTS (SELECT FROM job WHERE programme_no = night.programme_no AND kind = 'forecast'
                  AND state IN ('queued', 'running'))
  AND NOT EXISTS (SELECT FROM forecast_issue i WHERE i.customer_no = c.customer_no
                  AND i.horizon = '96' AND i.start_slot >= $3
                  AND i.issued_at >= to_timestamp(($3::int - 96) * 900.0))
  AND NOT EXISTS (SELECT FROM job part WHERE part.parent_id = night.id
                  AND part.payload->'customers' @> to_jsonb(c.customer_no))
ORDER BY c.customer_no LIMIT $4

-- name: upsert_forecast
-- The latest forecast per target and horizon; an older one never replaces a newer.
INSERT INTO forecast AS f (customer_no, target, horizon, issued_at, model_id, week, version,
                           data_through, start_slot, basis, quantiles, totals, explanation,
                           object_key, week_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (customer_no, target, horizon) DO UPDATE SET
    issued_at = excluded.issued_at, model_id = excluded.model_id, week = excluded.week,
    version = excluded.version, data_through = excluded.data_through,
    start_slot = excluded.start_slot, basis = excluded.basis, quantiles = excluded.quantiles,
    totals = excluded.totals, explanation = excluded.explanation,
    object_key = excluded.object_key, week_seq = excluded.week_seq
WHERE f.issued_at <= excluded.issued_at

-- name: insert_issue
-- A forecast that was issued, and where it lies.
INSERT INTO forecast_issue (customer_no, horizon, issued_at, model_id, week, version, data_through,
                            start_slot, end_slot, object_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING

-- name: issued_to -> CustomerNo
-- Which of some customers a job has issued its forecasts to.
SELECT DISTINCT customer_no FROM forecast_issue
WHERE customer_no = ANY($1::int[]) AND horizon = ANY($2::text[]) AND issued_at = $3

-- name: forecast_from -> CustomerNo
-- Which of some customers have a next day's forecast that begins at a slot or later.
SELECT DISTINCT customer_no FROM forecast_issue
WHERE customer_no = ANY($1::int[]) AND horizon = '96' AND start_slot >= $2
  AND issued_at >= to_timestamp(($2::int - 96) * 900.0)

-- name: forecast_of -> Forecast
-- The latest forecast of a customer.
SELECT f.target, f.horizon, f.issued_at, f.model_id, m.kind AS model_kind, f.week, f.version,
       f.data_through, f.start_slot, f.basis, f.quantiles, f.totals, f.explanation
FROM forecast f JOIN model m ON m.id = f.model_id
WHERE f.customer_no = $1 AND f.target = $2 AND f.horizon = $3

-- name: past_forecasts -> PastForecast
-- What was issued for a customer, newest first, with the score of one target.
SELECT i.horizon, i.issued_at, i.model_id, i.week, i.version, i.data_through, i.start_slot,
       i.end_slot, i.scored_at, s.wql, s.slots, s.below, s.above
FROM forecast_issue i
LEFT JOIN LATERAL (
    SELECT sum(part.loss) / nullif(sum(part.size), 0) AS wql, sum(part.slots)::int AS slots,
           sum(part.below)::int AS below, sum(part.above)::int AS above
    FROM forecast_score f
    CROSS JOIN unnest(f.loss, f.size, f.slots, f.below, f.above)
        AS part (loss, size, slots, below, above)
    WHERE f.customer_no = i.customer_no AND f.target = $2 AND f.horizon = i.horizon
      AND f.issued_at = i.issued_at) s ON true
WHERE i.customer_no = $1 AND i.horizon = $3 AND ($4::timestamptz IS NULL OR i.issued_at < $4)
ORDER BY i.issued_at DESC LIMIT $5

-- name: issue -> Issue
-- One forecast that was issued.
SELECT customer_no, horizon, issued_at, model_id, week, version, data_through, start_slot, end_slot,
       object_key
FROM forecast_issue WHERE customer_no = $1 AND horizon = $2 AND issued_at = $3

-- name: due_issues -> DueIssue
-- Forecasts whose slots are over and that have no score, or one that late data may have changed.
SELECT i.customer_no, c.id AS customer_id, c.zone, i.horizon, i.issued_at, i.model_id, i.start_slot,
       i.end_slot, i.object_key
FROM forecast_issue i JOIN customer c USING (customer_no)
WHERE c.programme_no = $1 AND NOT i.settled
  AND i.end_slot <= CASE WHEN i.scored_at IS NULL THEN $2::int ELSE $3::int END
ORDER BY i.end_slot, i.customer_no LIMIT $4

-- name: forget_scores
-- What was found of some targets of a forecast before.
DELETE FROM forecast_score
WHERE customer_no = $1 AND horizon = $2 AND issued_at = $3 AND target = ANY($4::text[])

-- name: upsert_score
-- How good one forecast of one target was, all of it or one of its days.
INSERT INTO forecast_score (customer_no, target, horizon, issued_at, model_id, end_slot, loss, size,
                            slots, below, above, days, days_inside, lead_day)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (customer_no, target, horizon, issued_at, lead_day) DO UPDATE SET
    loss = excluded.loss, size = excluded.size, slots = excluded.slots, below = excluded.below,
    above = excluded.above, days = excluded.days, days_inside = excluded.days_inside

-- name: mark_scored
-- A forecast has its score; once settled it is not looked at again.
UPDATE forecast_issue SET scored_at = now(), settled = settled OR $4
WHERE customer_no = $1 AND horizon = $2 AND issued_at = $3

-- name: part_scores -> PartScore
-- Sums per model, target, horizon and part of the day.
SELECT s.model_id, s.target, s.horizon, (part.ordinality - 1)::int AS part,
       count(DISTINCT (s.customer_no, s.issued_at))::int AS forecasts,
       count(DISTINCT s.customer_no)::int AS customers,
       sum(part.loss) AS loss, sum(part.size) AS size, sum(part.slots)::int AS slots,
       sum(part.below)::int AS below, sum(part.above)::int AS above
FROM forecast_score s JOIN customer c USING (customer_no)
CROSS JOIN unnest(s.loss, s.size, s.slots, s.below, s.above) WITH ORDINALITY
    AS part (loss, size, slots, below, above, ordinality)
WHERE ($1::int[] IS NULL OR c.programme_no = ANY($1)) AND ($2::text IS NULL OR s.model_id = $2)
  AND ($3::text IS NULL OR s.target = $3) AND s.end_slot >= $4
GROUP BY s.model_id, s.target, s.horizon, part.ordinality
ORDER BY s.model_id, s.target, s.horizon, part.ordinality

-- name: lead_scores -> LeadScore
-- Sums per model, target and how far ahead a day lay, of weeks that were scored day by day.
SELECT s.model_id, s.target, s.horizon, s.lead_day, count(*)::int AS forecasts,
       count(DISTINCT s.customer_no)::int AS customers, sum(sums.loss) AS loss,
       sum(sums.size) AS size, sum(sums.slots)::int AS slots, sum(sums.below)::int AS below,
       sum(sums.above)::int AS above
FROM forecast_score s JOIN customer c USING (customer_no)
CROSS JOIN LATERAL (
    SELECT sum(part.loss) AS loss, sum(part.size) AS size, sum(part.slots) AS slots,
           sum(part.below) AS below, sum(part.above) AS above
    FROM unnest(s.loss, s.size, s.slots, s.below, s.above)
        AS part (loss, size, slots, below, above)) sums
WHERE ($1::int[] IS NULL OR c.programme_no = ANY($1)) AND ($2::text IS NULL OR s.model_id = $2)
  AND ($3::text IS NULL OR s.target = $3) AND s.end_slot >= $4 AND s.lead_day > 0
GROUP BY s.model_id, s.target, s.horizon, s.lead_day
ORDER BY s.model_id, s.target, s.horizon, s.lead_day

-- name: day_scores -> DayScore
-- How many days' totals lay inside their interval.
SELECT s.model_id, s.target, s.horizon, sum(s.days)::int AS days,
       sum(s.days_inside)::int AS days_inside
FROM forecast_score s JOIN customer c USING (customer_no)
WHERE ($1::int[] IS NULL OR c.programme_no = ANY($1)) AND ($2::text IS NULL OR s.model_id = $2)
  AND ($3::text IS NULL OR s.target = $3) AND s.end_slot >= $4
GROUP BY s.model_id, s.target, s.horizon

-- name: issue_scores -> IssueScore
-- A model's next-day forecasts of late, each target by itself.
SELECT s.target, s.customer_no, (SELECT sum(each) FROM unnest(s.loss) each) AS loss,
       (SELECT sum(each) FROM unnest(s.size) each) AS size
FROM forecast_score s
WHERE s.model_id = $1 AND s.horizon = '96' AND s.end_slot >= $2
ORDER BY s.target, s.customer_no, s.issued_at

-- name: programmes_with_news -> DueProgramme
-- Programmes with a champion and customers who sent something of late.
SELECT DISTINCT c.programme_no
FROM customer_stat t JOIN customer c USING (customer_no)
JOIN model m ON m.programme_no = c.programme_no AND m.stage = 'champion'
WHERE t.last_contact_at >= $1::timestamptz - make_interval(secs => $2)
  AND c.deactivated_at IS NULL
ORDER BY c.programme_no

-- name: customers_with_news -> CustomerNo
-- Whose today has slots that their forecast of today has not seen, or whose week has changed since.
SELECT c.customer_no
FROM customer_stat t JOIN customer c USING (customer_no)
LEFT JOIN LATERAL (
    SELECT data_through, issued_at, week_seq FROM forecast
    WHERE customer_no = c.customer_no AND horizon = 'today'
    ORDER BY issued_at DESC LIMIT 1) f ON true
LEFT JOIN week_state w ON w.customer_no = c.customer_no
    AND w.start_slot <= t.last_slot AND w.end_slot > t.last_slot
WHERE c.programme_no = $1 AND c.deactivated_at IS NULL
  AND (t.last_slot + 1) * 900.0 > extract(epoch FROM
      date_trunc('day', $2::timestamptz AT TIME ZONE c.zone) AT TIME ZONE c.zone)
  AND (f.data_through IS NULL OR f.data_through < t.last_slot + 1
       OR (f.data_through > w.start_slot AND f.week_seq < w.dirty_seq))
ORDER BY f.issued_at NULLS FIRST, c.customer_no LIMIT $3

-- name: forget_issues
-- Of what is issued many times a day only the scores and the objects stay for ever.
DELETE FROM forecast_issue WHERE (customer_no, horizon, issued_at) IN (
    SELECT customer_no, horizon, issued_at FROM forecast_issue
    WHERE horizon = $1 AND settled AND end_slot < $2 LIMIT $3)

-- name: upsert_drift
-- What was found of a model and target.
INSERT INTO forecast_drift (model_id, target, checked_at, forecasts, customers, wql, wql_low,
                            wql_at_gate, is_drifting, reason, job_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (model_id, target) DO UPDATE SET
    checked_at = excluded.checked_at, forecasts = excluded.forecasts,
    customers = excluded.customers, wql = excluded.wql, wql_low = excluded.wql_low,
    wql_at_gate = excluded.wql_at_gate, is_drifting = excluded.is_drifting,
    reason = excluded.reason, job_id = excluded.job_id

-- name: drifts -> DriftOf
-- The findings about the champions of some programmes.
SELECT p.id AS programme, d.model_id, d.target, d.checked_at, d.forecasts, d.customers, d.wql,
       d.wql_low, d.wql_at_gate, d.is_drifting, d.reason, d.job_id
FROM forecast_drift d JOIN model m ON m.id = d.model_id JOIN programme p USING (programme_no)
WHERE ($1::int[] IS NULL OR m.programme_no = ANY($1)) AND m.stage = 'champion'
ORDER BY p.id, d.target
