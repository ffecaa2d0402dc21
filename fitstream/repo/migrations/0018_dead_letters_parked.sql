-- The overview counts what is parked every few seconds, whatever has been settled over the years.
CREATE INDEX dead_letter_parked ON dead_letter (reason, id) WHERE state = 'parked';
