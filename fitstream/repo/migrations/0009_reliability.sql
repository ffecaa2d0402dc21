-- Who settled a dead letter, losses of the archive, waits for services; indexes for what is asked
-- every second by rollers and every night by upkeep.

ALTER TABLE dead_letter ADD COLUMN settled_at timestamptz, ADD COLUMN settled_by text;

-- A loss of the archive is no loss of the ledger, yet a replay will lack it.
ALTER TABLE ingest_loss ADD COLUMN reader text NOT NULL DEFAULT 'ledger',
    DROP CONSTRAINT ingest_loss_pkey,
    ADD PRIMARY KEY (reader, generation, partition, first_offset);

-- Times in a row that a job had to wait for a service; such a wait is no attempt.
ALTER TABLE job ADD COLUMN waits integer NOT NULL DEFAULT 0;

CREATE INDEX job_parent ON job (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX job_past ON job (done_at) WHERE state IN ('succeeded', 'cancelled');
