-- Lists that may be long, in the orders that people ask for: each is read in its order from an index.
-- Customers by e-mail have theirs (`customer_email`), and short lists need none. Customers by last
-- contact have none on purpose: every post would have to keep it up to date.
CREATE INDEX customer_by_name ON customer (lower(name), customer_no) WHERE name IS NOT NULL;
CREATE INDEX customer_by_external_id ON customer (lower(external_id), customer_no)
    WHERE external_id IS NOT NULL;
CREATE INDEX job_by_done_at ON job (done_at, id) WHERE done_at IS NOT NULL;
CREATE INDEX job_by_kind ON job (kind, id);
CREATE INDEX audit_by_action ON audit (action, audit_no);

-- The staff and programs' keys are few among the accounts of customers and the keys of devices.
CREATE INDEX account_of_staff ON account (account_no) WHERE role <> 'customer';
CREATE INDEX api_key_of_program ON api_key (created_at, id) WHERE kind = 'program';
