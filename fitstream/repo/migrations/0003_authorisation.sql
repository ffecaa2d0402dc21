-- Roles by programme, programs' keys, sessions that can be told apart, OAuth 2.0, the audit log.

-- Numbers of the programmes a person, key or client may see; NULL: all of them.
ALTER TABLE account ADD COLUMN programmes integer[];
ALTER TABLE api_key
    ADD COLUMN programmes integer[],
    ADD COLUMN scopes     text[] NOT NULL DEFAULT '{}',
    ADD COLUMN expires_at timestamptz;

ALTER TABLE session
    ADD COLUMN id    text NOT NULL UNIQUE
                     DEFAULT 'ses_' || replace(gen_random_uuid()::text, '-', ''),
    ADD COLUMN agent text NOT NULL DEFAULT '';

CREATE TABLE oauth_client (
    client_no     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            text NOT NULL UNIQUE,
    name          text NOT NULL,
    secret_sha    bytea,  -- NULL: a public client, which cannot keep a secret
    redirect_uris text[] NOT NULL,
    grants        text[] NOT NULL,
    scopes        text[] NOT NULL,
    programmes    integer[],
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

-- What a customer granted to a client, or a client to itself: all tokens of one family die with it.
CREATE TABLE oauth_family (
    family_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text NOT NULL UNIQUE,
    client_no   integer NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
    account_no  integer REFERENCES account ON DELETE CASCADE,
    customer_no integer REFERENCES customer ON DELETE CASCADE,
    device_no   integer REFERENCES device ON DELETE CASCADE,
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    reason      text NOT NULL DEFAULT ''
);
CREATE INDEX oauth_family_account ON oauth_family (account_no) WHERE revoked_at IS NULL;
CREATE INDEX oauth_family_customer ON oauth_family (customer_no) WHERE revoked_at IS NULL;
CREATE INDEX oauth_family_device ON oauth_family (device_no) WHERE revoked_at IS NULL;
CREATE INDEX oauth_family_client ON oauth_family (client_no) WHERE revoked_at IS NULL;
CREATE INDEX oauth_family_expiry ON oauth_family (expires_at);

-- Access and refresh tokens; `parent_sha` is the refresh token that was exchanged for this one.
CREATE TABLE oauth_token (
    token_sha  bytea PRIMARY KEY,
    family_no  bigint NOT NULL REFERENCES oauth_family ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('access', 'refresh')),
    scopes     text[] NOT NULL,
    parent_sha bytea,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz
);
CREATE INDEX oauth_token_family ON oauth_token (family_no);
CREATE INDEX oauth_token_parent ON oauth_token (parent_sha) WHERE parent_sha IS NOT NULL;
CREATE INDEX oauth_token_expiry ON oauth_token (expires_at);

CREATE TABLE oauth_code (
    code_sha       bytea PRIMARY KEY,
    client_no      integer NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
    account_no     integer NOT NULL REFERENCES account ON DELETE CASCADE,
    customer_no    integer NOT NULL REFERENCES customer ON DELETE CASCADE,
    device_no      integer REFERENCES device ON DELETE CASCADE,
    redirect_uri   text NOT NULL,
    scopes         text[] NOT NULL,
    code_challenge text NOT NULL,
    expires_at     timestamptz NOT NULL,
    used_at        timestamptz,
    family_no      bigint REFERENCES oauth_family ON DELETE CASCADE
);
CREATE INDEX oauth_code_expiry ON oauth_code (expires_at);

CREATE TABLE oauth_device_code (
    device_code_sha bytea PRIMARY KEY,
    user_code       text NOT NULL UNIQUE,
    client_no       integer NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
    scopes          text[] NOT NULL,
    state           text NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'approved', 'denied', 'used')),
    account_no      integer REFERENCES account ON DELETE CASCADE,
    customer_no     integer REFERENCES customer ON DELETE CASCADE,
    device_no       integer REFERENCES device ON DELETE CASCADE,
    interval_s      integer NOT NULL,
    polled_at       timestamptz,
    expires_at      timestamptz NOT NULL
);
CREATE INDEX oauth_device_code_expiry ON oauth_device_code (expires_at);

-- Who did what to whom: numbers that are never used again, no names, no values. No references,
-- so that an entry outlives what it tells of.
CREATE TABLE audit (
    audit_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL CHECK (actor ~ '^[a-z]+$'),
    actor_no     bigint,
    via          text NOT NULL DEFAULT '' CHECK (via ~ '^[A-Za-z0-9_.-]{0,64}$'),
    action       text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    subject      text NOT NULL DEFAULT '' CHECK (subject ~ '^([a-z_]+:[A-Za-z0-9_.-]{1,64})?$'),
    customer_no  integer,
    programme_no integer,
    fields       text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_customer ON audit (customer_no, audit_no) WHERE customer_no IS NOT NULL;

-- Links of the chain: each covers the entries after the one before it.
CREATE TABLE audit_seal (
    seal_no  bigint PRIMARY KEY,
    last_no  bigint NOT NULL UNIQUE,
    entries  integer NOT NULL,
    hash     bytea NOT NULL,
    mac      bytea NOT NULL,
    key_id   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
