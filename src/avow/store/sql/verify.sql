-- Reads of `avow verify`. All of them run in one REPEATABLE READ, READ ONLY transaction, so that they agree
-- with each other while commands go on. Nothing here writes.

-- name: verify_begin
-- One snapshot for everything that follows; it is never committed, only left.
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: verify_end
-- Leave the snapshot.
ROLLBACK

-- name: verify_settings
-- No parallel workers: a verification takes one core of the server at most. Nothing may cut it off.
SELECT set_config('max_parallel_workers_per_gather', '0', true),
       set_config('idle_in_transaction_session_timeout', '0', true),
       set_config('statement_timeout', '0', true)

-- name: verify_scope
-- Which tenants this transaction sees: one, or all (as a superuser, or as the owner role).
SELECT set_config('avow.tenant', coalesce($1::text, ''), true),
       set_config('avow.scope', CASE WHEN $1::text IS NULL THEN 'all' ELSE '' END, true)

-- name: verify_rights
-- Whether the login is a superuser, whether it may act as the owner, and whether it may see what is behind private values.
SELECT r.rolsuper OR r.rolbypassrls AS sees_all,
       to_regrole($1) IS NOT NULL AND pg_has_role(session_user, to_regrole($1), 'MEMBER') AS is_owner,
       has_table_privilege(to_regclass('avow.disclosure'), 'SELECT') AS sees_private,
       to_regclass('avow.audit') IS NOT NULL AS installed
FROM pg_roles r WHERE r.rolname = session_user

-- name: verify_count
-- How many entries there are to check.
SELECT count(*) FROM avow.audit WHERE $1::text IS NULL OR tenant = $1

-- name: verify_export
-- The name of this snapshot, for other connections that are to read what this one reads.
SELECT pg_export_snapshot()

-- name: verify_last
-- The last record that there are entries of, in the order of the index on (tenant, kind, id, version).
SELECT a.tenant, a.kind, a.id::text FROM avow.audit a WHERE $1::text IS NULL OR a.tenant = $1
ORDER BY a.tenant DESC, a.kind DESC, a.id DESC, a.version DESC LIMIT 1

-- name: verify_cuts
-- Records at about equal distances in that order, behind a given one: of a sample of pages, every so many.
SELECT c.tenant, c.kind, c.id::text FROM (
    SELECT a.tenant, a.kind, a.id, row_number() OVER (ORDER BY a.tenant, a.kind, a.id) AS place, count(*) OVER () AS found
    FROM avow.audit a TABLESAMPLE SYSTEM ($5) REPEATABLE (1)
    WHERE ($1::text IS NULL OR a.tenant = $1) AND (a.tenant, a.kind, a.id) > ($2::text, $3::text, $4::uuid)
) AS c WHERE c.place % greatest(c.found / $6::bigint, 1) = 0
GROUP BY c.tenant, c.kind, c.id ORDER BY c.tenant, c.kind, c.id

-- name: verify_entries
-- The next entries up to a record, in the order of that index.
SELECT a.entry, a.tenant, a.kind, a.id::text, a.version, a.header, a.hash, a.at
FROM avow.audit a
WHERE (a.tenant, a.kind, a.id, a.version) > ($1::text, $2::text, $3::uuid, $4::bigint)
  AND (a.tenant, a.kind, a.id) <= ($5::text, $6::text, $7::uuid)
ORDER BY a.tenant, a.kind, a.id, a.version LIMIT $8

-- name: verify_rows
-- The live rows of these records, every field in the form that entries have it in.
SELECT r.tenant, r.id::text, r.version, r.state, r.head, r.boundary, @{changed_at}@{fields}@{performers}
FROM unnest($1::text[], $2::uuid[]) AS w (tenant, id)
CROSS JOIN LATERAL (SELECT * FROM @{table} t WHERE t.tenant = w.tenant AND t.id = w.id LIMIT 1) AS r

-- name: verify_row_count
-- How many rows an entity has.
SELECT count(*) FROM @{table} WHERE $1::text IS NULL OR tenant = $1

-- name: verify_rows_without_history
-- Rows that no entry speaks of.
SELECT r.tenant, r.id::text, r.version FROM @{table} r
WHERE ($1::text IS NULL OR r.tenant = $1)
  AND NOT EXISTS (SELECT FROM avow.audit a WHERE a.tenant = r.tenant AND a.kind = $2 AND a.id = r.id)
ORDER BY r.tenant, r.id LIMIT $3

-- name: verify_work
-- What the queue has of these records of one kind: calls and times. Not what is parked ($4) or delivered ($5), which
-- no entry asks for.
SELECT q.tenant, q.id::text, q.name, q.version, q.destination <> '' AS call, @{due} AS due, q.request
FROM unnest($1::text[], $2::uuid[]) AS w (tenant, id)
JOIN avow.work q ON q.tenant = w.tenant AND q.id = w.id AND q.kind = $3
WHERE q.topic = '' AND q.destination <> $4 AND NOT starts_with(q.destination, $5)

-- name: verify_tasks
-- What commands people are asked to give to these records of one kind.
SELECT k.tenant, k.id::text, k.step FROM unnest($1::text[], $2::uuid[]) AS w (tenant, id)
JOIN avow.task k ON k.tenant = w.tenant AND k.kind = $3 AND k.id = w.id AND k.work IS NULL

-- name: verify_stuck
-- Work that is stuck and that nobody is asked for, and tasks of work that isn't stuck, at most $2 of each.
(SELECT w.tenant, w.kind, w.id::text, w.version, w.name, true AS missing
 FROM avow.work w LEFT JOIN avow.task k ON k.tenant = w.tenant AND k.work = w.work
 WHERE w.stuck IS NOT NULL AND ($1::text IS NULL OR w.tenant = $1) AND k.task IS NULL ORDER BY w.work LIMIT $2)
UNION ALL
(SELECT k.tenant, k.kind, k.id::text, 0, k.step, false
 FROM avow.task k LEFT JOIN avow.work w ON w.work = k.work AND w.tenant = k.tenant AND w.stuck IS NOT NULL
 WHERE k.work IS NOT NULL AND ($1::text IS NULL OR k.tenant = $1) AND w.work IS NULL ORDER BY k.work LIMIT $2)

-- name: verify_passed
-- The times of these records of one kind that passed because their guard didn't hold, or that somebody has skipped.
SELECT p.key FROM unnest($1::text[], $2::uuid[]) AS w (tenant, id)
JOIN avow.attempt p ON p.tenant = w.tenant AND p.kind = $3 AND p.id = w.id WHERE p.outcome = 'passed'
UNION
SELECT i.key FROM unnest($1::text[], $2::uuid[]) AS w (tenant, id)
JOIN avow.intervention i ON i.tenant = w.tenant AND i.kind = $3 AND i.id = w.id WHERE i.action = 'skip'

-- name: verify_payloads
-- Which of these long values are there, and whether each has the hash that it is found by.
SELECT p.tenant, p.sha256, sha256(p.data) = p.sha256 AS sound
FROM unnest($1::text[], $2::bytea[]) AS w (tenant, sha256)
CROSS JOIN LATERAL (
    SELECT * FROM avow.payload q WHERE q.tenant = w.tenant AND q.sha256 = w.sha256 LIMIT 1) AS p

-- name: verify_boundaries
-- Every boundary that was ever in force.
SELECT fingerprint, description FROM avow.boundary

-- name: verify_edges
-- The transitions that commits are checked against.
SELECT encode(boundary, 'hex'), kind, transition, nullif(source, ''), target FROM avow.edge

-- name: verify_tables
-- The tables in the schema of the entities.
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')

-- name: verify_inheriting
-- Tables whose rows are read as rows of the tables of entities, or of Avow's own.
SELECT i.inhrelid::regclass::text, i.inhparent::regclass::text
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ($1, 'avow') AND c.relkind IN ('r', 'p') ORDER BY 1, 2

-- name: verify_disclosures
-- What is kept behind the private values of these entries, with its key and, for its keyed hash, the tenant's; of what was
-- erased, the entry that is said to have done it.
SELECT d.tenant, d.kind, d.id::text, d.version, d.field, d.digest, d.erased_id IS NOT NULL AS erased,
       a.entry AS erased_at, a.header AS erased_by, d.erased_kind, d.erased_id::text, d.erased_version,
       d.nonce, d.ciphertext, d.blind, k.key, k.subject, k.wrapped, k.kek,
       t.key AS tenant_key, t.wrapped AS tenant_wrapped, t.kek AS tenant_kek
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[]) AS w (tenant, kind, id, version)
JOIN avow.disclosure d ON d.tenant = w.tenant AND d.kind = w.kind AND d.id = w.id AND d.version = w.version
LEFT JOIN avow.subject_key k ON k.tenant = d.tenant AND k.key = d.key
LEFT JOIN avow.subject_key t ON t.tenant = d.tenant AND t.subject = '' AND d.blind IS NOT NULL
LEFT JOIN avow.audit a ON a.tenant = d.tenant AND a.kind = d.erased_kind AND a.id = d.erased_id AND a.version = d.erased_version

-- name: verify_mentions
-- The newest entries up to a version of each of these records that may set a field.
SELECT w.tenant, w.kind, w.id::text, w.field, a.version, a.header
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bigint[]) AS w (tenant, kind, id, field, version)
CROSS JOIN LATERAL (
    SELECT a.version, a.header FROM avow.audit a
    WHERE a.tenant = w.tenant AND a.kind = w.kind AND a.id = w.id AND a.version <= w.version
      AND position(convert_to('"' || w.field || '"', 'UTF8') IN a.header) > 0
    ORDER BY a.version DESC LIMIT $6
) AS a

-- name: verify_leaves
-- Where the logs have some entries, by their numbers.
SELECT w.entry, l.epoch, l.index
FROM unnest($1::bigint[]) AS w (entry)
CROSS JOIN LATERAL (SELECT * FROM avow.leaf f WHERE f.entry = w.entry LIMIT 1) AS l
ORDER BY w.entry

-- name: verify_blind
-- Rows whose keyed hash of a private value isn't that of the value that they name, as far as that is kept.
SELECT r.tenant, r.id::text, r.version FROM @{table} r
LEFT JOIN avow.disclosure d ON d.tenant = r.tenant AND d.kind = @{kind} AND d.id = r.id AND d.field = @{field} AND d.digest = r.@{column}
WHERE ($1::text IS NULL OR r.tenant = $1) AND r.@{blind} IS DISTINCT FROM d.blind
  AND (d.digest IS NOT NULL OR r.@{column} IS NULL)
ORDER BY 1, 2 LIMIT $2

-- name: verify_logs
-- The logs, and how far each has come by what is said of it; null where the newest checkpoint says nothing.
SELECT l.epoch, l.origin, l.key, l.previous, coalesce(s.size, c.size) AS size, s.stack, c.size AS covered
FROM avow.log l LEFT JOIN avow.log_state s ON s.epoch = l.epoch
LEFT JOIN LATERAL (SELECT max(k.size) AS size FROM avow.checkpoint k WHERE k.epoch = l.epoch) c ON true
ORDER BY l.epoch

-- name: verify_cosignatures
-- What is kept as signed by witnesses, with the checkpoints that it is for.
SELECT w.size, w.key, w.line, c.note FROM avow.cosignature w
LEFT JOIN avow.checkpoint c ON c.epoch = w.epoch AND c.size = w.size
WHERE w.epoch = $1 AND w.size > $2 ORDER BY w.size, w.key LIMIT $3

-- name: verify_leaf_hashes
-- The hashes of some leaves, of all tenants.
SELECT avow.leaf_hashes($1, $2, $3)

-- name: verify_leaf_owners
-- Those of the leaves whose entry is gone, or is another one. In the order of numbers, in which both tables lie.
SELECT l.index, l.entry, coalesce(l.tenant, ''), coalesce(l.kind, ''), coalesce(l.id::text, ''), coalesce(l.version, 0),
       a.entry IS NULL AS gone
FROM avow.leaf l LEFT JOIN avow.audit a ON a.entry = l.entry
WHERE l.epoch = $1 AND l.index >= $2 AND l.index < $3 AND (l.entry IS NOT NULL OR l.index > 0 OR l.epoch = 1)
  AND (a.tenant, a.kind, a.id, a.version, a.hash) IS DISTINCT FROM (l.tenant, l.kind, l.id, l.version, l.hash)
  AND (a.entry IS NOT NULL OR NOT coalesce((
      SELECT l.index < d.upto FROM avow.dropped d WHERE d.epoch = l.epoch AND d.first <= l.index
      ORDER BY d.first DESC LIMIT 1), false))
ORDER BY l.index LIMIT $4

-- name: verify_dropped
-- How many leaves are of entries that were dropped; when last, and where they were exported to.
SELECT sum(d.upto - d.first)::bigint AS leaves, max(d.at) AS at,
       (array_agg(d.exported_to ORDER BY d.epoch DESC, d.first DESC))[1] AS exported_to
FROM avow.dropped d HAVING count(*) > 0

-- name: verify_stubs
-- What the first entries of these records that are left go on from: the last one dropped, as the log has it.
SELECT s.tenant, s.kind, s.id::text, s.version, s.entry, l.hash
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS w (tenant, kind, id)
JOIN avow.stub s ON s.tenant = w.tenant AND s.kind = w.kind AND s.id = w.id
JOIN avow.leaf l ON l.entry = s.entry
    AND (l.tenant, l.kind, l.id, l.version) IS NOT DISTINCT FROM (s.tenant, s.kind, s.id, s.version)
JOIN LATERAL (
    SELECT o.upto FROM avow.dropped o WHERE o.epoch = l.epoch AND o.first <= l.index ORDER BY o.first DESC LIMIT 1
) AS d ON l.index < d.upto

-- name: verify_leaf_names
-- Whose entries some leaves are.
SELECT l.index, coalesce(l.tenant, ''), coalesce(l.kind, ''), coalesce(l.id::text, ''), coalesce(l.version, 0)
FROM avow.leaf l WHERE l.epoch = $1 AND l.index >= $2 AND l.index < $3 ORDER BY l.index LIMIT $4

-- name: verify_nodes
-- The nodes that are complete with some leaves.
SELECT n.level, n.index, n.hash FROM generate_series(1, 7) AS v (level)
CROSS JOIN LATERAL (
    SELECT * FROM avow.node n
    WHERE n.epoch = $1 AND n.level = v.level AND n.index >= $2::bigint >> 8 * v.level AND n.index < $3::bigint >> 8 * v.level
) AS n

-- name: verify_node_count
-- How many nodes a log has.
SELECT count(*) FROM avow.node WHERE epoch = $1

-- name: verify_checkpoints
-- The checkpoints that end among some leaves.
SELECT size, root, note, at FROM avow.checkpoint WHERE epoch = $1 AND size > $2 AND size <= $3 ORDER BY size

-- name: verify_unsealed
-- How many entries have no leaf.
SELECT count(*) FROM avow.audit a
WHERE ($1::text IS NULL OR a.tenant = $1) AND NOT EXISTS (SELECT FROM avow.leaf l WHERE l.entry = a.entry)

-- name: verify_passed_over
-- Entries that have no leaf, and won't get one: their numbers have been passed.
SELECT a.tenant, a.kind, a.id::text, a.version FROM avow.audit a CROSS JOIN avow.log_state s
WHERE ($1::text IS NULL OR a.tenant = $1) AND NOT EXISTS (SELECT FROM avow.leaf l WHERE l.entry = a.entry)
  AND a.entry <= s.reached AND NOT s.unseen @> a.entry AND NOT s.settling @> a.entry
ORDER BY a.entry LIMIT $2
