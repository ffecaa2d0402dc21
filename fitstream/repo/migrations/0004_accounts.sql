-- Registration, mailed links, profiles, second factors, and back-off that all gateways share.

ALTER TABLE programme ADD COLUMN open_registration boolean NOT NULL DEFAULT false;

-- What customers tell of themselves; all of it optional.
ALTER TABLE customer
    ADD COLUMN birth_date   date,
    ADD COLUMN sex          text CHECK (sex IN ('female', 'male', 'other')),
    ADD COLUMN height_cm    real CHECK (height_cm BETWEEN 50 AND 260),
    ADD COLUMN weight_kg    real CHECK (weight_kg BETWEEN 10 AND 400),
    ADD COLUMN picture_key  text,
    ADD COLUMN folder_at    timestamptz;  -- when the folder in S3 was set up
CREATE INDEX customer_without_folder ON customer (customer_no) WHERE folder_at IS NULL;

ALTER TABLE account ADD COLUMN email_verified_at timestamptz;

-- Links in mails: only the hash is stored, used ones stay until nobody can send them again.
-- A registration hangs on nobody yet: it waits in `data`, sealed, until its link expires.
CREATE TABLE account_link (
    token_sha   bytea PRIMARY KEY,
    purpose     text NOT NULL CHECK (purpose IN ('register', 'reset', 'email', 'invite')),
    account_no  integer REFERENCES account ON DELETE CASCADE,
    customer_no integer REFERENCES customer ON DELETE CASCADE,
    data        bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX account_link_account ON account_link (account_no);
CREATE INDEX account_link_customer ON account_link (customer_no);
CREATE INDEX account_link_expires ON account_link (expires_at);

CREATE TABLE second_factor (
    account_no   integer PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    secret       bytea NOT NULL,  -- sealed under the secret key
    confirmed_at timestamptz,
    last_step    bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE recovery_code (
    account_no integer NOT NULL REFERENCES account ON DELETE CASCADE,
    code_sha   bytea NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (account_no, code_sha)
);

-- Whose password was right and who still owes the second factor.
CREATE TABLE login_challenge (
    token_sha  bytea PRIMARY KEY,
    account_no integer NOT NULL REFERENCES account ON DELETE CASCADE,
    tries_left integer NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Token buckets by hashed key. Unlogged: after a crash everybody starts afresh.
CREATE UNLOGGED TABLE throttle (
    key    bytea PRIMARY KEY,
    tokens double precision NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX throttle_at ON throttle (at);
