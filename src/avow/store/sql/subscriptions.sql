-- Who is told of what happens, and what is still to be told. Each published entry becomes one row of avow.work for each
-- subscription, in the transaction that appends the entry: what is to be delivered is never looked for afterwards,
-- among transactions of which some are still under way.

-- What is to be told of entries; of one record in the order in which they happened. What a replay brings is left to it.
-- The subscriptions are held: a replay, which takes them for itself at each step, comes before or after this and never
-- between. Owner only.
CREATE OR REPLACE FUNCTION avow.put_deliveries(p_tenant text, p_entries jsonb[], p_now timestamptz) RETURNS integer
    LANGUAGE plpgsql
    AS $function$
DECLARE begun integer;
BEGIN
    WITH told AS (
        SELECT e.place, e.entry, concat_ws('.', e.entry ->> 'kind', e.entry ->> 'transition') AS type
        FROM unnest(p_entries) WITH ORDINALITY AS e (entry, place)
        WHERE concat_ws('.', e.entry ->> 'kind', e.entry ->> 'transition') = ANY (ARRAY[@{published}]::text[])
    ), held AS (
        SELECT s.id, s.types, s.replay_after, s.replay_upto, s.replay_since FROM avow.subscription s
        WHERE s.tenant = p_tenant AND s.state <> 'disabled' ORDER BY s.id FOR KEY SHARE
    )
    INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT p_tenant, t.entry ->> 'kind', (t.entry ->> 'id')::uuid, avow.delivery_name(h.id, (t.entry ->> 'ver')::bigint),
        (t.entry ->> 'ver')::bigint, 'deliver/' || h.id, t.entry ->> 'id',
        avow.event_id(p_tenant, t.entry ->> 'kind', t.entry ->> 'id', (t.entry ->> 'ver')::bigint),
        p_now, p_now, t.entry ->> 'request', p_now
    FROM told t JOIN held h ON t.type = ANY (h.types)
    WHERE h.replay_after IS NULL OR NOT EXISTS (
        SELECT FROM avow.audit a
        WHERE a.tenant = p_tenant AND a.kind = t.entry ->> 'kind' AND a.id = (t.entry ->> 'id')::uuid
            AND a.version = (t.entry ->> 'ver')::bigint
            AND avow.replay_brings(h.replay_after, h.replay_upto, h.replay_since, a.entry, a.at))
    ORDER BY t.place, h.id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS begun = ROW_COUNT;
    RETURN begun;
END
$function$;

-- Whether a replay that has come to p_after still brings an entry: of what was there when it began, what is no older than it
-- was asked for; and all that was published since, which nobody else tells of, so that of one record nothing overtakes it.
CREATE OR REPLACE FUNCTION avow.replay_brings(
    p_after bigint, p_upto bigint, p_since timestamptz, p_entry bigint, p_at timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS $$SELECT p_entry > p_after AND (p_entry > p_upto OR p_at >= p_since)$$;

-- What one delivery is called among all that is to be done for a record.
CREATE OR REPLACE FUNCTION avow.delivery_name(p_subscription uuid, p_version bigint) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$SELECT 'deliver/' || p_subscription || '/' || p_version$$;

-- The id of an event, the same for everybody who is told of it and however often.
CREATE OR REPLACE FUNCTION avow.event_id(p_tenant text, p_kind text, p_id text, p_version bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    AS $$SELECT substr(encode(sha256(convert_to(concat_ws('/', p_tenant, p_kind, p_id, p_version), 'UTF8')), 'hex'), 1, 32)::uuid$$;

-- Make a subscription, or give back the one that is there under this id.
CREATE OR REPLACE FUNCTION avow.put_subscription(p_tenant text, p_id uuid, p_subject text, p_url text, p_types text[])
    RETURNS SETOF avow.subscription
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    INSERT INTO avow.subscription (id, tenant, subject, url, types) VALUES (p_id, p_tenant, p_subject, p_url, p_types)
    ON CONFLICT DO NOTHING;
    INSERT INTO avow.destination (destination) VALUES ('deliver/' || p_id) ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM avow.subscription s WHERE s.tenant = p_tenant AND s.id = p_id;
END
$function$;

-- Change what a subscription is in: active, paused (what happens is kept for it) or disabled (it isn't). What waits
-- is given its whole time again.
CREATE OR REPLACE FUNCTION avow.turn_subscription(p_tenant text, p_id uuid, p_state text, p_reason text)
    RETURNS SETOF avow.subscription
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    RETURN QUERY UPDATE avow.subscription s SET state = p_state, reason = p_reason,
        replay_after = CASE WHEN p_state <> 'disabled' THEN s.replay_after END
        WHERE s.tenant = p_tenant AND s.id = p_id RETURNING s.*;
    IF p_state = 'disabled' THEN
        DELETE FROM avow.work w WHERE w.tenant = p_tenant AND w.destination = 'deliver/' || p_id;
    ELSIF p_state = 'active' THEN
        UPDATE avow.work w SET due = avow.now(), ready_at = avow.now(), attempt = 0
        WHERE w.tenant = p_tenant AND w.destination = 'deliver/' || p_id AND NOT w.taken AND w.stuck IS NULL;
    END IF;
END
$function$;

-- Give a subscription its next secret; the one before it signs as well for p_for_ms. Once for each p_request.
CREATE OR REPLACE FUNCTION avow.rotate_subscription(p_tenant text, p_id uuid, p_request uuid, p_for_ms bigint)
    RETURNS SETOF avow.subscription
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    UPDATE avow.subscription s SET generation = s.generation + 1, rotated_by = p_request,
        previous_until = avow.now() + p_for_ms * interval '1 ms'
    WHERE s.tenant = p_tenant AND s.id = p_id AND s.rotated_by IS DISTINCT FROM p_request;
    RETURN QUERY SELECT * FROM avow.subscription s WHERE s.tenant = p_tenant AND s.id = p_id;
END
$function$;

-- End a subscription, with what is still to be told. Returns whether it was there.
CREATE OR REPLACE FUNCTION avow.drop_subscription(p_tenant text, p_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    DELETE FROM avow.subscription s WHERE s.tenant = p_tenant AND s.id = p_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM avow.work w WHERE w.tenant = p_tenant AND w.destination = 'deliver/' || p_id;
    DELETE FROM avow.destination d WHERE d.destination = 'deliver/' || p_id;
    RETURN true;
END
$function$;

-- Begin to tell again, in order, of everything since an instant; once for each p_request. It only says so: workers go on
-- with it, step by step. Where a replay is under way, both become one, from the earlier instant on. What waits, or
-- is stuck, is looked at again at once: what the replay brings is left to it, so that of one record nothing comes before its
-- turn, and the rest is told.
CREATE OR REPLACE FUNCTION avow.replay_subscription(p_tenant text, p_id uuid, p_request uuid, p_since timestamptz)
    RETURNS SETOF avow.subscription
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', 'all', true);
    first   bigint := avow.entry_before(p_since);
    last    bigint := coalesce((SELECT max(a.entry) FROM avow.audit a), 0);
BEGIN
    UPDATE avow.subscription s SET replayed_by = p_request,
        replay_after = least(s.replay_after, first),
        replay_upto = CASE WHEN s.replay_after IS NULL THEN last ELSE s.replay_upto END,
        replay_since = CASE WHEN s.replay_after IS NULL THEN p_since ELSE least(s.replay_since, p_since) END
    WHERE s.tenant = p_tenant AND s.id = p_id AND s.replayed_by IS DISTINCT FROM p_request;
    IF FOUND THEN
        UPDATE avow.work w SET stuck = NULL, due = avow.now(), ready_at = avow.now(), attempt = 0
        WHERE w.tenant = p_tenant AND w.destination = 'deliver/' || p_id AND NOT w.taken;
    END IF;
    RETURN QUERY SELECT * FROM avow.subscription s WHERE s.tenant = p_tenant AND s.id = p_id;
END
$function$;

-- An entry whose number was given before an instant: what bears that time or a later one has a higher number, as its time
-- is taken before its number. It is the last leaf of the newest checkpoint that is older, by what a clock may be set back;
-- 0 where there is none, or nothing was sealed. Owner only.
CREATE OR REPLACE FUNCTION avow.entry_before(p_at timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    AS $function$
BEGIN
    RETURN coalesce((
        SELECT l.entry FROM avow.checkpoint c CROSS JOIN LATERAL (
            SELECT f.entry FROM avow.leaf f WHERE f.epoch = c.epoch AND f.index = c.size - 1 LIMIT 1) AS l
        WHERE c.at <= p_at - interval '10 min' AND l.entry IS NOT NULL ORDER BY c.at DESC LIMIT 1), 0);
END
$function$;

-- One step of a replay: of the next p_most entries of the log, put what it brings among what is to be told, behind
-- everything that is there; what waits of it already is put there with it. Returns whether there is more. Nothing happens
-- while enough is waiting. A step is one transaction: what breaks off in it has not happened, and whoever comes next goes on.
CREATE OR REPLACE FUNCTION avow.go_on_replaying(p_id uuid, p_most integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    -- The plan is kept while the log grows; it is to read the next entries and nothing else.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
    AS $function$
DECLARE
    setting text := set_config('avow.scope', 'all', true);
    known   avow.subscription;
    last    bigint;
    seen    integer;
    told    bigint[];
    waiting bigint[];
BEGIN
    -- One at a time, so that commands that publish wait for one step and not for one of each process.
    PERFORM pg_advisory_xact_lock(hashtext('avow.replay'), hashtext(p_id::text));
    SELECT set_config('avow.tenant', s.tenant, true) INTO setting FROM avow.subscription s WHERE s.id = p_id;
    SELECT * INTO known FROM avow.subscription s
    WHERE s.id = p_id AND s.state = 'active' AND s.replay_after IS NOT NULL FOR UPDATE;
    IF NOT FOUND OR avow.enough_waits(p_id) THEN
        RETURN false;
    END IF;
    -- Who had left its entry to the replay has ended, and this snapshot sees it; who comes later sees how far this step has
    -- come, and tells itself what was passed by.
    SELECT count(*), max(a.entry), coalesce(array_agg(a.entry ORDER BY a.entry) FILTER (WHERE CASE
        WHEN a.tenant = known.tenant
            AND avow.replay_brings(known.replay_after, known.replay_upto, known.replay_since, a.entry, a.at)
        THEN concat_ws('.', a.kind, convert_from(a.header, 'UTF8')::jsonb ->> 'transition') = ANY (known.types) END), '{}')
    INTO seen, last, told
    FROM (SELECT * FROM avow.audit e WHERE e.entry > known.replay_after ORDER BY e.entry LIMIT p_most) AS a;
    UPDATE avow.subscription s SET replay_after = CASE WHEN seen = p_most THEN last END WHERE s.id = p_id;
    -- Locked in the order of their line, as whoever ends one of them does.
    waiting := ARRAY(
        SELECT w.work FROM unnest(told) AS t (entry) JOIN avow.audit a ON a.entry = t.entry JOIN avow.work w
            ON w.id = a.id AND w.name = avow.delivery_name(p_id, a.version) AND w.kind = a.kind AND w.tenant = a.tenant
        ORDER BY w.work FOR UPDATE OF w);
    DELETE FROM avow.work w WHERE w.work = ANY (waiting);
    INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT a.tenant, a.kind, a.id, avow.delivery_name(p_id, a.version), a.version, 'deliver/' || p_id, a.id::text,
        avow.event_id(a.tenant, a.kind, a.id::text, a.version), avow.now(), avow.now(),
        convert_from(a.header, 'UTF8')::jsonb ->> 'request', avow.now()
    FROM unnest(told) AS t (entry) JOIN avow.audit a ON a.entry = t.entry ORDER BY a.entry;
    RETURN seen = p_most;
END
$function$;

-- Whether so much is to be told to a subscription that a replay brings no more for now. Owner only.
CREATE OR REPLACE FUNCTION avow.enough_waits(p_id uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$SELECT count(*) >= 1000 FROM (
        SELECT FROM avow.work w WHERE w.destination = 'deliver/' || p_id LIMIT 1000) AS waiting$$;

-- The subscriptions, of all tenants, to which something can be told now, and those whose replay can go on.
CREATE OR REPLACE FUNCTION avow.deliverable() RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    AS $function$
DECLARE
    setting text := set_config('avow.scope', 'all', true);
    moment  timestamptz := avow.now();
BEGIN
    RETURN QUERY SELECT 'deliver/' || s.id FROM avow.subscription s
    WHERE s.state = 'active' AND EXISTS (
        SELECT FROM avow.work w WHERE w.destination = 'deliver/' || s.id AND w.ready_at <= moment);
    RETURN QUERY SELECT 'replay/' || s.id FROM avow.subscription s
    WHERE s.replay_after IS NOT NULL AND s.state = 'active' AND NOT avow.enough_waits(s.id);
END
$function$;

-- Do something about a subscription, once for a key: put, turn, rotate, replay or drop, with what p_told says. Returns the
-- fingerprint that the key was used with first, whether it had been used, and the subscription as the first request left it
-- (dropped: as it was); nothing, and nothing is kept, where there is no such subscription. No secret is kept: it follows
-- from the id and the generation.
CREATE OR REPLACE FUNCTION avow.act_on_subscription(
    p_tenant text, p_id uuid, p_key uuid, p_fingerprint bytea, p_word text, p_told jsonb)
    RETURNS TABLE (fingerprint bytea, replayed boolean, left_as jsonb)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true);
    known   avow.subscription;
BEGIN
    -- A second copy of the request waits here, and then sees what the first one has kept.
    PERFORM pg_advisory_xact_lock(hashtext('avow.act_on_subscription'), hashtext(p_key::text));
    RETURN QUERY SELECT i.fingerprint, true, convert_from(i.body, 'UTF8')::jsonb FROM avow.idempotency i
        WHERE i.tenant = p_tenant AND i.id = p_key;
    IF FOUND THEN
        RETURN;
    ELSIF p_word = 'put' THEN
        SELECT * INTO known FROM avow.put_subscription(p_tenant, p_id, p_told ->> 'subject', p_told ->> 'url',
            ARRAY(SELECT jsonb_array_elements_text(p_told -> 'types')));
    ELSIF p_word = 'turn' THEN
        SELECT * INTO known FROM avow.turn_subscription(p_tenant, p_id, p_told ->> 'state', '');
    ELSIF p_word = 'rotate' THEN
        SELECT * INTO known FROM avow.rotate_subscription(p_tenant, p_id, p_key, (p_told ->> 'both_ms')::bigint);
    ELSIF p_word = 'replay' THEN
        SELECT * INTO known
        FROM avow.replay_subscription(p_tenant, p_id, p_key, (p_told ->> 'since')::timestamptz);
    ELSIF p_word = 'drop' THEN
        SELECT * INTO known FROM avow.subscription s WHERE s.tenant = p_tenant AND s.id = p_id FOR UPDATE;
        PERFORM avow.drop_subscription(p_tenant, p_id);
    END IF;
    IF known.id IS NOT NULL THEN
        PERFORM avow.keep_answer(p_tenant, p_key, p_fingerprint, convert_to(to_jsonb(known)::text, 'UTF8'));
        RETURN QUERY SELECT p_fingerprint, false, to_jsonb(known);
    END IF;
END
$function$;

REVOKE ALL ON FUNCTION
    avow.put_deliveries(text, jsonb[], timestamptz), avow.delivery_name(uuid, bigint),
    avow.event_id(text, text, text, bigint), avow.put_subscription(text, uuid, text, text, text[]),
    avow.turn_subscription(text, uuid, text, text), avow.rotate_subscription(text, uuid, uuid, bigint),
    avow.drop_subscription(text, uuid), avow.replay_subscription(text, uuid, uuid, timestamptz), avow.deliverable(),
    avow.replay_brings(bigint, bigint, timestamptz, bigint, timestamptz), avow.entry_before(timestamptz),
    avow.go_on_replaying(uuid, integer), avow.enough_waits(uuid),
    avow.act_on_subscription(text, uuid, uuid, bytea, text, jsonb)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    avow.put_subscription(text, uuid, text, text, text[]), avow.turn_subscription(text, uuid, text, text),
    avow.rotate_subscription(text, uuid, uuid, bigint), avow.drop_subscription(text, uuid),
    avow.replay_subscription(text, uuid, uuid, timestamptz), avow.go_on_replaying(uuid, integer), avow.deliverable(),
    avow.replay_brings(bigint, bigint, timestamptz, bigint, timestamptz),
    avow.act_on_subscription(text, uuid, uuid, bytea, text, jsonb)
    TO @{application};
