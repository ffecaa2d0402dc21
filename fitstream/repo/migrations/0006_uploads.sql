-- Files that people upload, how their columns are read, and which devices stand for them.

-- How the columns of a source's files become samples. Versions are never changed, only followed.
CREATE TABLE schema_mapping (
    mapping_no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    programme_no integer NOT NULL REFERENCES programme,
    name         text NOT NULL,
    version      integer NOT NULL,
    spec         jsonb NOT NULL,
    created_by   text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (programme_no, name, version)
);

-- `phase` moves with the job that does it; what a failed job leaves is told from the job's row.
-- `sent` are the rows of the file that Kafka has, `removed` what an undo took out of the ledger.
CREATE TABLE upload (
    upload_no    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text NOT NULL UNIQUE,
    programme_no integer NOT NULL REFERENCES programme,
    customer_no  integer REFERENCES customer ON DELETE CASCADE,
    created_by   text NOT NULL DEFAULT '',
    name         text NOT NULL,
    format       text NOT NULL CHECK (format IN ('csv', 'ndjson', 'parquet', 'legacy_daily')),
    size         bigint NOT NULL,
    sha256       text NOT NULL,
    object_key   text NOT NULL,
    priority     integer NOT NULL,
    phase        text NOT NULL CHECK (phase IN ('checking', 'unmapped', 'checked', 'ingesting',
                                                'ingested', 'undoing', 'undone', 'deleted')),
    job_id       text,
    mapping_no   integer REFERENCES schema_mapping,
    spec         jsonb,
    head         jsonb NOT NULL DEFAULT '{}',
    report       jsonb NOT NULL DEFAULT '{}',
    result       jsonb NOT NULL DEFAULT '{}',
    sent         bigint NOT NULL DEFAULT 0,
    removed      bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    checked_at   timestamptz,
    ingested_at  timestamptz,
    undone_at    timestamptz
);
CREATE INDEX upload_recent ON upload (created_at DESC, id);
CREATE INDEX upload_customer ON upload (customer_no) WHERE customer_no IS NOT NULL;

-- Every upload is a device of its own for each customer in it.
ALTER TABLE device ADD COLUMN upload_no integer REFERENCES upload;
CREATE UNIQUE INDEX device_upload ON device (upload_no, customer_no) WHERE upload_no IS NOT NULL;
