-- name: profile_of -> LegacyProfile
-- What old clients show of a customer.
SELECT c.customer_no, c.name, c.email, c.zone, p.uname, p.fname, p.lname, p.gender, p.phone,
       p.address, p.city, p.state, p.zipcode, p.bio, c.sex, c.picture_key IS NOT NULL AS has_picture,
       a.email AS login, a.email_verified_at IS NOT NULL AS is_verified
FROM customer c LEFT JOIN legacy_profile p USING (customer_no)
LEFT JOIN account a USING (customer_no)
WHERE c.customer_no = $1

-- name: set_profile
-- The fields that are given; NULL leaves one as it is.
INSERT INTO legacy_profile AS p (customer_no, fname, lname, gender, phone, address, city, state,
                                 zipcode, bio)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (customer_no) DO UPDATE SET
    fname = coalesce(excluded.fname, p.fname), lname = coalesce(excluded.lname, p.lname),
    gender = coalesce(excluded.gender, p.gender), phone = coalesce(excluded.phone, p.phone),
    address = coalesce(excluded.address, p.address), city = coalesce(excluded.city, p.city),
    state = coalesce(excluded.state, p.state), zipcode = coalesce(excluded.zipcode, p.zipcode),
    bio = coalesce(excluded.bio, p.bio)

-- name: set_uname
-- The name that an old client logs in with, beside the address.
UPDATE legacy_profile SET uname = $2 WHERE customer_no = $1

-- name: email_of
-- The address behind such a name.
SELECT a.email FROM legacy_profile p JOIN account a USING (customer_no)
WHERE lower(p.uname) = lower($1)
