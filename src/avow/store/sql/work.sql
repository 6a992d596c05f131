-- What is to be done later, as the workers see it. Owned by the owner role; the application has no other way to
-- change it. Nothing here locks a record: a command locks its records first, and then what they wait for.

-- Take what is ready, at most p_most of it: of each destination in its turn, the longest ready first. Taken rows
-- come back by themselves when their lease ends. p_rates and p_concurrencies: how many calls of each destination may
-- begin each second, and be under way; null: any number. A destination that another worker is counting is left to it.
-- What is ready and isn't the first of its line is put behind on the way, so that it is looked at once and not each time.
-- Numbers are given before commits: one that begins a line may come to be seen only when a later one is under way.
CREATE OR REPLACE FUNCTION avow.take_work(
    p_destinations text[], p_rates float8[], p_concurrencies integer[], p_lease_ms integer, p_most integer)
    RETURNS SETOF avow.work
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    -- The plan is kept while the table grows; it is to read what is ready and nothing else.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
    AS $function$
DECLARE
    moment   timestamptz := avow.now();
    taken_by interval := p_lease_ms * interval '1 ms';
    setting  text := set_config('avow.scope', 'all', true);
    counted  avow.destination;
    room     integer;
    begun    integer;
    left_over integer := p_most;
BEGIN
    FOR place IN 1 .. cardinality(p_destinations) LOOP
        EXIT WHEN left_over <= 0;
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM avow.work w WHERE w.destination = p_destinations[place] AND w.ready_at <= moment);
        room := left_over;
        IF p_rates[place] IS NOT NULL OR p_concurrencies[place] IS NOT NULL THEN
            SELECT * INTO counted FROM avow.destination d WHERE d.destination = p_destinations[place] FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            room := avow.room_at(counted, p_rates[place], p_concurrencies[place], moment, left_over);
        ELSIF EXISTS (SELECT FROM avow.destination d WHERE d.destination = p_destinations[place]) THEN
            -- Whoever pauses it waits for what is taken here: once it is paused, nothing begins.
            PERFORM FROM avow.destination d WHERE d.destination = p_destinations[place] FOR SHARE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        CONTINUE WHEN room <= 0 OR EXISTS (
            SELECT FROM avow.destination d WHERE d.destination = p_destinations[place] AND d.paused IS NOT NULL);
        IF EXISTS (SELECT FROM avow.work w WHERE w.destination = p_destinations[place] AND w.line <> '') THEN
            PERFORM avow.put_behind(p_destinations[place], moment, 2 * left_over);
        END IF;
        RETURN QUERY
            UPDATE avow.work w SET taken = true, fence = w.fence + 1, attempt = w.attempt + 1,
                unclear = w.unclear OR w.taken, ready_at = moment + taken_by
            WHERE w.work = ANY (ARRAY(
                SELECT r.work FROM avow.work r
                WHERE r.destination = p_destinations[place] AND r.ready_at <= moment
                    AND (r.line = '' OR r.taken OR NOT EXISTS (
                        SELECT FROM avow.work o
                        WHERE o.destination = r.destination AND o.tenant = r.tenant AND o.line = r.line
                            AND o.line <> '' AND o.work < r.work) AND NOT EXISTS (
                        SELECT FROM avow.work o
                        WHERE o.destination = r.destination AND o.tenant = r.tenant AND o.line = r.line
                            AND o.line <> '' AND o.taken))
                ORDER BY r.ready_at LIMIT room FOR UPDATE OF r SKIP LOCKED))
            RETURNING w.*;
        GET DIAGNOSTICS begun = ROW_COUNT;
        left_over := left_over - begun;
        IF p_rates[place] IS NOT NULL THEN
            UPDATE avow.destination d SET counted_at = moment, allowance = least(greatest(p_rates[place], 1),
                counted.allowance + p_rates[place] * extract(epoch FROM moment - counted.counted_at)) - begun
            WHERE d.destination = p_destinations[place];
        END IF;
    END LOOP;
END
$function$;

-- Put behind what is ready and has something of its line before it, as far as the first p_most show: it is ready again
-- once that is gone. What is right before it is locked meanwhile, so that it can't go unseen; nothing is waited for, and
-- what somebody else has locked is looked at next time. Owner only.
CREATE OR REPLACE FUNCTION avow.put_behind(p_destination text, p_now timestamptz, p_most integer) RETURNS void
    LANGUAGE plpgsql
    AS $function$
BEGIN
    UPDATE avow.work w SET ready_at = 'infinity' WHERE w.work = ANY (ARRAY(
        SELECT r.work
        FROM (
            SELECT o.work, o.tenant, o.line FROM avow.work o
            WHERE o.destination = p_destination AND o.ready_at <= p_now ORDER BY o.ready_at LIMIT p_most) AS f
        CROSS JOIN LATERAL (
            SELECT b.work FROM avow.work b
            WHERE b.destination = p_destination AND b.tenant = f.tenant AND b.line = f.line AND b.line <> ''
                AND b.work < f.work
            ORDER BY b.work DESC LIMIT 1) AS before
        JOIN avow.work p ON p.work = before.work
        JOIN avow.work r ON r.work = f.work
        WHERE f.line <> '' AND p.line = f.line AND p.destination = p_destination AND r.ready_at <= p_now AND NOT r.taken
        FOR SHARE OF p SKIP LOCKED FOR UPDATE OF r SKIP LOCKED));
END
$function$;

-- Once something of a line is gone, or in another line: let the next one be looked at that was put behind. Owner only.
CREATE OR REPLACE FUNCTION avow.let_next_come() RETURNS trigger
    LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
    AS $function$
BEGIN
    UPDATE avow.work w SET ready_at = avow.now() WHERE w.work = (
        SELECT n.work FROM avow.work n
        WHERE n.destination = OLD.destination AND n.tenant = OLD.tenant AND n.line = OLD.line AND n.line <> ''
            AND n.work > OLD.work AND n.ready_at = 'infinity' AND n.stuck IS NULL
        ORDER BY n.work LIMIT 1 FOR UPDATE);
    RETURN NULL;
END
$function$;
CREATE OR REPLACE TRIGGER line_goes_on AFTER DELETE ON avow.work FOR EACH ROW
    WHEN (OLD.line <> '') EXECUTE FUNCTION avow.let_next_come();
CREATE OR REPLACE TRIGGER line_is_left AFTER UPDATE OF destination, line ON avow.work FOR EACH ROW
    WHEN (OLD.line <> '' AND (OLD.destination, OLD.line) IS DISTINCT FROM (NEW.destination, NEW.line))
    EXECUTE FUNCTION avow.let_next_come();

-- How many calls of a destination may begin now. Owner only.
CREATE OR REPLACE FUNCTION avow.room_at(
    p_destination avow.destination, p_rate float8, p_concurrency integer, p_now timestamptz, p_most integer)
    RETURNS integer
    LANGUAGE plpgsql
    AS $function$
DECLARE room integer := p_most;
BEGIN
    IF p_rate IS NOT NULL THEN
        room := least(room, floor(least(greatest(p_rate, 1), p_destination.allowance
            + p_rate * extract(epoch FROM p_now - p_destination.counted_at)))::integer);
    END IF;
    IF p_concurrency IS NOT NULL THEN
        room := least(room, p_concurrency - (
            SELECT count(*) FROM avow.work w
            WHERE w.destination = p_destination.destination AND w.destination <> '' AND w.taken
                AND w.ready_at > p_now)::integer);
    END IF;
    RETURN room;
END
$function$;

-- Keep what is being done for longer; returns what of it is still the caller's.
CREATE OR REPLACE FUNCTION avow.keep_work(p_works bigint[], p_fences bigint[], p_lease_ms integer) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.scope', 'all', true);
BEGIN
    RETURN QUERY
        UPDATE avow.work w SET ready_at = avow.now() + p_lease_ms * interval '1 ms'
        FROM unnest(p_works, p_fences) AS g (work, fence)
        WHERE w.work = g.work AND w.fence = g.fence AND w.taken RETURNING w.work;
END
$function$;

-- Keep how far a call has come, for its next attempt. Returns whether it was still the caller's: a stale worker's
-- checkpoint is none.
CREATE OR REPLACE FUNCTION avow.checkpoint_work(p_work bigint, p_fence bigint, p_progress jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.scope', 'all', true);
BEGIN
    UPDATE avow.work w SET progress = p_progress WHERE w.work = p_work AND w.fence = p_fence AND w.taken;
    RETURN FOUND;
END
$function$;

-- Give back what wasn't settled by a command, and remember why. It is tried again after p_pause_ms; or, where p_stuck
-- says why, once a person has looked at it; or, with neither, never again. p_unclear: nobody knows whether it was
-- done. p_again: the next attempt goes under another key. Returns whether it was still the caller's: a stale worker
-- changes nothing. p_task: of what is stuck, whom it asks. A time that passes and comes again is remembered once: it may pass each minute, for years, and its row
-- says how often.
CREATE OR REPLACE FUNCTION avow.give_back_work(
    p_work bigint, p_fence bigint, p_outcome text, p_detail text, p_pause_ms bigint, p_stuck text, p_unclear boolean,
    p_again boolean, p_task jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.scope', 'all', true) || set_config('avow.asked', coalesce(p_task::text, ''), true);
    given   avow.work;
BEGIN
    IF p_pause_ms IS NULL AND p_stuck IS NULL THEN
        DELETE FROM avow.work w WHERE w.work = p_work AND w.fence = p_fence AND w.taken RETURNING * INTO given;
    ELSE
        UPDATE avow.work w SET taken = false, unclear = p_unclear, stuck = p_stuck, detail = p_detail,
            generation = w.generation + CASE WHEN p_again THEN 1 ELSE 0 END,
            ready_at = CASE WHEN p_stuck IS NULL THEN avow.now() + p_pause_ms * interval '1 ms' ELSE 'infinity' END
        WHERE w.work = p_work AND w.fence = p_fence AND w.taken RETURNING * INTO given;
    END IF;
    IF given.work IS NULL THEN
        RETURN false;
    END IF;
    IF p_outcome <> 'passed' OR p_pause_ms IS NULL OR given.attempt = 1 THEN
        INSERT INTO avow.attempt (tenant, kind, id, name, key, number, fence, outcome, detail)
        VALUES (given.tenant, given.kind, given.id, given.name, given.key, given.attempt, p_fence, p_outcome, p_detail);
    END IF;
    RETURN true;
END
$function$;

-- Leave out commands that settle what is no longer theirs to settle; what the others settle is gone. Owner only:
-- avow.commit calls it, after the records are locked.
CREATE OR REPLACE FUNCTION avow.settle_work(
    p_tenant text, p_dropped integer[], p_settle_of integer[], p_works bigint[], p_fences bigint[],
    p_interventions jsonb[]) RETURNS integer[]
    LANGUAGE plpgsql
    AS $function$
DECLARE
    stale  integer[];
    places tid[];
    held   bigint[] := '{}';
BEGIN
    -- Each by its number: any plan that begins at the table would read all of it. One statement locks and the next
    -- deletes: a statement doesn't find a row where another transaction has put it since the statement began.
    places := ARRAY(
        SELECT found.place FROM unnest(p_settle_of, p_works, p_fences) AS g (command, work, fence), LATERAL (
            SELECT o.ctid AS place FROM avow.work o
            WHERE o.work = g.work AND o.tenant = p_tenant AND o.fence = g.fence LIMIT 1 FOR UPDATE) AS found
        WHERE g.command <> ALL (p_dropped));
    -- Nobody settles by hand what somebody else has claimed meanwhile.
    IF cardinality(array_remove(p_interventions, NULL)) > 0 THEN
        held := ARRAY(
            SELECT g.work FROM unnest(p_works, p_interventions) AS g (work, said)
            WHERE g.said IS NOT NULL AND avow.held_by_another(p_tenant, g.work, g.said ->> 'subject'));
    END IF;
    WITH settled AS (
        DELETE FROM avow.work w WHERE w.ctid = ANY (places) AND w.work <> ALL (held) RETURNING w.*
    ), told AS (
        INSERT INTO avow.intervention
            (tenant, kind, id, name, destination, key, fence, action, subject, reason, evidence)
        SELECT s.tenant, s.kind, s.id, s.name, s.destination, s.key, s.fence, g.said ->> 'action', g.said ->> 'subject',
            g.said ->> 'reason', g.said ->> 'evidence'
        FROM unnest(p_works, p_interventions) AS g (work, said) JOIN settled s USING (work) WHERE g.said IS NOT NULL
    )
    SELECT coalesce(array_agg(g.command), '{}') INTO stale
    FROM unnest(p_settle_of, p_works) AS g (command, work)
    WHERE g.command <> ALL (p_dropped) AND g.work NOT IN (SELECT s.work FROM settled s);
    RETURN stale;
END
$function$;

-- Begin and end what records wait for, as their entries say; of a record's several entries the last one counts.
-- Owner only.
CREATE OR REPLACE FUNCTION avow.put_work(p_tenant text, p_entries jsonb[], p_now timestamptz) RETURNS integer
    LANGUAGE plpgsql
    AS $function$
DECLARE
    begun  integer;
    places tid[];
BEGIN
    -- Locked first and then deleted, as above: a worker may be taking what ends here.
    places := ARRAY(
        SELECT found.place FROM (
            SELECT DISTINCT ON (1, 2, 3)
                e.entry ->> 'kind' AS kind, (e.entry ->> 'id')::uuid AS id, w.name, w.wait
            FROM unnest(p_entries) WITH ORDINALITY AS e (entry, place),
                jsonb_each(e.entry -> 'waits') AS w (name, wait)
            WHERE e.entry ? 'waits' ORDER BY 1, 2, 3, e.place DESC) AS n, LATERAL (
            SELECT o.ctid AS place FROM avow.work o
            WHERE o.tenant = p_tenant AND o.kind = n.kind AND o.id = n.id AND o.name = n.name
            LIMIT 1 FOR UPDATE) AS found
        WHERE n.wait = 'null');
    DELETE FROM avow.work w WHERE w.ctid = ANY (places);
    WITH named AS (
        SELECT DISTINCT ON (1, 2, 3)
            e.entry ->> 'kind' AS kind, (e.entry ->> 'id')::uuid AS id, w.name, w.wait,
            (e.entry ->> 'ver')::bigint AS version, e.entry ->> 'request' AS request
        FROM unnest(p_entries) WITH ORDINALITY AS e (entry, place),
            jsonb_each(e.entry -> 'waits') AS w (name, wait)
        WHERE e.entry ? 'waits' ORDER BY 1, 2, 3, e.place DESC
    )
    INSERT INTO avow.work AS w (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT p_tenant, n.kind, n.id, n.name, n.version, n.wait ->> 'to', n.wait ->> 'line',
        substr(encode(sha256(convert_to(concat_ws('/', p_tenant, n.kind, n.id, n.name, n.version), 'UTF8')), 'hex'), 1, 32)::uuid,
        (n.wait ->> 'due')::timestamptz, (n.wait ->> 'due')::timestamptz, n.request, p_now
    FROM named n WHERE n.wait <> 'null' ORDER BY n.kind, n.id, n.name
    ON CONFLICT (id, name, kind, tenant) DO UPDATE SET
        version = excluded.version, destination = excluded.destination, line = excluded.line, key = excluded.key,
        generation = 0, due = excluded.due, ready_at = excluded.ready_at, taken = false, fence = w.fence + 1,
        attempt = 0, unclear = false, stuck = NULL, detail = '', progress = NULL, request = excluded.request, since = excluded.since;
    GET DIAGNOSTICS begun = ROW_COUNT;
    RETURN begun;
END
$function$;

REVOKE ALL ON FUNCTION
    avow.take_work(text[], float8[], integer[], integer, integer),
    avow.room_at(avow.destination, float8, integer, timestamptz, integer),
    avow.put_behind(text, timestamptz, integer), avow.let_next_come(),
    avow.keep_work(bigint[], bigint[], integer), avow.checkpoint_work(bigint, bigint, jsonb),
    avow.give_back_work(bigint, bigint, text, text, bigint, text, boolean, boolean, jsonb),
    avow.settle_work(text, integer[], integer[], bigint[], bigint[], jsonb[]), avow.put_work(text, jsonb[], timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    avow.take_work(text[], float8[], integer[], integer, integer),
    avow.keep_work(bigint[], bigint[], integer), avow.checkpoint_work(bigint, bigint, jsonb),
    avow.give_back_work(bigint, bigint, text, text, bigint, text, boolean, boolean, jsonb)
    TO @{application};
