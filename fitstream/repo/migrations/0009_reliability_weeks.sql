-- Rollers ask every second which weeks are to be closed and which are due. With the indexes of
-- before both questions read every open week; with these only what may be an answer.
CREATE INDEX week_state_to_close ON week_state (end_slot, customer_no, week)
    WHERE closed_at IS NULL;
CREATE INDEX week_state_due ON week_state (last_changed_at)
    WHERE closed_at IS NOT NULL AND dirty_seq > rolled_seq;
DROP INDEX week_state_open;
DROP INDEX week_state_dirty;
