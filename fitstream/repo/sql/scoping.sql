-- name: programme
-- A programme's number.
SELECT programme_no FROM programme WHERE id = $1

-- name: customer
-- The programme a customer belongs to.
SELECT programme_no FROM customer WHERE id = $1

-- name: job
-- The programme a job works for.
SELECT programme_no FROM job WHERE id = $1

-- name: model
-- The programme a model was made for.
SELECT programme_no FROM model WHERE id = $1

-- name: upload
-- The programme an upload is for.
SELECT programme_no FROM upload WHERE id = $1

-- name: letter
-- The programme of the customer who is the key of a dead record; a broken key is nobody's.
SELECT c.programme_no FROM dead_letter l JOIN customer c ON c.id = encode(l.key, 'escape')
WHERE l.id::text = $1
