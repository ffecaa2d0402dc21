-- What a forecast has seen of the week that its data ends in: the step of `week_state.dirty_seq` that
-- was read with the data. Late rows raise it without any newer slot.
ALTER TABLE forecast ADD COLUMN week_seq bigint;
