-- Entries of the audit log that are older than it is kept for may go, behind a sealed anchor.

-- "The entries up to this link were dropped on purpose": an HMAC under the secret key says so, the
-- links themselves stay. A newer anchor covers what an older one did.
CREATE TABLE audit_anchor (
    seal_no bigint PRIMARY KEY REFERENCES audit_seal,
    last_no bigint NOT NULL,
    mac     bytea NOT NULL,
    key_id  text NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER audit_anchor_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchor
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DROP TRIGGER audit_append_only ON audit;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Without an anchor this refuses every deletion, as before.
CREATE FUNCTION refuse_unanchored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone
               WHERE audit_no > coalesce((SELECT max(last_no) FROM audit_anchor), 0)) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_kept AFTER DELETE ON audit REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unanchored();
