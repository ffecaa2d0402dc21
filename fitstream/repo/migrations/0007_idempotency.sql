-- Answers to calls that carried an Idempotency-Key, kept for a day.

-- `key_sha` is of caller and key, `call_sha` of method, address and body. The answer lies sealed
-- under the caller's own key, which is stored nowhere: it may hold a device key that is shown once.
CREATE TABLE idempotency (
    key_sha    bytea PRIMARY KEY,
    call_sha   bytea NOT NULL,
    answer     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_age ON idempotency (created_at);
