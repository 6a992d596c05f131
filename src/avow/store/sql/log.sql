-- Sealing: entries become leaves of a log, in the order of their numbers as far as they can be seen. Owned by the owner
-- role; the application calls these functions, and has no other way to write a leaf or a checkpoint.
--
-- Why the order is right: PostgreSQL makes a transaction visible before it lets go of its locks, and an entry's number is
-- drawn under its record's lock. So who sees an entry sees every entry before it of the same record, and those have lower
-- numbers. Numbers of all records together become visible in any order, and some never: no number is a cursor.

-- Begin the first log. Later ones are begun by the owner alone, by avow.next_log.
CREATE OR REPLACE FUNCTION avow.begin_log(p_origin text, p_key text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE begun integer;
BEGIN
    INSERT INTO avow.log (epoch, origin, key, reason) VALUES (1, p_origin, p_key, 'the first log') ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS begun = ROW_COUNT;
    IF begun = 1 THEN
        INSERT INTO avow.log_state (epoch) VALUES (1);
    END IF;
    RETURN begun = 1;
END
$function$;

-- End the newest log and begin another, with the last checkpoint of the old one as its first leaf. Owner only.
-- p_after: the epoch that the caller knows as the newest. p_previous: a checkpoint from outside that covers more than any
-- here; null: the newest one here. Gives back the new epoch; null where another was begun meanwhile.
CREATE OR REPLACE FUNCTION avow.next_log(p_after integer, p_origin text, p_key text, p_reason text, p_previous text)
    RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    last text;
    leaf bytea;
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    PERFORM FROM avow.log_state s WHERE s.epoch = p_after FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    last := coalesce(p_previous, (
        SELECT c.note FROM avow.checkpoint c WHERE c.epoch = p_after ORDER BY c.size DESC LIMIT 1), 'no checkpoint');
    leaf := sha256('\x00'::bytea || convert_to(last, 'UTF8'));
    INSERT INTO avow.log (epoch, origin, key, reason, previous) VALUES (p_after + 1, p_origin, p_key, p_reason, last);
    INSERT INTO avow.leaf (epoch, index, hash) VALUES (p_after + 1, 0, leaf);
    UPDATE avow.log_state SET epoch = p_after + 1, size = 1, stack = ARRAY[leaf];
    RETURN p_after + 1;
END
$function$;

-- Whether there is something to seal: new entries, or numbers that weren't seen before. Reads an index or two.
CREATE OR REPLACE FUNCTION avow.seal_due() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    AS $function$
DECLARE state avow.log_state;
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    SELECT * INTO state FROM avow.log_state;
    RETURN EXISTS (SELECT FROM avow.audit a WHERE a.entry > state.reached)
        OR state.unseen + state.settling <> '{}';
END
$function$;

-- Give every entry that can be seen and has no leaf one, at most p_most of them, in the order of their numbers. The
-- caller holds the log from here to the end of its transaction, in which it calls avow.seal_root.
-- Gives back the log as it was, and the hashes of the new leaves, one after the other; an epoch of null where there is no
-- log, or somebody else holds it.
CREATE OR REPLACE FUNCTION avow.seal_leaves(p_most integer, OUT epoch integer, OUT size bigint, OUT stack bytea[], OUT hashes bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    -- The plan is kept while the tables grow; it is to read what is new and nothing else.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    AS $function$
#variable_conflict use_column
DECLARE
    state   avow.log_state;
    started text := extract(epoch FROM pg_postmaster_start_time())::text;
    here    text;
    horizon xid8;
    sealed  int8multirange;
    last    bigint;
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    -- Without waiting, so that our own transaction id is newer than everything that the row tells of.
    SELECT * INTO state FROM avow.log_state FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    epoch := state.epoch;
    size := state.size;
    stack := state.stack;
    IF split_part(state.cluster, '/', 2) <> started THEN
        -- A server that was started since: which cluster it runs is read from a file, and so not at each step.
        here := (SELECT c.system_identifier::text FROM pg_control_system() c);
        IF split_part(state.cluster, '/', 1) <> here THEN
            -- Transaction ids of another cluster say nothing here, and none of its transactions can end here any more.
            state.unseen := '{}';
            state.settling := avow.unsealed();
            state.settles_at := '0';
        END IF;
        state.cluster := here || '/' || started;
    END IF;
    IF state.settling = '{}' AND state.unseen <> '{}' THEN
        -- Whoever drew one of these numbers had its transaction id by then, and so has a lower one than ours.
        state.settling := state.unseen;
        state.unseen := '{}';
        state.settles_at := pg_current_xact_id();
    END IF;
    -- Taken before the entries are read: what has ended by this snapshot is seen by the next one, or never.
    horizon := pg_snapshot_xmin(pg_current_snapshot());
    WITH found AS (
        SELECT * FROM (
            -- Span by span, each by the index: of a join the planner, that keeps its plan, may take the whole table for the
            -- outer side, as that comes in the order of numbers.
            SELECT s.* FROM unnest(state.settling + state.unseen) AS u (span) CROSS JOIN LATERAL (
                SELECT a.entry, a.tenant, a.kind, a.id, a.version, a.hash FROM avow.audit a
                WHERE a.entry >= lower(u.span) AND a.entry < upper(u.span) ORDER BY a.entry LIMIT p_most) AS s
            UNION ALL
            -- No more than can be taken: where much is behind, each step costs what it seals.
            (SELECT a.entry, a.tenant, a.kind, a.id, a.version, a.hash FROM avow.audit a
             WHERE a.entry > state.reached ORDER BY a.entry LIMIT p_most)
        ) AS a ORDER BY entry LIMIT p_most
    ), put AS (
        INSERT INTO avow.leaf (epoch, index, entry, tenant, kind, id, version, hash)
        SELECT state.epoch, state.size + row_number() OVER (ORDER BY f.entry) - 1, f.entry, f.tenant, f.kind, f.id, f.version, f.hash
        FROM found f ORDER BY f.entry
    )
    -- Mostly no number is missing, and then it is one range: one made of each entry's own costs a twentieth of all.
    SELECT string_agg(f.hash, ''::bytea ORDER BY f.entry),
        CASE WHEN max(f.entry) - min(f.entry) + 1 = count(*) THEN int8multirange(int8range(min(f.entry), max(f.entry) + 1))
            ELSE (SELECT range_agg(int8range(g.entry, g.entry + 1)) FROM found g) END,
        max(f.entry)
    INTO hashes, sealed, last FROM found f;

    last := greatest(last, state.reached);
    IF last > state.reached THEN
        state.unseen := state.unseen + int8multirange(int8range(state.reached + 1, last + 1));
    END IF;
    state.unseen := state.unseen - coalesce(sealed, '{}');
    state.settling := state.settling - coalesce(sealed, '{}');
    IF state.settles_at <= horizon AND coalesce(octet_length(hashes), 0) < 32 * p_most THEN
        -- Everything that was to be seen has a leaf; what isn't seen by now was given up.
        state.settling := '{}';
    END IF;
    UPDATE avow.log_state s SET reached = last, unseen = state.unseen, settling = state.settling,
        settles_at = state.settles_at, cluster = state.cluster
    WHERE (s.reached, s.unseen, s.settling, s.settles_at, s.cluster)
        IS DISTINCT FROM (last, state.unseen, state.settling, state.settles_at, state.cluster);
END
$function$;

-- All numbers up to the last one reached that have no leaf. Owner only.
CREATE OR REPLACE FUNCTION avow.unsealed() RETURNS int8multirange
    LANGUAGE sql STABLE
    AS $function$
        SELECT coalesce((SELECT int8multirange(int8range(1, s.reached + 1)) FROM avow.log_state s WHERE s.reached > 0), '{}')
            - coalesce((SELECT range_agg(int8range(l.entry, l.entry + 1)) FROM avow.leaf l WHERE l.entry IS NOT NULL), '{}')
    $function$;

-- Keep the checkpoint over the leaves of avow.seal_leaves, in the same transaction. Each node: p_levels, p_indexes, p_hashes.
CREATE OR REPLACE FUNCTION avow.seal_root(
    p_epoch integer, p_size bigint, p_stack bytea[], p_levels smallint[], p_indexes bigint[], p_hashes bytea[],
    p_root bytea, p_note text, p_at timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    AS $function$
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    UPDATE avow.log_state s SET size = p_size, stack = p_stack
    WHERE s.epoch = p_epoch AND s.size <= p_size
        AND (s.size = p_size OR EXISTS (SELECT FROM avow.leaf l WHERE l.epoch = p_epoch AND l.index = p_size - 1))
        AND NOT EXISTS (SELECT FROM avow.leaf l WHERE l.epoch = p_epoch AND l.index = p_size);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'log % has not % leaves', p_epoch, p_size USING ERRCODE = 'AV002';
    END IF;
    INSERT INTO avow.node (epoch, level, index, hash)
    SELECT p_epoch, n.level, n.index, n.hash FROM unnest(p_levels, p_indexes, p_hashes) AS n (level, index, hash);
    INSERT INTO avow.checkpoint (epoch, size, root, note, at) VALUES (p_epoch, p_size, p_root, p_note, p_at);
END
$function$;

-- The hashes of leaves one after the other, of all tenants: a hash says nothing of what it is of.
CREATE OR REPLACE FUNCTION avow.leaf_hashes(p_epoch integer, p_from bigint, p_upto bigint) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    scope text := current_setting('avow.scope', true);
    found bytea;
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    SELECT string_agg(l.hash, ''::bytea ORDER BY l.index) INTO found
    FROM avow.leaf l WHERE l.epoch = p_epoch AND l.index >= p_from AND l.index < p_upto;
    PERFORM set_config('avow.scope', coalesce(scope, ''), true);
    RETURN coalesce(found, '');
END
$function$;

-- Keep what a witness signed a checkpoint with; the first that it signed stays. Who calls it has checked the signature.
CREATE OR REPLACE FUNCTION avow.keep_cosignature(p_epoch integer, p_size bigint, p_key text, p_line text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
    INSERT INTO avow.cosignature (epoch, size, key, line) VALUES (p_epoch, p_size, p_key, p_line) ON CONFLICT DO NOTHING
$function$;

REVOKE ALL ON FUNCTION avow.keep_cosignature(integer, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.keep_cosignature(integer, bigint, text, text) TO @{application};
REVOKE ALL ON FUNCTION avow.begin_log(text, text), avow.next_log(integer, text, text, text, text), avow.seal_due(),
    avow.seal_leaves(integer), avow.unsealed(), avow.leaf_hashes(integer, bigint, bigint),
    avow.seal_root(integer, bigint, bytea[], smallint[], bigint[], bytea[], bytea, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.begin_log(text, text), avow.seal_due(), avow.seal_leaves(integer),
    avow.seal_root(integer, bigint, bytea[], smallint[], bigint[], bytea[], bytea, text, timestamptz) TO @{application};
GRANT EXECUTE ON FUNCTION avow.leaf_hashes(integer, bigint, bigint) TO @{application}, @{reader};
