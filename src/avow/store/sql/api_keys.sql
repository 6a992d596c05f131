-- API keys, as `avow keys` works on them: as the owner of the table. No secret is ever in a parameter.

-- name: insert_api_key
-- Keep a new key: its public id and the keyed hash of its secret.
INSERT INTO avow.api_key (id, tenant, subject, roles, digest, expires_at)
VALUES ($1, $2, $3, $4, $5, avow.now() + make_interval(days => $6))
RETURNING expires_at

-- name: list_api_keys
-- All keys of a tenant, or of all tenants; never a digest.
SELECT id, tenant, subject, roles, created_at, expires_at, revoked_at, replaced_by,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= avow.now() THEN 'expired'
            WHEN replaced_by IS NOT NULL THEN 'ending' ELSE 'live' END AS state
FROM avow.api_key WHERE $1::text IS NULL OR tenant = $1
ORDER BY created_at, id

-- name: replace_api_key
-- Put a new key in the place of a live one, which ends after an overlap in hours.
WITH fresh AS (
    INSERT INTO avow.api_key (id, tenant, subject, roles, digest, expires_at)
    SELECT $2, k.tenant, k.subject, k.roles, $3, avow.now() + make_interval(days => $4)
    FROM avow.api_key k
    WHERE k.id = $1 AND k.revoked_at IS NULL AND k.replaced_by IS NULL AND k.expires_at > avow.now()
    RETURNING id, tenant, subject, roles, expires_at
)
UPDATE avow.api_key AS k
SET replaced_by = fresh.id, expires_at = least(k.expires_at, avow.now() + make_interval(hours => $5))
FROM fresh WHERE k.id = $1
RETURNING fresh.tenant, fresh.subject, fresh.roles, fresh.expires_at, k.expires_at AS old_expires_at

-- name: revoke_api_key
-- End a key now; nothing for one that is unknown.
UPDATE avow.api_key SET revoked_at = coalesce(revoked_at, avow.now()) WHERE id = $1
RETURNING tenant, subject, revoked_at
