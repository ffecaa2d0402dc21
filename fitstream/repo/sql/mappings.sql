-- name: newest_for_update -> Mapping
-- The newest version of a name, locked against another that would follow it.
SELECT m.mapping_no, p.id AS programme, m.name, m.version, m.spec, m.created_by, m.created_at,
       (SELECT count(*) FROM upload u WHERE u.mapping_no = m.mapping_no)::int AS uploads
FROM schema_mapping m JOIN programme p USING (programme_no)
WHERE m.programme_no = $1 AND m.name = $2 ORDER BY m.version DESC LIMIT 1 FOR UPDATE OF m

-- name: insert_mapping -> Mapping
-- The next version of a name.
INSERT INTO schema_mapping (programme_no, name, version, spec, created_by)
VALUES ($1, $2, $3, $4, $5)
RETURNING mapping_no, (SELECT id FROM programme p WHERE p.programme_no = $1) AS programme, name,
          version, spec, created_by, created_at, 0 AS uploads

-- name: find_mapping -> Mapping
-- One version of a name, the newest by default.
SELECT m.mapping_no, p.id AS programme, m.name, m.version, m.spec, m.created_by, m.created_at,
       (SELECT count(*) FROM upload u WHERE u.mapping_no = m.mapping_no)::int AS uploads
FROM schema_mapping m JOIN programme p USING (programme_no)
WHERE m.programme_no = $1 AND m.name = $2 AND ($3::int IS NULL OR m.version = $3)
ORDER BY m.version DESC LIMIT 1

-- name: list_mappings -> Mapping
-- The newest version of every name, by name.
SELECT DISTINCT ON (m.name)
       m.mapping_no, p.id AS programme, m.name, m.version, m.spec, m.created_by, m.created_at,
       (SELECT count(*) FROM upload u WHERE u.mapping_no = m.mapping_no)::int AS uploads
FROM schema_mapping m JOIN programme p USING (programme_no)
WHERE m.programme_no = $1 AND m.name > $2 ORDER BY m.name, m.version DESC LIMIT $3

-- name: list_mapping_versions -> Mapping
-- Every version of a name, newest first.
SELECT m.mapping_no, p.id AS programme, m.name, m.version, m.spec, m.created_by, m.created_at,
       (SELECT count(*) FROM upload u WHERE u.mapping_no = m.mapping_no)::int AS uploads
FROM schema_mapping m JOIN programme p USING (programme_no)
WHERE m.programme_no = $1 AND m.name = $2 ORDER BY m.version DESC LIMIT 200
