-- The one way by which anything is written. Owned by the owner role, executed by the application,
-- which has no other right to write. Everything that a row becomes is derived here from the audit
-- headers themselves, so that a row can't differ from its log.
--
-- One call commits one command or several of one tenant, all in one transaction: a command that is
-- overtaken or already answered is left out, and any other fault leaves nothing of any of them.
--
-- Each command, by its place in these arrays: p_keys: the idempotency record's id, or null;
--             p_fingerprints, p_statuses, p_bodies, p_kinds, p_records, p_versions: its answer;
--             p_refusals: what to remember of a refusal, or null.
-- Each lock, in the order they are taken: p_lock_of: the command's place; p_lock_kinds, p_lock_ids,
--             p_lock_versions: what its decision rests on (version null: any); p_lock_writes: whether
--             records of this kind are locked for writing.
-- Each entry, in the order of the steps: p_entry_of: the command's place; p_headers: canonical audit headers.
-- Each thing to be done that a command settles, a call or a time: p_settle_of: the command's place; p_works,
--             p_fences: which, and the taking of it that is settled. p_interventions: what an operator says who settles
--             it, or null, in the same order.
-- Each long value that headers name by its SHA-256: p_payload_of: the command's place; p_payloads.
-- p_disclosures: of each private value that an entry names by its digest, what stands for it: an array of objects
--             with `of`, the command's place, and the columns of avow.disclosure.
-- p_patient: whether to wait for locks as long as a statement may, and not just for a moment.
--
-- Returns the outcome of each command: done; stale (a version has moved on: decide again); replay (the key
-- has an answer); settled (what it would settle is no longer the caller's to settle). Raises AV002 for what doesn't belong here, AV003 for a decision that was overtaken, 55P03
-- where one of them would have to wait for a lock. Nothing is written then.
CREATE OR REPLACE FUNCTION avow.commit(
    p_tenant text,
    p_keys uuid[], p_fingerprints bytea[], p_statuses smallint[], p_bodies bytea[], p_kinds text[],
    p_records uuid[], p_versions bigint[], p_refusals jsonb[],
    p_lock_of integer[], p_lock_kinds text[], p_lock_ids uuid[], p_lock_versions bigint[], p_lock_writes boolean[],
    p_entry_of integer[], p_headers bytea[], p_payload_of integer[], p_payloads bytea[],
    p_settle_of integer[], p_works bigint[], p_fences bigint[], p_patient boolean,
    p_interventions jsonb[] DEFAULT '{}', p_disclosures jsonb DEFAULT NULL
) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD'
    -- The plans are kept while tables grow, and each of them is to be an index lookup per command.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    AS $function$
DECLARE
    dropped  integer[];  -- the commands that are left out
    replayed integer[];
    settled  integer[] := '{}';
    moment   timestamptz;
    setting  text;
BEGIN
    -- A quota counts what others have committed until now; an older snapshot wouldn't see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a commit needs READ COMMITTED' USING ERRCODE = 'AV002';
    END IF;
    -- Assignments, here and below: a PERFORM would run as a statement of its own.
    setting := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', '', true);
    IF NOT p_patient THEN
        setting := set_config('lock_timeout', '@{lock_wait_ms}ms', true);
    END IF;

    dropped := avow.lock_versions(p_tenant, p_lock_of, p_lock_kinds, p_lock_ids, p_lock_versions, p_lock_writes);
    moment := avow.now();
    IF cardinality(p_works) > 0 THEN
        settled := avow.settle_work(p_tenant, dropped, p_settle_of, p_works, p_fences, p_interventions);
        dropped := dropped || settled;
    END IF;
    replayed := avow.keep_answers(
        p_tenant, dropped, p_keys, p_fingerprints, p_statuses, p_bodies, p_kinds, p_records, p_versions, moment);
    dropped := dropped || replayed;

    IF cardinality(p_payloads) > 0 THEN
        -- In one order for everybody: two commands with the same values would wait for each other in a ring.
        INSERT INTO avow.payload (tenant, sha256, data)
        SELECT DISTINCT p_tenant, sha256(p.data), p.data
        FROM unnest(p_payload_of, p_payloads) AS p (place, data) WHERE p.place <> ALL (dropped) ORDER BY 2
        ON CONFLICT DO NOTHING;
    END IF;
    IF p_disclosures IS NOT NULL THEN
        setting := avow.keep_disclosures(p_tenant, dropped, p_disclosures);
    END IF;
    IF cardinality(p_headers) > 0 THEN
        moment := avow.append_entries(p_tenant, dropped, p_entry_of, p_headers, p_payload_of, p_payloads, moment, p_disclosures);
    END IF;
    IF array_remove(p_refusals, NULL) <> '{}' THEN
        INSERT INTO avow.refusal (tenant, at, subject, kind, record, command, code, rule, request)
        SELECT p_tenant, moment, r.said ->> 'subject', r.said ->> 'kind', (r.said ->> 'record')::uuid,
               r.said ->> 'command', r.said ->> 'code', r.said ->> 'rule', r.said ->> 'request'
        FROM unnest(p_refusals) WITH ORDINALITY AS r (said, place)
        WHERE r.said IS NOT NULL AND r.place <> ALL (dropped);
    END IF;
    IF dropped = '{}' THEN
        RETURN array_fill('done'::text, ARRAY[cardinality(p_keys)]);
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN place = ANY (replayed) THEN 'replay' WHEN place = ANY (settled) THEN 'settled' WHEN place = ANY (dropped) THEN 'stale' ELSE 'done' END
        FROM generate_series(1, cardinality(p_keys)) AS place ORDER BY place);
END
$function$;

-- Keep the answers of commands under their keys; gives back the commands whose key has one already.
-- Two copies of a request wait for each other here.
CREATE OR REPLACE FUNCTION avow.keep_answers(
    p_tenant text, p_dropped integer[], p_keys uuid[], p_fingerprints bytea[], p_statuses smallint[], p_bodies bytea[],
    p_kinds text[], p_records uuid[], p_versions bigint[], p_now timestamptz) RETURNS integer[]
    LANGUAGE plpgsql
    AS $function$
DECLARE
    kept   bigint;
    known  integer[];
    wanted bigint;
BEGIN
    IF cardinality(p_keys) = 1 THEN
        INSERT INTO avow.idempotency (tenant, id, fingerprint, status, body, kind, record, version, at)
        SELECT p_tenant, g.key, g.fingerprint, g.status, g.body, g.kind, g.record, g.version, p_now
        FROM (SELECT p_keys[1], p_fingerprints[1], p_statuses[1], p_bodies[1], p_kinds[1], p_records[1], p_versions[1])
            AS g (key, fingerprint, status, body, kind, record, version)
        WHERE g.key IS NOT NULL AND p_dropped = '{}'
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO avow.idempotency (tenant, id, fingerprint, status, body, kind, record, version, at)
        SELECT p_tenant, g.key, g.fingerprint, g.status, g.body, g.kind, g.record, g.version, p_now
        FROM unnest(p_keys, p_fingerprints, p_statuses, p_bodies, p_kinds, p_records, p_versions)
            WITH ORDINALITY AS g (key, fingerprint, status, body, kind, record, version, place)
        WHERE g.key IS NOT NULL AND g.place <> ALL (p_dropped) ORDER BY g.key
        ON CONFLICT DO NOTHING;
    END IF;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept = cardinality(p_keys) THEN
        RETURN '{}';
    END IF;
    -- Kept already are those that this transaction has not written itself.
    SELECT coalesce(array_agg(g.place::integer) FILTER (WHERE i.id IS NULL), '{}'), count(*) INTO known, wanted
    FROM unnest(p_keys) WITH ORDINALITY AS g (key, place) LEFT JOIN avow.idempotency i
        ON i.tenant = p_tenant AND i.id = g.key AND i.xmin = pg_current_xact_id()::xid
    WHERE g.key IS NOT NULL AND g.place <> ALL (p_dropped);
    IF kept + cardinality(known) <> wanted THEN
        RAISE EXCEPTION 'two commands have one key' USING ERRCODE = 'AV002';
    END IF;
    RETURN known;
END
$function$;

-- Append audit entries, and make of each record what they say; gives back the time that they bear.
CREATE OR REPLACE FUNCTION avow.append_entries(
    p_tenant text, p_dropped integer[], p_entry_of integer[], p_headers bytea[],
    p_payload_of integer[], p_payloads bytea[], p_now timestamptz, p_disclosures jsonb) RETURNS timestamptz
    LANGUAGE plpgsql
    AS $function$
#variable_conflict use_column
DECLARE
    lone     jsonb;
    entries  jsonb[];
    leaves   bytea[];
    kinds    text[];
    sound    boolean;
    recent   boolean;
    by_hash  boolean;
    again    boolean;
    changing boolean;
    creating boolean;
    waiting  boolean;
    asking   boolean;
    written  integer;
    own      xid8;
BEGIN
    -- A transaction has its id before it draws numbers: seal_leaves rests on it.
    own := pg_current_xact_id();
    IF cardinality(p_headers) = 1 AND p_dropped = '{}' THEN
        -- One alone, without what makes a set of many: starting that takes longer than writing the entry.
        lone := convert_from(p_headers[1], 'UTF8')::jsonb;
        entries := ARRAY[lone];
        leaves := ARRAY[sha256('\x00'::bytea || p_headers[1])];
        INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
        SELECT p_tenant, lone ->> 'kind', (lone ->> 'id')::uuid, (lone ->> 'ver')::bigint, p_headers[1], leaves[1], p_now
        FROM avow.edge e WHERE @{edge}
            AND @{sound};
        sound := FOUND;
        recent := abs(extract(epoch FROM p_now - (lone ->> 'at')::timestamptz)) <= 60;
        kinds := ARRAY[lone ->> 'kind'];
        IF lone ?| ARRAY['waits', 'tasks', 'changes_sha256', 'input_sha256'] THEN
            waiting := lone ? 'waits';
            asking := lone ? 'tasks';
            by_hash := lone ?| ARRAY['changes_sha256', 'input_sha256'];
        END IF;
    ELSE
        WITH given AS MATERIALIZED (
            SELECT g.place, g.header, convert_from(g.header, 'UTF8')::jsonb AS entry,
                   sha256('\x00'::bytea || g.header) AS leaf
            FROM unnest(p_entry_of, p_headers) WITH ORDINALITY AS g (command, header, place)
            WHERE g.command <> ALL (p_dropped)
        ), judged AS (
            SELECT g.*, @{sound_of_many} AS sound
            FROM given g LEFT JOIN avow.edge e
                ON @{edge_of_many}
        ), appended AS (
            INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
            SELECT p_tenant, entry ->> 'kind', (entry ->> 'id')::uuid, (entry ->> 'ver')::bigint, header, leaf, p_now
            FROM given ORDER BY place
        )
        SELECT array_agg(entry ORDER BY place), array_agg(leaf ORDER BY place), array_agg(DISTINCT entry ->> 'kind'),
               bool_and(sound IS TRUE),
               bool_and(abs(extract(epoch FROM p_now - (entry ->> 'at')::timestamptz)) <= 60),
               bool_or(entry ?| ARRAY['changes_sha256', 'input_sha256']),
               count(DISTINCT entry ->> 'id') < count(*), bool_or(entry ? 'waits'), bool_or(entry ? 'tasks'),
               bool_or(entry -> 'from' <> 'null'), bool_or(entry -> 'from' = 'null')
        INTO entries, leaves, kinds, sound, recent, by_hash, again, waiting, asking, changing, creating
        FROM judged;
        IF entries IS NULL THEN
            RETURN p_now;
        END IF;
    END IF;
    -- What should be so is asked at once: each expression is made ready anew in every transaction.
    IF (sound AND recent) IS NOT TRUE THEN
        IF sound THEN
            RAISE EXCEPTION 'the decision is more than a minute old' USING ERRCODE = 'AV003';
        END IF;
        RAISE EXCEPTION 'an entry is none of this application and tenant' USING ERRCODE = 'AV002';
    END IF;
    IF lone IS NOT NULL THEN
        written := avow.apply_entries(p_tenant, kinds, entries, leaves, lone -> 'from' <> 'null', lone -> 'from' = 'null');
    ELSIF NOT again THEN
        written := avow.apply_entries(p_tenant, kinds, entries, leaves, changing, creating);
    ELSE
        -- A record takes one step at a time.
        FOR place IN 1 .. cardinality(entries) LOOP
            written := avow.apply_entries(
                p_tenant, ARRAY[entries[place] ->> 'kind'], entries[place:place], leaves[place:place],
                entries[place] -> 'from' <> 'null', entries[place] -> 'from' = 'null');
        END LOOP;
    END IF;
    -- Only now, when every row is as the commands leave it.
    IF waiting OR asking OR by_hash OR p_disclosures IS NOT NULL OR cardinality(p_payloads) > 0
        OR kinds && ARRAY[@{more}]::text[] THEN
        IF kinds && ARRAY[@{counted}]::text[] THEN
            PERFORM avow.demand_quotas(p_tenant, entries);
        END IF;
        IF waiting THEN
            written := avow.put_work(p_tenant, entries, p_now);
        END IF;
        IF kinds && ARRAY[@{publishing}]::text[] THEN
            written := avow.put_deliveries(p_tenant, entries, p_now);
        END IF;
        IF asking THEN
            written := avow.put_tasks(p_tenant, entries, p_now);
        END IF;
        IF kinds && ARRAY[@{hearing}]::text[] THEN
            written := avow.wake_events(p_tenant, entries, p_now);
        END IF;
        IF p_disclosures IS NOT NULL OR kinds && ARRAY[@{private}]::text[] THEN
            PERFORM avow.demand_disclosures(p_tenant, p_dropped, entries, p_disclosures);
        END IF;
        IF kinds && ARRAY[@{erasing}]::text[] THEN
            PERFORM avow.erase_subjects(p_tenant, entries);
        END IF;
        IF by_hash OR cardinality(p_payloads) > 0 THEN
            PERFORM avow.demand_payloads(p_tenant, entries, ARRAY(
                SELECT p.data FROM unnest(p_payload_of, p_payloads) AS p (place, data) WHERE p.place <> ALL (p_dropped)));
        END IF;
    END IF;
    RETURN p_now;
END
$function$;

-- The changed values of an entry: those in its header, and the long ones that it names by hash.
CREATE OR REPLACE FUNCTION avow.values_of(p_tenant text, p_header jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $function$
BEGIN
    RETURN (p_header -> 'changes') || coalesce((
        SELECT jsonb_object_agg(named.key, convert_from(p.data, 'UTF8')::jsonb)
        FROM jsonb_each_text(p_header -> 'changes_sha256') named
        JOIN avow.payload p ON p.tenant = p_tenant AND p.sha256 = decode(named.value, 'hex')), '{}');
END
$function$;

-- Every long value that an entry names is kept, and none is kept that no entry names.
CREATE OR REPLACE FUNCTION avow.demand_payloads(p_tenant text, p_entries jsonb[], p_payloads bytea[]) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $function$
DECLARE
    named bytea[] := ARRAY(
        SELECT DISTINCT decode(digest.value, 'hex')
        FROM unnest(p_entries) AS e (entry),
             jsonb_each_text(coalesce(e.entry -> 'changes_sha256', '{}')) AS digest
        UNION
        SELECT decode(digest.value, 'hex')
        FROM unnest(p_entries) AS e (entry),
             jsonb_each_text(coalesce(e.entry -> 'input_sha256', '{}')) AS digest);
BEGIN
    IF EXISTS (SELECT FROM unnest(p_payloads) AS p WHERE sha256(p) <> ALL (named))
       OR EXISTS (SELECT FROM unnest(named) AS n
                  WHERE NOT EXISTS (SELECT FROM avow.payload p WHERE p.tenant = p_tenant AND p.sha256 = n)) THEN
        RAISE EXCEPTION 'the entries and their long values do not belong together' USING ERRCODE = 'AV002';
    END IF;
END
$function$;

-- Lock records in the given order, for a decision that has lost too often to do without.
CREATE OR REPLACE FUNCTION avow.lock_records(p_tenant text, p_kinds text[], p_ids uuid[], p_writes boolean[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM set_config('avow.tenant', p_tenant, true), set_config('avow.scope', '', true);
    PERFORM avow.lock_versions(
        p_tenant, array_fill(1, ARRAY[cardinality(p_ids)]), p_kinds, p_ids,
        array_fill(NULL::bigint, ARRAY[cardinality(p_ids)]), p_writes);
END
$function$;

-- The records that the newest entries are of, of all tenants, whichever was written last first.
CREATE OR REPLACE FUNCTION avow.written_last(p_entries integer) RETURNS TABLE (tenant text, kind text, id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    RETURN QUERY
        SELECT w.tenant, w.kind, w.id
        FROM (SELECT a.tenant, a.kind, a.id, a.entry FROM avow.audit a ORDER BY a.entry DESC LIMIT p_entries) AS w
        GROUP BY w.tenant, w.kind, w.id ORDER BY max(w.entry) DESC;
    PERFORM set_config('avow.scope', '', true);
END
$function$;

-- PostgreSQL lets everybody execute a new function; here nobody may but who is named.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA avow FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.now(), avow.tenant() TO @{application}, @{reader};
GRANT EXECUTE ON FUNCTION
    avow.commit(text, uuid[], bytea[], smallint[], bytea[], text[], uuid[], bigint[], jsonb[],
        integer[], text[], uuid[], bigint[], boolean[], integer[], bytea[], integer[], bytea[], integer[], bigint[], bigint[], boolean, jsonb[], jsonb),
    avow.lock_records(text, text[], uuid[], boolean[]), avow.written_last(integer), avow.find_api_key(text) TO @{application};
