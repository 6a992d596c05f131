-- Making roles, schemas and tables, and comparing them with a declaration.

-- name: server_version
-- The server's version as a number, such as 150018.
SELECT current_setting('server_version_num')::int

-- name: encoding
-- How the database keeps text.
SELECT current_setting('server_encoding')

-- name: installed
-- Whether the tables of Avow are there.
SELECT to_regclass('avow.audit') IS NOT NULL

-- name: one_at_a_time
-- Wait for another installation in this database.
SELECT pg_advisory_xact_lock(hashtext('avow.install'))

-- name: role_exists
-- Whether the cluster has a role of this name.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)

-- name: may_act_as
-- Whether this session may take a role, without being made a member of it first.
SELECT rolsuper OR pg_has_role(session_user, $1, 'USAGE') FROM pg_roles WHERE rolname = session_user

-- name: database_exists
-- Whether the cluster has a database of this name.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)

-- name: latest_boundary
-- The boundary that the tables were made for.
SELECT fingerprint, description FROM avow.boundary ORDER BY in_force_since DESC LIMIT 1

-- name: record_boundary
-- This boundary is in force from now on, perhaps for the second time.
INSERT INTO avow.boundary (fingerprint, description) VALUES ($1, $2)
ON CONFLICT (fingerprint) DO UPDATE SET in_force_since = clock_timestamp()

-- name: record_edge
-- One transition that avow.commit lets happen under a boundary.
INSERT INTO avow.edge (boundary, kind, transition, source, target) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- name: record_destination
-- Somewhere calls go.
INSERT INTO avow.destination (destination) VALUES ($1) ON CONFLICT DO NOTHING

-- name: functions_made
-- The digest of the functions that were made last, as it was noted.
SELECT obj_description(to_regnamespace('avow'), 'pg_namespace')

-- name: count_in_state
-- How many records of an entity are in a state.
SELECT count(*) FROM @{table} WHERE state = $1

-- name: constraints
-- The constraints of a table that hold a declaration, each with the definition that it was made from.
SELECT conname AS name, obj_description(c.oid, 'pg_constraint') AS comment, false AS index_only
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = $2 AND obj_description(c.oid, 'pg_constraint') IS NOT NULL
UNION ALL
SELECT i.relname, obj_description(i.oid, 'pg_class'), true
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = $2 AND obj_description(i.oid, 'pg_class') IS NOT NULL
