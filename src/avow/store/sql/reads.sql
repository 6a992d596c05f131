-- What is read outside of commands, and what decisions are loaded with. The first row of each statement
-- sets the tenant; everything else depends on it by LATERAL and LIMIT, so that the tenant is set before
-- row-level security asks for it.

-- name: now
-- The database's time.
SELECT avow.now()

-- name: takes_writes
-- Whether the database answers with what is ours, and takes writes: a standby doesn't.
SELECT avow.now() IS NOT NULL AND current_setting('transaction_read_only') = 'off'

-- name: written_last
-- The records that the newest entries are of.
SELECT tenant, kind, id FROM avow.written_last($1)

-- name: load
-- For each of several commands of one tenant the answer that its key already has, and every record that its
-- decision may rest on, in one row, in the order of the parameters.
SELECT s.now, k.fingerprint, k.status, k.body, k.kind, k.record, k.version@{selected}
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant, avow.now() AS now OFFSET 0) AS s
CROSS JOIN LATERAL unnest($2::uuid[], $3::uuid[]@{arguments}) WITH ORDINALITY AS m (key, record@{names}, place)
LEFT JOIN LATERAL (
    SELECT * FROM avow.idempotency AS i WHERE i.tenant = s.tenant AND i.id = m.key LIMIT 1
) AS k ON true@{joins}
ORDER BY m.place

-- name: join
-- One more record of a load; all its columns are null where it isn't there.
LEFT JOIN LATERAL (
    SELECT * FROM @{table} AS t WHERE t.tenant = s.tenant AND t.id = @{wanted} LIMIT 1
) AS @{alias} ON true

-- name: page
-- The next records that an actor may read, in the order of their ids.
SELECT s.now, r.* FROM (
    SELECT set_config('avow.tenant', $1::text, true) AS tenant, $2::text AS subject, avow.now() AS now OFFSET 0
) AS s
CROSS JOIN LATERAL (
    SELECT @{columns} FROM @{table} AS t WHERE @{conditions} ORDER BY t.id LIMIT @{limit}
) AS r

-- name: remote
-- A value of the record behind a reference, of the same tenant.
(SELECT @{value} FROM @{table} AS @{alias} WHERE @{alias}.tenant = @{tenant} AND @{alias}.id = @{wanted})

-- name: list_from_json
-- A JSON array as an array of one type, in its order.
coalesce((SELECT array_agg(@{item} ORDER BY place) FROM jsonb_array_elements_text(@{source}) WITH ORDINALITY AS t(item, place)), '{}')

-- name: find
-- The record that has this value in a field that no two records share.
SELECT r.id FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT t.id FROM @{table} AS t WHERE t.tenant = s.tenant AND t.@{field} = $2 LIMIT 1) AS r

-- name: entries
-- The next audit entries of one record, up to a version. Their headers aren't looked into: one may have been edited by hand.
SELECT e.entry, e.kind, e.id, e.version, e.header, e.hash
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.audit a
    WHERE a.tenant = s.tenant AND a.kind = $2 AND a.id = $3 AND a.version > $4 AND a.version <= $5
    ORDER BY a.version LIMIT $6
) AS e

-- name: payloads
-- These long values, by their SHA-256, as far as they still exist.
SELECT encode(p.sha256, 'hex') AS sha256, p.data
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN unnest($2::bytea[]) AS w (sha256)
CROSS JOIN LATERAL (
    SELECT * FROM avow.payload q WHERE q.tenant = s.tenant AND q.sha256 = w.sha256 LIMIT 1
) AS p

-- name: boundary
-- What a boundary was.
SELECT description FROM avow.boundary WHERE fingerprint = $1

-- name: api_key
-- A live API key.
SELECT tenant, subject, roles, digest FROM avow.find_api_key($1)
