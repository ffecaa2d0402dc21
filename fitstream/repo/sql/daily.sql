-- name: upsert_summary
-- A summary of a day; an older state of the same day never replaces a newer one.
INSERT INTO daily_summary AS d (
    customer_no, provenance, origin, received_at, day, recorded_at, steps, active_score,
    activity_kcal, bmr_kcal, out_kcal, marginal_kcal, total_distance, tracker_distance,
    logged_distance, very_active_distance, moderate_distance, light_distance, sedentary_distance,
    very_active_min, light_min, sedentary_min, resting_heart_rate_bpm, heart_zones)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        $21, $22, $23, $24)
ON CONFLICT (customer_no, day, provenance, origin) DO UPDATE SET
    received_at = excluded.received_at, recorded_at = excluded.recorded_at, steps = excluded.steps,
    active_score = excluded.active_score, activity_kcal = excluded.activity_kcal,
    bmr_kcal = excluded.bmr_kcal, out_kcal = excluded.out_kcal,
    marginal_kcal = excluded.marginal_kcal, total_distance = excluded.total_distance,
    tracker_distance = excluded.tracker_distance, logged_distance = excluded.logged_distance,
    very_active_distance = excluded.very_active_distance,
    moderate_distance = excluded.moderate_distance, light_distance = excluded.light_distance,
    sedentary_distance = excluded.sedentary_distance, very_active_min = excluded.very_active_min,
    light_min = excluded.light_min, sedentary_min = excluded.sedentary_min,
    resting_heart_rate_bpm = excluded.resting_heart_rate_bpm, heart_zones = excluded.heart_zones
WHERE excluded.recorded_at >= d.recorded_at

-- name: summaries_of -> Stored
-- Summaries of local days after (day, provenance), both ends in; of several of one kind the one
-- recorded last.
SELECT DISTINCT ON (day, provenance)
    provenance, origin, received_at, day, recorded_at, steps, active_score, activity_kcal, bmr_kcal,
    out_kcal, marginal_kcal, total_distance, tracker_distance, logged_distance,
    very_active_distance, moderate_distance, light_distance, sedentary_distance, very_active_min,
    light_min, sedentary_min, resting_heart_rate_bpm, heart_zones
FROM daily_summary WHERE customer_no = $1 AND day BETWEEN $2 AND $3
  AND ($4::date IS NULL OR (day, provenance) > ($4, $5::text))
ORDER BY day, provenance, recorded_at DESC, origin LIMIT $6

-- name: forget_origin
-- What one upload brought.
DELETE FROM daily_summary WHERE customer_no = $1 AND origin = $2
