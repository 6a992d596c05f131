-- What tests may do and nobody else: databases that come and go, and a clock that is set by hand.

-- name: clone
-- A copy of a database, made by copying files: many times quicker than through the log.
CREATE DATABASE @{name} TEMPLATE @{template} STRATEGY file_copy

-- name: drop
-- Away with one, whoever uses it.
DROP DATABASE @{name} WITH (FORCE)

-- name: drop_account
-- Away with a login that has nothing.
DROP ROLE @{name}

-- name: stop_clock
-- Fix the time; from then on it stands still until it is set again.
INSERT INTO avow.clock (fixed) VALUES ($1) ON CONFLICT (single) DO UPDATE SET fixed = excluded.fixed

-- name: start_clock
-- Let the time run on.
DELETE FROM avow.clock

-- name: make_ready
-- Whatever rests between two attempts is ready now; what waits for a time, an event's record or a person isn't.
UPDATE avow.work SET ready_at = avow.now()
WHERE destination NOT IN ('', 'events') AND ready_at < 'infinity'

-- name: waiting
-- What there is to be done, and what waits for a person.
SELECT kind, id, name, due, attempt, stuck, detail FROM avow.work ORDER BY work

-- name: lasting_tables
-- The tables whose rows an execution leaves behind; the others are made with the tables.
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND (n.nspname = $1 OR n.nspname = 'avow')
  AND NOT (n.nspname = 'avow' AND c.relname IN ('boundary', 'edge', 'clock', 'api_key'))
ORDER BY 1, 2

-- name: copies
-- A place for what only trials do, who may also take back what is append-only.
CREATE SCHEMA IF NOT EXISTS trial;
DO $$
DECLARE relation text;
BEGIN
    FOR relation IN SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only' LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER append_only', relation);
    END LOOP;
END $$

-- name: copy_out_of
-- The rows of one table.
@{key}, (SELECT jsonb_agg(t) FROM @{table} t)

-- name: copy_out
-- Everything that an execution has left behind, as JSON that `put_back` takes.
CREATE OR REPLACE FUNCTION trial.copy_out() RETURNS text
    LANGUAGE plpgsql
    AS $function$
BEGIN
    RETURN jsonb_build_object(@{tables});
END
$function$

-- name: put_back_delete
-- No row of one table is left.
DELETE FROM @{table}

-- name: put_back_insert
-- The rows of one table as they were.
INSERT INTO @{table} OVERRIDING SYSTEM VALUE
SELECT * FROM jsonb_populate_recordset(NULL::@{table}, nullif(saved -> @{key}, 'null'))

-- name: put_back
-- Make everything as it was when it was copied out, the time included. The rows go in one statement and come in
-- one, so that no reference leads nowhere at the end of either.
CREATE OR REPLACE FUNCTION trial.put_back(p_saved text, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql
    AS $function$
DECLARE saved jsonb := p_saved;
BEGIN
    @{deletes};
    @{inserts};
    INSERT INTO avow.clock (fixed) VALUES (p_now) ON CONFLICT (single) DO UPDATE SET fixed = excluded.fixed;
END
$function$

-- name: call_copy_out
-- What there is now.
SELECT trial.copy_out()

-- name: call_put_back
-- Back to what there was.
SELECT trial.put_back($1, $2)

-- name: hold_but
-- Only these works may be taken for now: what else is ready will be so after a thousand years.
UPDATE avow.work SET ready_at = ready_at + interval '1000 years'
WHERE ready_at < 'infinity'
  AND (kind, id, name) NOT IN (SELECT k, i, n FROM unnest($1::text[], $2::uuid[], $3::text[]) AS w (k, i, n))

-- name: let_go
-- What was held back may be taken again.
UPDATE avow.work SET ready_at = ready_at - interval '1000 years'
WHERE ready_at < 'infinity' AND ready_at > avow.now() + interval '900 years'

-- name: work_of
-- One thing that is to be done: its number, when it is due and ready, whether it is taken, why it is stuck.
SELECT work, due, ready_at, ready_at = 'infinity' AS never, taken, stuck FROM avow.work WHERE kind = $1 AND id = $2 AND name = $3

-- name: make_all_ready
-- Whatever rests between two attempts or is taken is ready now, and so are times that have come.
UPDATE avow.work SET ready_at = least(ready_at, avow.now()) WHERE ready_at < 'infinity' AND (destination <> '' OR due <= avow.now())

-- name: is_blocked
-- Whether a session waits for one of these others.
SELECT pg_isolation_test_session_is_blocked($1, $2)

-- name: version_of
-- The version of one record.
SELECT version FROM @{table} WHERE tenant = $1 AND id = $2

-- name: function_text
-- How one function is defined.
SELECT pg_get_functiondef($1::regproc)

-- name: without_delay
-- Nothing waits for the disk: what a crash does to it isn't under test.
ALTER DATABASE @{name} SET synchronous_commit = off

-- name: rule_of_index
-- Whether a rule is kept by an index of its own, and not by a constraint.
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'i'
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid))

-- name: drop_rule
-- One constraint less.
ALTER TABLE @{table} DROP CONSTRAINT @{name}

-- name: drop_rule_of_index
-- The same of one that is an index.
DROP INDEX @{name}

-- name: open_rows
-- Every tenant's rows can be seen by everybody.
ALTER POLICY tenant ON @{table} USING (true)

-- name: call_begun
-- A call that was made by a worker which is gone, where its record is in a state that would withdraw one that wasn't.
UPDATE avow.work w SET taken = true FROM @{table} r
WHERE w.kind = $1 AND w.id = $2 AND w.name = $3 AND r.tenant = w.tenant AND r.id = w.id AND r.state = ANY ($4::text[])

-- name: last_entry
-- The number of the newest entry.
SELECT coalesce(max(entry), 0) FROM avow.audit

-- name: settle
-- What was committed is on the disk.
CHECKPOINT

-- name: end_process
-- One session of the server ends in the middle of whatever it does.
SELECT pg_terminate_backend($1)
