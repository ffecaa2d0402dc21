-- name: remember
-- Hashes of ids that are erased from now on; one that is known already stays as it is.
INSERT INTO erased (id_sha256) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING

-- name: among -> Erased
-- Which of these hashes belong to erased ids.
SELECT id_sha256 FROM erased WHERE id_sha256 = ANY($1::bytea[])
