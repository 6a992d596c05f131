-- What `avow doctor` asks the server about itself. Nothing here writes.

-- name: health_server
-- Version, durability settings, checksums, WAL, and how the cluster is.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_number,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('data_checksums') AS data_checksums,
       current_setting('wal_level') AS wal_level,
       current_setting('max_wal_size') AS max_wal_size,
       current_setting('max_connections')::int AS connections_max,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS is_standby,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int AS connections,
       (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS is_superuser,
       to_regclass('avow.audit') IS NOT NULL AS installed

-- name: health_oldest_transaction
-- The longest-running transaction of this database in seconds, as far as this login may see; also of those that nobody
-- is connected to any more: prepared ones. It holds back which numbers the sealer gives up.
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - t.since)), 0)::float8
FROM (
    SELECT xact_start AS since FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    UNION ALL
    SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()
) AS t

-- name: health_ids
-- How many transaction ids, or ids of several transactions, were used since the oldest that a table of this database may
-- still need. The tables of the log are one each, however old they get, so this is what they may run out of.
SELECT greatest(age(datfrozenxid), mxid_age(datminmxid))::bigint FROM pg_database WHERE datname = current_database()

-- name: health_witnesses
-- Who has signed checkpoints of the newest log beside it: when last, in seconds, and how many leaves came since.
SELECT c.key, extract(epoch FROM avow.now() - c.at)::float8 AS ago_s, s.size - c.size AS leaves
FROM avow.log_state s CROSS JOIN LATERAL (
    SELECT DISTINCT ON (w.key) w.key, w.at, w.size FROM avow.cosignature w WHERE w.epoch = s.epoch ORDER BY w.key, w.size DESC
) AS c ORDER BY c.key

-- name: health_clock
-- How far the clock of this database is from the server's, in seconds; more than none where a test has fixed it.
SELECT abs(extract(epoch FROM avow.now() - clock_timestamp()))::float8

-- name: health_boundary
-- Whether the tables were made for this boundary.
SELECT EXISTS (SELECT FROM avow.boundary WHERE fingerprint = $1)

-- name: health_roles
-- What is wrong with the three roles: missing, may log in, or has a right that breaks the boundaries.
SELECT w.name, r.rolname IS NULL AS missing,
       coalesce(r.rolcanlogin OR r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb, false) AS too_wide
FROM unnest($1::text[]) AS w (name) LEFT JOIN pg_roles r ON r.rolname = w.name
ORDER BY w.name

-- name: health_security
-- Tables of tenants whose row-level security isn't forced, tables that the application may write, as a whole or in some
-- column, and those that were made to only grow and don't refuse every change any more. API keys are the owner's alone.
SELECT n.nspname || '.' || c.relname AS place,
       NOT (c.relrowsecurity AND c.relforcerowsecurity) AND c.relname <> 'api_key' AND EXISTS (
           SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant') AS is_open,
       has_table_privilege($2::text, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
           OR has_any_column_privilege($2::text, c.oid, 'INSERT, UPDATE') AS is_writable,
       n.nspname = 'avow' AND c.relname = ANY ($3::text[]) AND (
           SELECT count(*) FROM pg_trigger t
           WHERE t.tgrelid = c.oid AND t.tgname LIKE 'append\_only%' AND t.tgenabled = 'A') < 2 AS is_alterable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ($1, 'avow')
ORDER BY 1

-- name: health_log
-- How many leaves the newest log has, and how long the oldest entry waits for its own, in seconds; also one that was
-- committed after later numbers had been sealed. No row: there is no log.
SELECT s.size, coalesce((
    SELECT extract(epoch FROM avow.now() - min(w.at)) FROM (
        SELECT min(a.at) AS at FROM avow.audit a WHERE a.entry > s.reached
        UNION ALL
        SELECT a.at FROM unnest(s.unseen + s.settling) AS r (span)
        JOIN avow.audit a ON a.entry >= lower(r.span) AND a.entry < upper(r.span)
    ) AS w), 0)::float8 AS waits_s
FROM (SELECT set_config('avow.scope', 'all', true) OFFSET 0) AS seen CROSS JOIN avow.log_state s

-- name: health_dropped
-- Of how many leaves the entries were dropped, when last, and where those were exported to. No row: of none.
SELECT sum(d.upto - d.first)::bigint AS leaves, max(d.at) AS at,
       (SELECT l.exported_to FROM avow.dropped l ORDER BY l.at DESC, l.epoch DESC, l.first DESC LIMIT 1) AS exported_to
FROM avow.dropped d HAVING count(*) > 0

-- name: health_log_key
-- What the signatures of the newest log are checked with. No row: there is no log.
SELECT l.key FROM avow.log l ORDER BY l.epoch DESC LIMIT 1
