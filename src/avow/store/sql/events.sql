-- Events that came before their record could take them. They lie with everything else that is to be done later, and are
-- tried again after a pause, or as soon as a commit touches the record that they wait for.

-- Park an event; returns whether it wasn't there already. p_id: a hash of what makes it this event. p_topic: a hash of
-- the record that it waits for, by id or by the value that it is found with. p_for_ms: how long it may lie here.
-- p_stuck: where it doesn't wait for its record but for a person, why; and p_task: whom that asks. It is tried once more at once: what it waits
-- for may have happened just now.
CREATE OR REPLACE FUNCTION avow.park_event(
    p_tenant text, p_kind text, p_id uuid, p_name text, p_topic text, p_given jsonb, p_request text, p_for_ms bigint,
    p_stuck text, p_task jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.asked', coalesce(p_task::text, ''), true);
    moment  timestamptz := avow.now();
BEGIN
    INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since,
        topic, given, stuck)
    VALUES (p_tenant, p_kind, p_id, p_name, 0, @{events}, '', p_id, moment + p_for_ms * interval '1 ms',
        CASE WHEN p_stuck IS NULL THEN moment ELSE 'infinity' END, p_request, moment, p_topic, p_given, p_stuck)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$function$;

-- Park an event again that still came too early, waiting for p_topic now. False: it is the caller's no longer, or its
-- record was touched in the meantime, so that it is tried again anyway; or it is no event.
CREATE OR REPLACE FUNCTION avow.park_again(p_work bigint, p_fence bigint, p_topic text, p_given jsonb, p_pause_ms bigint)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.scope', 'all', true);
BEGIN
    -- The first time that it waits for another topic it is tried once more at once, as in avow.park_event.
    UPDATE avow.work w SET taken = false, topic = p_topic, given = p_given,
        ready_at = avow.now() + CASE WHEN w.topic = p_topic THEN p_pause_ms ELSE 0 END * interval '1 ms'
    WHERE w.work = p_work AND w.fence = p_fence AND w.destination = @{events};
    RETURN FOUND;
END
$function$;

-- Try again at once what waits for records that were just written. Also what a worker is trying right now: it may
-- have seen the record as it was before, so its taking counts no longer. Owner only.
CREATE OR REPLACE FUNCTION avow.wake_events(p_tenant text, p_entries jsonb[], p_now timestamptz) RETURNS integer
    LANGUAGE plpgsql
    AS $function$
DECLARE woken integer;
BEGIN
    UPDATE avow.work w SET ready_at = p_now, taken = false, fence = w.fence + 1
    WHERE w.tenant = p_tenant AND w.topic <> '' AND w.stuck IS NULL AND w.topic = ANY (ARRAY(
        SELECT encode(sha256(convert_to(concat_ws('/', e.entry ->> 'kind', 'id', e.entry ->> 'id'), 'UTF8')), 'hex')
        FROM unnest(p_entries) AS e (entry)
        UNION
        SELECT encode(sha256(convert_to(concat_ws('/', e.entry ->> 'kind', c.key, c.value), 'UTF8')), 'hex')
        FROM unnest(p_entries) AS e (entry), jsonb_each_text(e.entry -> 'changes') AS c (key, value)
        WHERE concat_ws('/', e.entry ->> 'kind', c.key) = ANY (ARRAY[@{matched}]::text[])));
    GET DIAGNOSTICS woken = ROW_COUNT;
    RETURN woken;
END
$function$;

REVOKE ALL ON FUNCTION
    avow.park_event(text, text, uuid, text, text, jsonb, text, bigint, text, jsonb),
    avow.park_again(bigint, bigint, text, jsonb, bigint), avow.wake_events(text, jsonb[], timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    avow.park_event(text, text, uuid, text, text, jsonb, text, bigint, text, jsonb),
    avow.park_again(bigint, bigint, text, jsonb, bigint)
    TO @{application};
