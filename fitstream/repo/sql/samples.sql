-- name: range_of_customer -> LedgerRow
-- Rows of a customer in [from, to), best device first in each slot.
SELECT s.slot, s.device_no, d.id AS device_id, d.priority, s.tz_offset_min, s.rev, s.tie,
       s.received_s, s.src, s.steps, s.distance_m, s.calories_kcal, s.heart_rate_bpm,
       s.heart_rate_min_bpm, s.heart_rate_max_bpm, s.light_min, s.moderate_min, s.vigorous_min,
       s.sedentary_min, s.sleep_min, s.floors
FROM sample s JOIN device d USING (device_no)
WHERE s.customer_no = $1 AND s.slot >= $2 AND s.slot < $3
ORDER BY s.slot, d.priority, d.id

-- name: page_of_customer -> LedgerRow
-- A page of the same after (slot, device number), perhaps of one device.
SELECT s.slot, s.device_no, d.id AS device_id, d.priority, s.tz_offset_min, s.rev, s.tie,
       s.received_s, s.src, s.steps, s.distance_m, s.calories_kcal, s.heart_rate_bpm,
       s.heart_rate_min_bpm, s.heart_rate_max_bpm, s.light_min, s.moderate_min, s.vigorous_min,
       s.sedentary_min, s.sleep_min, s.floors
FROM sample s JOIN device d USING (device_no)
WHERE s.customer_no = $1 AND s.slot >= $2 AND s.slot < $3
  AND (s.slot, s.device_no) > ($4, $5) AND ($6::int IS NULL OR s.device_no = $6)
  AND s.tie >> 59 <> 15
ORDER BY s.slot, s.device_no LIMIT $7

-- name: rejects_of_customer -> SlotReject
-- Slots of [from, to) that the gateway refused.
SELECT slot, code FROM slot_reject WHERE customer_no = $1 AND slot >= $2 AND slot < $3
ORDER BY slot
