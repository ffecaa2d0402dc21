-- name: progress_of -> Progress
-- Where the ledger stands in one partition.
SELECT next_offset, last_batch_id FROM ingest_progress WHERE generation = $1 AND partition = $2

-- name: start_progress
-- First contact with a partition.
INSERT INTO ingest_progress (generation, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- name: skip_lost
-- Kafka no longer has what comes next: move on to where its log starts.
UPDATE ingest_progress SET next_offset = $4, last_batch_id = ''
WHERE generation = $1 AND partition = $2 AND next_offset = $3

-- name: insert_loss
-- A proven loss, kept until a person has acknowledged it.
INSERT INTO ingest_loss (reader, generation, partition, first_offset, next_offset)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: current_generation
-- Generation of a topic; raised only by `fitstream topics --adopt`.
SELECT max(generation) FROM topic_generation WHERE topic = $1

-- name: wait_for_adoption
-- Nobody adopts a topic until the caller's transaction ends.
SELECT pg_advisory_xact_lock_shared(7310416)

-- name: hold_generation
-- Alone while a topic is adopted.
SELECT pg_advisory_xact_lock(7310416)

-- name: insert_generation
-- A new generation of a topic.
INSERT INTO topic_generation (topic, generation) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: insert_dead_letter
-- A record that could not be applied, with its original bytes.
INSERT INTO dead_letter (topic, generation, partition, record_offset, reason, detail, key, value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (topic, generation, partition, record_offset) DO NOTHING

-- name: pass_replayed
-- A replay has applied what comes next: the ledger goes on behind it.
UPDATE ingest_progress SET
    next_offset = $4, last_batch_id = $5, records = records + $6, samples = samples + $7,
    inserted = inserted + $8, updated = updated + $9, newest_at = greatest(newest_at, $10)
WHERE generation = $1 AND partition = $2 AND next_offset = $3

-- name: count_parked
-- How many records of a range are dead letters, in whatever state.
SELECT count(*) FROM dead_letter
WHERE topic = $1 AND generation = $2 AND partition = $3
  AND record_offset >= $4 AND record_offset < $5
