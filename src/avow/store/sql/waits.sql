-- What existing records wait for since a declaration says that they do. As the owner, while the tables are changed.

-- name: timeless
-- Records that stand in the states of a time that nobody has noted for them: decided under a boundary that doesn't
-- know it. With them since when, and the instant that a field gives, if it is one. $1: the states. $2: the entity.
-- $3: the transition. $4: the boundaries that know it.
SELECT r.tenant, r.id, r.version, @{due} AS due, coalesce((
        SELECT a.at FROM avow.audit a,
            LATERAL (SELECT convert_from(a.header, 'UTF8')::jsonb AS entry) AS e
        WHERE a.tenant = r.tenant AND a.kind = $2 AND a.id = r.id
            AND e.entry ->> 'from' IS DISTINCT FROM e.entry ->> 'to'
        ORDER BY a.version DESC LIMIT 1), r.changed_at) AS since
FROM @{table} r
WHERE r.state = ANY ($1) AND r.boundary <> ALL ($4)
    AND NOT EXISTS (
        SELECT FROM avow.work w WHERE w.id = r.id AND w.name = $3 AND w.kind = $2 AND w.tenant = r.tenant)
    AND NOT EXISTS (
        SELECT FROM avow.attempt p
        WHERE p.tenant = r.tenant AND p.kind = $2 AND p.id = r.id AND p.name = $3 AND p.outcome = 'passed')

-- name: begin_time
-- Note a time for a record.
INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
VALUES ($1, $2, $3, $4, $5, '', '', $3, $6, $6, 'migrate', $7)

-- name: end_times
-- Times of an entity that are declared no longer. $1: the entity, $2: those that still are.
DELETE FROM avow.work WHERE kind = $1 AND destination = '' AND name <> ALL ($2)

-- name: calls_under_way
-- How many calls of an effect there are to be made or under way. $1: the entity, $2: the effect.
SELECT count(*) FROM avow.work WHERE kind = $1 AND name = $2 AND destination <> ''

-- name: boundaries
-- Every boundary that was ever in force.
SELECT fingerprint, description FROM avow.boundary
