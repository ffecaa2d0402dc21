-- A trace asks which datasets a week went into.
CREATE INDEX dataset_member_week ON dataset_member (customer_no, week);
