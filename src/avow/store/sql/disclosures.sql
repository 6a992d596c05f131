-- How private values and the keys of persons are read.

-- name: keep_key
-- The key of a person, made if there is none.
SELECT key, wrapped, kek FROM avow.keep_subject_key($1, $2, $3, $4, $5)

-- name: disclosures
-- What stands behind these digests of one record, with the key that it is encrypted with; or by which entry it was erased.
SELECT d.field, d.digest, d.nonce, d.ciphertext, k.key, k.subject, k.wrapped, k.kek, a.entry AS erased_at
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.disclosure t WHERE t.tenant = s.tenant AND t.kind = $2 AND t.id = $3 AND t.digest = ANY ($4) OFFSET 0
) AS d
LEFT JOIN avow.subject_key k ON k.tenant = d.tenant AND k.key = d.key
LEFT JOIN avow.audit a ON a.tenant = d.tenant AND a.kind = d.erased_kind AND a.id = d.erased_id AND a.version = d.erased_version
