-- Devices: settings from afar, pairing, Digest, rotation with an overlap; what only exists per day.

ALTER TABLE device
    ADD COLUMN post_interval_s integer CHECK (post_interval_s BETWEEN 60 AND 86400),
    ADD COLUMN paused          boolean NOT NULL DEFAULT false,
    ADD COLUMN skew_recent     real[] NOT NULL DEFAULT '{}';
UPDATE device SET skew_recent = ARRAY[clock_skew_s] WHERE clock_skew_s IS NOT NULL;

-- What Digest needs of the secret, sealed; keys made before have none.
ALTER TABLE api_key ADD COLUMN ha1 bytea;

-- A device that is about to be paired. Only hashes of its codes are kept: `code_sha` of the short
-- one that a person types or scans, `device_sha` of the long one that a device polls with (absent
-- when the customer's page began, and the device redeems the short one).
CREATE TABLE pairing (
    code_sha    bytea PRIMARY KEY,
    device_sha  bytea UNIQUE,
    kind        text NOT NULL,
    name        text NOT NULL,
    app_version text,
    customer_no integer REFERENCES customer ON DELETE CASCADE,
    state       text NOT NULL CHECK (state IN ('pending', 'offered', 'approved', 'denied')),
    interval_s  integer NOT NULL,
    polled_at   timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX pairing_expires ON pairing (expires_at);
CREATE INDEX pairing_customer ON pairing (customer_no);

-- Totals of a day that were never measured by the quarter hour. `origin` is empty, or the upload
-- that brought them, so that an upload can be taken back. Never mixed into slots.
CREATE TABLE daily_summary (
    customer_no   integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    day           date NOT NULL,
    provenance    text NOT NULL,
    origin        text NOT NULL DEFAULT '',
    recorded_at   timestamptz NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    steps                 integer,
    active_score          integer,
    activity_kcal         real,
    bmr_kcal              real,
    out_kcal              real,
    marginal_kcal         real,
    total_distance        real,
    tracker_distance      real,
    logged_distance       real,
    very_active_distance  real,
    moderate_distance     real,
    light_distance        real,
    sedentary_distance    real,
    very_active_min       integer,
    light_min             integer,
    sedentary_min         integer,
    resting_heart_rate_bpm integer,
    heart_zones   jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (customer_no, day, provenance, origin)
);

-- What the predecessor's clients know of a person beside name and e-mail.
CREATE TABLE legacy_profile (
    customer_no integer PRIMARY KEY REFERENCES customer ON DELETE CASCADE,
    uname       text,
    fname       text,
    lname       text,
    gender      text,
    phone       text,
    address     text,
    city        text,
    state       text,
    zipcode     text,
    bio         text
);
CREATE UNIQUE INDEX legacy_profile_uname ON legacy_profile (lower(uname));
