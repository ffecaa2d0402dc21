-- name: take
-- Takes one token of a bucket that holds $2 and regains $3 a second; no row: there was none.
INSERT INTO throttle AS t (key, tokens, at) VALUES ($1, $2::float8 - 1, clock_timestamp())
ON CONFLICT (key) DO UPDATE SET at = clock_timestamp(), tokens = least($2::float8,
    t.tokens + extract(epoch FROM clock_timestamp() - t.at)::float8 * $3::float8) - 1
WHERE least($2::float8,
    t.tokens + extract(epoch FROM clock_timestamp() - t.at)::float8 * $3::float8) >= 1
RETURNING tokens

-- name: level
-- What a bucket holds by now; locked until the transaction ends.
INSERT INTO throttle AS t (key, tokens, at) VALUES ($1, $2::float8, clock_timestamp())
ON CONFLICT (key) DO UPDATE SET at = clock_timestamp(), tokens = least($2::float8,
    t.tokens + extract(epoch FROM clock_timestamp() - t.at)::float8 * $3::float8)
RETURNING tokens

-- name: spend
-- The tokens that were taken from it.
UPDATE throttle SET tokens = tokens - $2::float8 WHERE key = $1

-- name: give_back
-- Puts tokens back; never more than a bucket holds.
UPDATE throttle SET tokens = least($2::float8, tokens + 1) WHERE key = $1

-- name: forget
-- Buckets that have been full again for long.
DELETE FROM throttle WHERE at < clock_timestamp() - interval '1 day'

-- name: take_some
-- Takes one token, or the last part of one; never refuses.
INSERT INTO throttle AS t (key, tokens, at) VALUES ($1, $2::float8 - 1, clock_timestamp())
ON CONFLICT (key) DO UPDATE SET at = clock_timestamp(), tokens = greatest(0, least($2::float8,
    t.tokens + extract(epoch FROM clock_timestamp() - t.at)::float8 * $3::float8) - 1)
RETURNING tokens
