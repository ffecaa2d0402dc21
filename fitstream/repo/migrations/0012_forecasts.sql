-- Forecasts of the next 672 slots and of the rest of today beside those of the next 96; totals of
-- days and what a forecast rests on; every forecast ever issued, and how good it was.

ALTER TABLE forecast
    ADD COLUMN horizon text NOT NULL DEFAULT '96' CHECK (horizon IN ('96', '672', 'today')),
    ADD COLUMN totals jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN explanation jsonb NOT NULL DEFAULT '[]',
    DROP CONSTRAINT forecast_pkey,
    ADD PRIMARY KEY (customer_no, target, horizon);

-- One row per forecast of a customer, all targets in one object of S3. `settled` means that its
-- score will not change any more.
CREATE TABLE forecast_issue (
    customer_no  integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    horizon      text NOT NULL,
    issued_at    timestamptz NOT NULL,
    model_id     text NOT NULL REFERENCES model,
    week         text,
    version      integer,
    data_through integer NOT NULL,
    start_slot   integer NOT NULL,
    end_slot     integer NOT NULL,
    object_key   text NOT NULL,
    scored_at    timestamptz,
    settled      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (customer_no, horizon, issued_at)
);
CREATE INDEX forecast_issue_unsettled ON forecast_issue (end_slot) WHERE NOT settled;

INSERT INTO forecast_issue (customer_no, horizon, issued_at, model_id, week, version, data_through,
                            start_slot, end_slot, object_key)
SELECT DISTINCT ON (customer_no, issued_at) customer_no, horizon, issued_at, model_id, week,
       version, data_through, start_slot, start_slot + jsonb_array_length(quantiles), object_key
FROM forecast ORDER BY customer_no, issued_at, target;

-- Sums per part of the day (six of four hours), so that any selection has its WQL and coverage.
CREATE TABLE forecast_score (
    customer_no integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    target      text NOT NULL,
    horizon     text NOT NULL,
    issued_at   timestamptz NOT NULL,
    model_id    text NOT NULL REFERENCES model,
    end_slot    integer NOT NULL,
    loss        double precision[] NOT NULL,
    size        double precision[] NOT NULL,
    slots       integer[] NOT NULL,
    below       integer[] NOT NULL,
    above       integer[] NOT NULL,
    days        integer NOT NULL,
    days_inside integer NOT NULL,
    PRIMARY KEY (customer_no, target, horizon, issued_at)
);
CREATE INDEX forecast_score_recent ON forecast_score (end_slot);

-- The champion of late against what it was at its gate; the newest finding per model and target.
CREATE TABLE forecast_drift (
    model_id    text NOT NULL REFERENCES model,
    target      text NOT NULL,
    checked_at  timestamptz NOT NULL,
    forecasts   integer NOT NULL,
    customers   integer NOT NULL,
    wql         double precision,
    wql_low     double precision,
    wql_at_gate double precision,
    is_drifting boolean NOT NULL,
    reason      text NOT NULL,
    job_id      text,
    PRIMARY KEY (model_id, target)
);
