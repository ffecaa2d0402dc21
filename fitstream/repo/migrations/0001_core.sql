-- Programmes, people and devices, the ledger, weeks, jobs, models and forecasts.

CREATE TABLE programme (
    programme_no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             text NOT NULL UNIQUE,
    name           text NOT NULL,
    stale_since    timestamptz,
    stale_last     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
INSERT INTO programme (id, name) VALUES ('default', 'Default programme');

CREATE TABLE customer (
    customer_no    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             text NOT NULL UNIQUE,
    programme_no   integer NOT NULL REFERENCES programme,
    external_id    text,
    email          text,
    name           text,
    zone           text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    deactivated_at timestamptz,
    UNIQUE (programme_no, external_id)
);
CREATE UNIQUE INDEX customer_email ON customer (lower(email)) WHERE email IS NOT NULL;

CREATE TABLE customer_zone (
    customer_no integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    from_week   text NOT NULL,
    zone        text NOT NULL,
    PRIMARY KEY (customer_no, from_week)
);

CREATE TABLE consent (
    customer_no integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    purpose     text NOT NULL CHECK (purpose IN ('training', 'sharing')),
    granted     boolean NOT NULL,
    version     integer NOT NULL DEFAULT 1,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_no, purpose)
);

CREATE TABLE device (
    device_no        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               text NOT NULL UNIQUE,
    customer_no      integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    kind             text NOT NULL,
    name             text NOT NULL,
    priority         integer NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    removed_at       timestamptz,
    last_contact_at  timestamptz,
    complete_through integer,
    app_version      text,
    clock_skew_s     real
);
CREATE INDEX device_customer ON device (customer_no);

CREATE TABLE account (
    account_no    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            text NOT NULL UNIQUE,
    email         text NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('admin', 'analyst', 'support', 'customer')),
    customer_no   integer UNIQUE REFERENCES customer ON DELETE CASCADE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz,
    CHECK ((role = 'customer') = (customer_no IS NOT NULL))
);
CREATE UNIQUE INDEX account_email ON account (lower(email));

CREATE TABLE session (
    token_sha    bytea PRIMARY KEY,
    account_no   integer NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX session_account ON session (account_no);

-- Keys of devices, programs and administrators. `changed` is the counter's value when the row
-- last changed, so that a gateway reads only what is newer than what it has.
CREATE TABLE api_key (
    id         text PRIMARY KEY,
    secret_sha bytea NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('admin', 'device', 'program')),
    name       text NOT NULL DEFAULT '',
    device_no  integer REFERENCES device ON DELETE CASCADE,
    account_no integer REFERENCES account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    changed    bigint NOT NULL,
    CHECK ((kind = 'device') = (device_no IS NOT NULL))
);
CREATE INDEX api_key_changed ON api_key (changed);
CREATE INDEX api_key_device ON api_key (device_no);

-- One row, raised in the changing transaction: a sequence would commit out of order.
CREATE TABLE change_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    value    bigint NOT NULL
);
INSERT INTO change_counter (value) VALUES (1);

-- The ledger. Widest columns first, so that no byte is lost to padding; metrics are scaled
-- integers (merge.METRICS); src = generation << 48 | offset.
CREATE TABLE sample (
    tie            bigint NOT NULL,
    src            bigint NOT NULL,
    customer_no    integer NOT NULL,
    slot           integer NOT NULL,
    device_no      integer NOT NULL,
    rev            integer NOT NULL,
    received_s     integer NOT NULL,
    distance_m     integer,
    calories_kcal  integer,
    tz_offset_min  smallint NOT NULL,
    steps          smallint,
    heart_rate_bpm smallint,
    heart_rate_min_bpm smallint,
    heart_rate_max_bpm smallint,
    light_min      smallint,
    moderate_min   smallint,
    vigorous_min   smallint,
    sedentary_min  smallint,
    sleep_min      smallint,
    floors         smallint,
    PRIMARY KEY (customer_no, slot, device_no)
) PARTITION BY RANGE (slot);

CREATE VIEW sample_v AS
SELECT c.id AS customer_id, d.id AS device_id,
       to_timestamp(s.slot::bigint * 900) AS slot, s.tz_offset_min,
       s.steps, s.distance_m / 10.0 AS distance_m, s.calories_kcal / 100.0 AS calories_kcal,
       s.heart_rate_bpm / 10.0 AS heart_rate_bpm,
       s.heart_rate_min_bpm / 10.0 AS heart_rate_min_bpm,
       s.heart_rate_max_bpm / 10.0 AS heart_rate_max_bpm,
       s.light_min / 10.0 AS light_min, s.moderate_min / 10.0 AS moderate_min,
       s.vigorous_min / 10.0 AS vigorous_min, s.sedentary_min / 10.0 AS sedentary_min,
       s.sleep_min / 10.0 AS sleep_min, s.floors,
       s.rev, s.tie >> 59 = 15 AS deleted, to_timestamp(s.received_s) AS received_at,
       s.src >> 48 AS generation, s.src & ((1::bigint << 48) - 1) AS src_offset
FROM sample s JOIN customer c USING (customer_no) JOIN device d USING (device_no);

CREATE TABLE sample_conflict (
    customer_no integer NOT NULL,
    slot        integer NOT NULL,
    device_no   integer NOT NULL,
    rev         integer NOT NULL,
    kept_tie    bigint NOT NULL,
    other_tie   bigint NOT NULL,
    src         bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_no, slot, device_no, rev, kept_tie, other_tie)
);

CREATE TABLE slot_reject (
    customer_no integer NOT NULL,
    slot        integer NOT NULL,
    device_no   integer NOT NULL,
    code        text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_no, slot, device_no)
);

-- Kept by the ledger, for lists and filters.
CREATE TABLE customer_stat (
    customer_no     integer PRIMARY KEY,
    last_contact_at timestamptz NOT NULL,
    first_slot      integer,
    last_slot       integer,
    samples         bigint NOT NULL DEFAULT 0
);

CREATE TABLE topic_generation (
    topic      text NOT NULL,
    generation integer NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, generation)
);

CREATE TABLE ingest_progress (
    generation    integer NOT NULL,
    partition     integer NOT NULL,
    next_offset   bigint NOT NULL,
    last_batch_id text NOT NULL DEFAULT '',
    records       bigint NOT NULL DEFAULT 0,
    samples       bigint NOT NULL DEFAULT 0,
    inserted      bigint NOT NULL DEFAULT 0,
    updated       bigint NOT NULL DEFAULT 0,
    newest_at     timestamptz,
    PRIMARY KEY (generation, partition)
);

CREATE TABLE ingest_loss (
    generation   integer NOT NULL,
    partition    integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset  bigint NOT NULL,
    found_at     timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    PRIMARY KEY (generation, partition, first_offset)
);

CREATE TABLE dead_letter (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    record_offset bigint NOT NULL,
    generation   integer NOT NULL,
    reason       text NOT NULL,
    detail       text NOT NULL DEFAULT '',
    key          bytea,
    value        bytea NOT NULL,
    state        text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'replayed', 'discarded')),
    at           timestamptz NOT NULL DEFAULT now(),
    UNIQUE (topic, generation, partition, record_offset)
);

CREATE TABLE week_state (
    customer_no     integer NOT NULL,
    week            text NOT NULL,
    start_slot      integer NOT NULL,
    end_slot        integer NOT NULL,
    dirty_seq       bigint NOT NULL DEFAULT 1,
    rolled_seq      bigint NOT NULL DEFAULT 0,
    first_dirty_at  timestamptz NOT NULL DEFAULT now(),
    last_changed_at timestamptz NOT NULL DEFAULT now(),
    closed_at       timestamptz,
    rolled_at       timestamptz,  -- last roll that saw the week closed
    current_version integer,
    forced_job_id   text,
    lease_owner     text,
    lease_until     timestamptz,
    lease_epoch     bigint NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_no, week)
);
CREATE INDEX week_state_open ON week_state (end_slot) WHERE closed_at IS NULL;
CREATE INDEX week_state_dirty ON week_state (last_changed_at) WHERE dirty_seq > rolled_seq;
CREATE INDEX week_state_forced ON week_state (forced_job_id) WHERE forced_job_id IS NOT NULL;

CREATE TABLE week_version (
    customer_no integer NOT NULL,
    week        text NOT NULL,
    version     integer NOT NULL,
    content_sha text NOT NULL,
    rows        integer NOT NULL,
    slots       integer NOT NULL,
    measured    integer NOT NULL,
    files       jsonb NOT NULL,
    reason      text NOT NULL,
    changed     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_no, week, version)
);

-- Outbox, queue of record and what /v1/jobs shows, in one.
CREATE TABLE job (
    id          text PRIMARY KEY,
    parent_id   text REFERENCES job,
    kind        text NOT NULL,
    queue       text NOT NULL,
    dedupe_key  text NOT NULL UNIQUE,
    programme_no integer,
    customer_no integer,
    payload     jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    run_after   timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz,
    lease_owner text,
    lease_until timestamptz,
    lease_epoch bigint NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    progress    jsonb NOT NULL DEFAULT '{}',
    result      jsonb NOT NULL DEFAULT '{}',
    cancel_requested boolean NOT NULL DEFAULT false,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    done_at     timestamptz
);
CREATE INDEX job_due ON job (run_after) WHERE state = 'queued';
CREATE INDEX job_running ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_recent ON job (created_at DESC, id);

CREATE TABLE training_run (
    job_id       text PRIMARY KEY REFERENCES job,
    programme_no integer NOT NULL REFERENCES programme,
    scope        text NOT NULL CHECK (scope IN ('cohort', 'customer')),
    recipe       jsonb NOT NULL,
    recipe_hash  text NOT NULL,
    dataset_hash text NOT NULL,
    customers    integer NOT NULL,
    weeks        integer NOT NULL,
    metrics      jsonb NOT NULL DEFAULT '{}',
    model_id     text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (dataset_hash, recipe_hash)
);

CREATE TABLE dataset_member (
    dataset_hash text NOT NULL,
    customer_no  integer NOT NULL,
    week         text NOT NULL,
    version      integer NOT NULL,
    PRIMARY KEY (dataset_hash, customer_no, week)
);

CREATE TABLE model (
    id           text PRIMARY KEY,
    programme_no integer NOT NULL REFERENCES programme,
    kind         text NOT NULL,
    stage        text NOT NULL CHECK (stage IN ('champion', 'challenger', 'retired')),
    job_id       text NOT NULL REFERENCES job,
    dataset_hash text NOT NULL,
    metrics      jsonb NOT NULL,
    object_key   text NOT NULL,
    sha256       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX model_champion ON model (programme_no) WHERE stage = 'champion';

-- The latest forecast per customer and target; the history lies in S3.
CREATE TABLE forecast (
    customer_no  integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    target       text NOT NULL,
    issued_at    timestamptz NOT NULL,
    model_id     text NOT NULL REFERENCES model,
    week         text,
    version      integer,
    data_through integer NOT NULL,
    start_slot   integer NOT NULL,
    basis        text NOT NULL,
    quantiles    jsonb NOT NULL,
    object_key   text NOT NULL,
    PRIMARY KEY (customer_no, target)
);
