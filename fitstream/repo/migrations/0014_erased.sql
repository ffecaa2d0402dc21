-- SHA-256 of the public ids of customers and devices that were erased on request. Ids are 100 random
-- bits, so nothing can be told from their hashes but whether a given id is among them: what the
-- topic, the archive or a receipt still has of one is passed over, not parked and not missed.
CREATE TABLE erased (
    id_sha256 bytea PRIMARY KEY CHECK (octet_length(id_sha256) = 32),
    at        timestamptz NOT NULL DEFAULT now()
);
