-- How the sealer calls the functions of log.sql, and how logs are read.

-- name: lead
-- Be the one that seals, for as long as this connection lasts; false while another one is.
SELECT pg_try_advisory_lock(hashtext('avow.sealer'))

-- name: begin_log
-- Begin the first log, unless there is one.
SELECT avow.begin_log($1, $2)

-- name: next_log
-- End the newest log and begin another.
SELECT avow.next_log($1, $2, $3, $4, $5)

-- name: seal_due
-- Whether there is something to seal.
SELECT avow.seal_due()

-- name: seal_leaves
-- Give entries leaves; with the time that their checkpoint will have: later than that of any before it.
SELECT s.epoch, s.size, s.stack, s.hashes,
       greatest(avow.now(), (SELECT max(c.at) + interval '1 us' FROM avow.checkpoint c)) AS at
FROM avow.seal_leaves($1) s

-- name: seal_root
-- Keep the checkpoint over them.
SELECT avow.seal_root($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: newest_log
-- The newest log, how far it has come, and its newest checkpoint.
SELECT l.epoch, l.origin, l.key, s.size, s.stack, c.note
FROM avow.log_state s JOIN avow.log l ON l.epoch = s.epoch
LEFT JOIN LATERAL (SELECT note FROM avow.checkpoint k WHERE k.epoch = s.epoch ORDER BY k.size DESC LIMIT 1) c ON true

-- name: subtrees
-- The hashes below some complete subtrees: leaves at level 0, else nodes, one after the other.
SELECT CASE WHEN r.level = 0 THEN avow.leaf_hashes($1, r.first, r.upto) ELSE (
    SELECT string_agg(n.hash, ''::bytea ORDER BY n.index)
    FROM avow.node n WHERE n.epoch = $1 AND n.level = r.level AND n.index >= r.first AND n.index < r.upto) END
FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS r (level, first, upto, place)
ORDER BY r.place

-- name: checkpoint_from
-- The first checkpoint of a log that has at least so many leaves.
SELECT epoch, size, root, note, at FROM avow.checkpoint WHERE epoch = $1 AND size >= $2 ORDER BY size LIMIT 1

-- name: checkpoint_newest
-- The newest checkpoint of a log.
SELECT epoch, size, root, note, at FROM avow.checkpoint WHERE epoch = $1 ORDER BY size DESC LIMIT 1

-- name: checkpoint_at
-- The newest checkpoint of a time: what could be known then.
SELECT epoch, size, root, note, at FROM avow.checkpoint WHERE at <= $1 ORDER BY at DESC, epoch DESC, size DESC LIMIT 1

-- name: sealed_entry
-- An entry of a record with its leaf; epoch and index are null as long as it has none.
SELECT a.entry, a.version, a.header, a.hash, l.epoch, l.index
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.audit e WHERE e.tenant = s.tenant AND e.kind = $2 AND e.id = $3 AND e.version = $4 LIMIT 1) AS a
LEFT JOIN LATERAL (SELECT * FROM avow.leaf f WHERE f.entry = a.entry LIMIT 1) AS l ON true

-- name: erased_of
-- What of an entry's private values was erased, with the leaf of the entry that did it; null where that isn't sealed.
SELECT d.field, l.epoch, l.index
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT t.field, t.erased_kind, t.erased_id, t.erased_version FROM avow.disclosure t
    WHERE t.tenant = s.tenant AND t.kind = $2 AND t.id = $3 AND t.version = $4 AND t.erased_id IS NOT NULL OFFSET 0) AS d
LEFT JOIN LATERAL (
    SELECT * FROM avow.audit e
    WHERE e.tenant = s.tenant AND e.kind = d.erased_kind AND e.id = d.erased_id AND e.version = d.erased_version LIMIT 1) AS a ON true
LEFT JOIN LATERAL (SELECT * FROM avow.leaf f WHERE f.entry = a.entry LIMIT 1) AS l ON true
ORDER BY d.field

-- name: known_versions
-- The last version of each of some records that a checkpoint covers: 0 where it covers none, null where nobody can tell any
-- more, because these entries were dropped. The leaves of a record follow its versions, so the newest is asked about first,
-- and then the middle of what is left: a look at two indexes for each doubling of what came since, and not for each entry.
SELECT r.id, CASE WHEN gone.covered IS FALSE THEN NULL ELSE k.version END AS version
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL unnest($3::uuid[]) WITH ORDINALITY AS r (id, place)
LEFT JOIN LATERAL (
    SELECT a.version FROM avow.audit a WHERE a.tenant = s.tenant AND a.kind = $2 AND a.id = r.id
    ORDER BY a.version DESC LIMIT 1) AS newest ON true
LEFT JOIN LATERAL (
    SELECT b.version, EXISTS (
        SELECT FROM (SELECT * FROM avow.leaf f WHERE f.entry = b.entry LIMIT 1) AS l
        WHERE (l.epoch, l.index) < ($4::int, $5::bigint)) AS covered
    FROM avow.stub b WHERE b.tenant = s.tenant AND b.kind = $2 AND b.id = r.id LIMIT 1) AS gone ON true
CROSS JOIN LATERAL (
    WITH RECURSIVE halved (low, high, middle) AS (
        SELECT coalesce(gone.version, 0), coalesce(newest.version, 0), coalesce(newest.version, 0)
        UNION ALL
        SELECT n.low, n.high, (n.low + n.high + 1) / 2
        FROM (
            SELECT CASE WHEN m.covered THEN h.middle ELSE h.low END AS low,
                   CASE WHEN m.covered THEN h.high ELSE h.middle - 1 END AS high
            FROM halved h CROSS JOIN LATERAL (
                SELECT EXISTS (
                    SELECT FROM (
                        SELECT a.entry FROM avow.audit a
                        WHERE a.tenant = s.tenant AND a.kind = $2 AND a.id = r.id AND a.version = h.middle LIMIT 1) AS e
                    CROSS JOIN LATERAL (SELECT * FROM avow.leaf f WHERE f.entry = e.entry LIMIT 1) AS l
                    WHERE (l.epoch, l.index) < ($4::int, $5::bigint)) AS covered) AS m
            WHERE h.low < h.high) AS n
    )
    SELECT max(h.low) AS version FROM halved h) AS k
ORDER BY r.place

-- name: leaves_since
-- How many leaves all logs together have got since a checkpoint.
SELECT coalesce(sum(c.size), 0)::bigint - $2::bigint
FROM avow.log l
CROSS JOIN LATERAL (SELECT k.size FROM avow.checkpoint k WHERE k.epoch = l.epoch ORDER BY k.size DESC LIMIT 1) AS c
WHERE l.epoch >= $1::int

-- name: changed_since
-- The next records of a kind, in the order of their ids, that have entries which a checkpoint doesn't cover: sealed later, or
-- not yet. The limit of leaves is never reached; it tells the planner, whose plan is kept, that few are wanted.
SELECT c.id
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN avow.log_state AS g
CROSS JOIN LATERAL (
    SELECT l.id FROM (
        SELECT * FROM avow.leaf f WHERE f.tenant = s.tenant AND (f.epoch, f.index) >= ($3::int, $4::bigint)
        ORDER BY f.epoch, f.index LIMIT @{leaves_max}) AS l
    WHERE l.kind = $2 AND l.id > $5::uuid
    UNION
    SELECT a.id FROM unnest(g.settling + g.unseen + int8multirange(int8range(g.reached + 1, NULL))) AS u (span)
    CROSS JOIN LATERAL (
        SELECT * FROM avow.audit e
        WHERE e.tenant = s.tenant AND e.entry >= lower(u.span) AND e.entry < coalesce(upper(u.span), 9223372036854775807)
        ORDER BY e.entry LIMIT @{leaves_max}) AS a
    WHERE a.kind = $2 AND a.id > $5::uuid
    ORDER BY 1 LIMIT $6
) AS c

-- name: logs
-- All logs of this database, from the first.
SELECT l.epoch, l.origin, l.key, l.reason, l.previous, l.begun_at, c.size, c.at
FROM avow.log l
LEFT JOIN LATERAL (SELECT * FROM avow.checkpoint k WHERE k.epoch = l.epoch ORDER BY k.size DESC LIMIT 1) c ON true
ORDER BY l.epoch

-- name: see_all_tenants
-- See the entries of all tenants on this connection, as the owner or a superuser may.
SELECT set_config('avow.scope', 'all', false)

-- name: export_leaves
-- Leaves with what they are the hashes of: the header of an entry, or the checkpoint that a log goes on from.
SELECT l.hash, coalesce(a.header, CASE WHEN l.entry IS NULL THEN convert_to(g.previous, 'UTF8') END) AS data
FROM avow.leaf l JOIN avow.log g ON g.epoch = l.epoch LEFT JOIN avow.audit a ON a.entry = l.entry
WHERE l.epoch = $1 AND l.index >= $2 AND l.index < $3 ORDER BY l.index

-- name: drop_preview
-- How many leaves of a log would be dropped up to one, how many were before, and of which time the first and last are.
SELECT d.upto AS done, greatest($2::bigint - d.upto, 0) AS leaves,
       (SELECT count(*) FROM avow.leaf l JOIN avow.audit a ON a.entry = l.entry
        WHERE l.epoch = $1 AND l.index < $2::bigint) AS entries
FROM (SELECT coalesce(max(upto), 0) AS upto FROM avow.dropped WHERE epoch = $1) AS d

-- name: drop_entries
-- Drop the entries of the next leaves.
SELECT avow.drop_entries($1, $2, $3, $4, $5, $6)

-- name: dropped_of
-- Up to which version the entries of a record were dropped, when, and where they were exported to.
SELECT t.version, d.at, d.exported_to
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.stub b WHERE b.tenant = s.tenant AND b.kind = $2 AND b.id = $3 LIMIT 1) AS t
JOIN avow.leaf l ON l.entry = t.entry
JOIN LATERAL (
    SELECT o.* FROM avow.dropped o WHERE o.epoch = l.epoch AND o.first <= l.index ORDER BY o.first DESC LIMIT 1
) AS d ON l.index < d.upto

-- name: dropped_upto
-- Up to which leaf the entries of a log were dropped, when last, and where they were exported to; no row: none were.
SELECT d.upto, d.at, d.exported_to FROM avow.dropped d WHERE d.epoch = $1 ORDER BY d.first DESC LIMIT 1
