-- What a login may do, compared with what the application may.

-- name: rights
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
       current_setting('server_version_num')::int AS version,
       pg_has_role(session_user, d.datdba, 'MEMBER') AS owns_database,
       to_regrole($1) IS NOT NULL AND pg_has_role(session_user, to_regrole($1), 'MEMBER') AS is_owner,
       to_regrole($2) IS NOT NULL AND pg_has_role(session_user, to_regrole($2), 'USAGE') AS is_application,
       to_regnamespace('avow') IS NOT NULL AS installed,
       EXISTS (
           SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname IN ('avow', $3) AND pg_has_role(session_user, c.relowner, 'MEMBER')
       ) AS owns_tables,
       EXISTS (
           SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname IN ('avow', $3) AND c.relkind IN ('r', 'p')
             AND (has_table_privilege(session_user, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                  OR has_any_column_privilege(session_user, c.oid, 'INSERT, UPDATE'))
       ) AS writes_tables
FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()

-- name: boundary_known
SELECT EXISTS (SELECT FROM avow.edge WHERE boundary = $1)

-- name: clock_off_s
SELECT abs(extract(epoch FROM avow.now() - clock_timestamp()))
