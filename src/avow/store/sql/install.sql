-- Making roles, schemas and tables, and comparing them with a declaration.

-- name: server_version
SELECT current_setting('server_version_num')::int

-- name: installed
SELECT to_regclass('avow.audit') IS NOT NULL

-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtext('avow.install'))

-- name: role_exists
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)

-- name: is_superuser
SELECT rolsuper FROM pg_roles WHERE rolname = session_user

-- name: database_exists
SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)

-- name: latest_boundary
SELECT fingerprint, description FROM avow.boundary ORDER BY first_seen DESC LIMIT 1

-- name: record_boundary
INSERT INTO avow.boundary (fingerprint, description) VALUES ($1, $2)
ON CONFLICT (fingerprint) DO UPDATE SET first_seen = clock_timestamp()

-- name: record_edge
INSERT INTO avow.edge (boundary, kind, transition, source, target) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- name: count_in_state
SELECT count(*) FROM @{table} WHERE state = $1

-- name: constraints
SELECT conname AS name, obj_description(c.oid, 'pg_constraint') AS comment, false AS index_only
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = $2 AND obj_description(c.oid, 'pg_constraint') IS NOT NULL
UNION ALL
SELECT i.relname, obj_description(i.oid, 'pg_class'), true
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = $2 AND obj_description(i.oid, 'pg_class') IS NOT NULL
