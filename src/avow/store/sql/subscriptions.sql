-- Who is told of what happens, and what is still to be told. Each published entry becomes one row of avow.work for each
-- subscription, in the transaction that appends the entry: what is to be delivered is never looked for afterwards,
-- among transactions of which some are still under way.

-- What is to be told of entries; of one record in the order in which they happened. The subscriptions are held, so
-- that a replay, which takes them for itself, comes before or after this and never between. Owner only.
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
        SELECT s.id, s.types FROM avow.subscription s
        WHERE s.tenant = p_tenant AND s.state <> 'disabled' ORDER BY s.id FOR KEY SHARE
    )
    INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT p_tenant, t.entry ->> 'kind', (t.entry ->> 'id')::uuid, avow.delivery_name(h.id, (t.entry ->> 'ver')::bigint),
        (t.entry ->> 'ver')::bigint, 'deliver/' || h.id, t.entry ->> 'id',
        avow.event_id(p_tenant, t.entry ->> 'kind', t.entry ->> 'id', (t.entry ->> 'ver')::bigint),
        p_now, p_now, t.entry ->> 'request', p_now
    FROM told t JOIN held h ON t.type = ANY (h.types) ORDER BY t.place, h.id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS begun = ROW_COUNT;
    RETURN begun;
END
$function$;

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
    RETURN QUERY UPDATE avow.subscription s SET state = p_state, reason = p_reason
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

-- Tell again, in order, of everything since an instant, at most p_most of it. Returns how much that is; null where it
-- is more, or where there is no such subscription: nothing is changed then. What is still to be told is
-- told as a part of it.
CREATE OR REPLACE FUNCTION avow.replay_subscription(p_tenant text, p_id uuid, p_since timestamptz, p_most integer)
    RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true);
    wanted  text[];
    since   timestamptz;
    told    integer;
BEGIN
    SELECT s.types INTO wanted FROM avow.subscription s WHERE s.tenant = p_tenant AND s.id = p_id FOR UPDATE;
    IF wanted IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT least(p_since, min(a.at)) INTO since FROM avow.work w
        JOIN avow.audit a ON a.tenant = w.tenant AND a.kind = w.kind AND a.id = w.id AND a.version = w.version
    WHERE w.tenant = p_tenant AND w.destination = 'deliver/' || p_id;
    SELECT count(*) INTO told FROM (
        SELECT FROM avow.audit a WHERE a.tenant = p_tenant AND a.at >= since AND concat_ws('.', a.kind,
            convert_from(a.header, 'UTF8')::jsonb ->> 'transition') = ANY (wanted) LIMIT p_most + 1) AS found;
    IF told > p_most THEN
        RETURN NULL;
    END IF;
    DELETE FROM avow.work w WHERE w.tenant = p_tenant AND w.destination = 'deliver/' || p_id;
    INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT p_tenant, a.kind, a.id, avow.delivery_name(p_id, a.version), a.version, 'deliver/' || p_id, a.id::text,
        avow.event_id(p_tenant, a.kind, a.id::text, a.version), avow.now(), avow.now(),
        convert_from(a.header, 'UTF8')::jsonb ->> 'request', avow.now()
    FROM avow.audit a
    WHERE a.tenant = p_tenant AND a.at >= since
        AND concat_ws('.', a.kind, convert_from(a.header, 'UTF8')::jsonb ->> 'transition') = ANY (wanted)
    ORDER BY a.entry;
    RETURN told;
END
$function$;

-- The subscriptions, of all tenants, to which something can be told now.
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
END
$function$;

REVOKE ALL ON FUNCTION
    avow.put_deliveries(text, jsonb[], timestamptz), avow.delivery_name(uuid, bigint),
    avow.event_id(text, text, text, bigint), avow.put_subscription(text, uuid, text, text, text[]),
    avow.turn_subscription(text, uuid, text, text), avow.rotate_subscription(text, uuid, uuid, bigint),
    avow.drop_subscription(text, uuid), avow.replay_subscription(text, uuid, timestamptz, integer), avow.deliverable()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    avow.put_subscription(text, uuid, text, text, text[]), avow.turn_subscription(text, uuid, text, text),
    avow.rotate_subscription(text, uuid, uuid, bigint), avow.drop_subscription(text, uuid),
    avow.replay_subscription(text, uuid, timestamptz, integer), avow.deliverable()
    TO @{application};
