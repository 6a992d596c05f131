-- What a login may do, compared with what the application may.

-- name: rights
-- Everything that the login, or any role that it could become, may do beyond the application. $1: the owner,
-- $2: the application, $3: the schema of the entities. Rights of PUBLIC are in each role's.
WITH
may_become AS (
    SELECT m.* FROM pg_roles m WHERE pg_has_role(session_user, m.oid, 'MEMBER')
),
relation AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('avow', $3)
),
function AS (
    SELECT p.* FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('avow', $3)
)
SELECT session_user::text AS login,
       current_setting('server_version_num')::int AS version,
       to_regnamespace('avow') IS NOT NULL AS installed,
       to_regrole($2) IS NOT NULL AND pg_has_role(session_user, to_regrole($2), 'USAGE') AS is_application,
       bool_or(m.rolsuper) AS superuser,
       bool_or(m.rolbypassrls) AS bypasses_rows,
       bool_or(m.rolcreaterole) AS creates_roles,
       bool_or(m.rolcreatedb) AS creates_databases,
       bool_or(m.rolreplication) AS replicates,
       bool_or(m.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')) AS reaches_files,
       bool_or(m.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_maintain', 'pg_signal_backend')) AS predefined,
       bool_or(m.oid = (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database())) AS owns_database,
       bool_or(m.oid = to_regrole($1)) AS is_owner,
       EXISTS (SELECT FROM relation c JOIN may_become o ON o.oid = c.relowner)
           OR EXISTS (SELECT FROM function f JOIN may_become o ON o.oid = f.proowner) AS owns_objects,
       EXISTS (
           SELECT FROM pg_namespace n, may_become o
           WHERE n.nspname IN ('avow', $3) AND has_schema_privilege(o.oid, n.oid, 'CREATE')) AS creates_objects,
       EXISTS (
           SELECT FROM relation c, may_become o
           WHERE CASE WHEN c.relkind IN ('r', 'p') THEN
                     has_table_privilege(o.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
                     OR has_any_column_privilege(o.oid, c.oid, 'INSERT, UPDATE, REFERENCES')
                 WHEN c.relkind = 'S' THEN has_sequence_privilege(o.oid, c.oid, 'USAGE, UPDATE')
                 ELSE false END) AS writes_tables,
       EXISTS (
           SELECT FROM relation c, may_become o
           WHERE c.relname IN ('api_key', 'refusal') AND c.relkind = 'r'
             AND has_any_column_privilege(o.oid, c.oid, 'SELECT')) AS reads_secrets
FROM may_become m

-- name: boundary_known
-- Whether the tables know a boundary.
SELECT EXISTS (SELECT FROM avow.edge WHERE boundary = $1)

-- name: clock_fixed
-- Whether somebody has fixed the time.
SELECT EXISTS (SELECT FROM avow.clock)

-- name: tables_owner
-- Whose tables these are: the role that owns Avow's own; no row where there are none.
SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'avow'
