-- A week ahead is scored day by day: how far ahead a day lies, 1 to 7. 0 means all days together, as
-- of other horizons, and of weeks that were scored before.
ALTER TABLE forecast_score
    ADD COLUMN lead_day smallint NOT NULL DEFAULT 0,
    DROP CONSTRAINT forecast_score_pkey,
    ADD PRIMARY KEY (customer_no, target, horizon, issued_at, lead_day);
