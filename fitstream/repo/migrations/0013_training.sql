-- Runs whose candidates are jobs of their own, models of one customer, and models that have seen the
-- data of somebody who has withdrawn since.

-- `plan` is fixed before anything is trained. A customer's run adapts the model `base_model_id`.
ALTER TABLE training_run
    ADD COLUMN plan          jsonb,
    ADD COLUMN customer_no   integer,
    ADD COLUMN base_model_id text;
CREATE INDEX training_run_customer ON training_run (customer_no) WHERE customer_no IS NOT NULL;

-- What a candidate has come to: a checkpoint on its way, its weights at the end. Gone with its run.
CREATE TABLE training_trial (
    job_id     text PRIMARY KEY REFERENCES job ON DELETE CASCADE,
    run_id     text NOT NULL,
    state      bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE training_trial ALTER COLUMN state SET STORAGE EXTERNAL;
CREATE INDEX training_trial_run ON training_trial (run_id);

-- One champion per programme, and one per customer beside it. `served_since`: when it became one.
ALTER TABLE model
    ADD COLUMN customer_no   integer,
    ADD COLUMN base_model_id text REFERENCES model,
    ADD COLUMN flagged_at    timestamptz,
    ADD COLUMN served_since  timestamptz;
UPDATE model SET served_since = created_at WHERE stage = 'champion';
DROP INDEX model_champion;
CREATE UNIQUE INDEX model_champion ON model (programme_no)
    WHERE stage = 'champion' AND customer_no IS NULL;
CREATE UNIQUE INDEX model_champion_of ON model (customer_no)
    WHERE stage = 'champion' AND customer_no IS NOT NULL;
CREATE INDEX model_dataset ON model (dataset_hash);
CREATE INDEX model_flagged ON model (flagged_at) WHERE flagged_at IS NOT NULL;

-- Customers whose model wants to be made anew, since when.
CREATE TABLE adapt_due (
    customer_no integer PRIMARY KEY REFERENCES customer ON DELETE CASCADE,
    since       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX adapt_due_since ON adapt_due (since);
