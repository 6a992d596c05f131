-- What operators do about what is to be done later. Each function keeps who did it and why, and the answer under its
-- key, in the same transaction. They are the owner's; the application has them as far as the declaration names
-- operators, whom a call asks that is stuck, or people who may pause. Settling a call by hand is avow.commit's, with the transition that follows.

-- Do something about a work of a tenant, under the taking that the operator has seen. retry: let a worker try once more, from the first attempt on,
-- and never before it is due; under the same key, so that what may have been carried out isn't done twice. compensate:
-- the same for an undo. skip: let what isn't a call pass, as a time passes whose guard doesn't hold; a call can't be
-- skipped like this: its record would wait for nothing. Returns done, or replay where the key has an answer. Raises
-- AV003 where the work is under way, or no longer what the operator has seen, or somebody else has its task.
CREATE OR REPLACE FUNCTION avow.operate(
    p_tenant text, p_action text, p_work bigint, p_fence bigint, p_subject text, p_reason text,
    p_key uuid, p_fingerprint bytea, p_body bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', 'all', true);
    touched avow.work;
BEGIN
    IF NOT avow.keep_answer(p_tenant, p_key, p_fingerprint, p_body) THEN
        RETURN 'replay';
    END IF;
    PERFORM FROM avow.work w WHERE w.work = p_work AND w.tenant = p_tenant FOR UPDATE;
    IF avow.held_by_another(p_tenant, p_work, p_subject) THEN
        RAISE EXCEPTION 'somebody else has its task' USING ERRCODE = 'AV003';
    ELSIF p_action = 'skip' THEN
        DELETE FROM avow.work w
        WHERE w.work = p_work AND w.fence = p_fence AND w.tenant = p_tenant AND NOT w.taken
            AND (w.destination IN ('', @{events}) OR starts_with(w.destination, @{deliveries})) RETURNING * INTO touched;
    ELSIF p_action IN ('retry', 'compensate') THEN
        UPDATE avow.work w SET stuck = NULL, attempt = 0, fence = w.fence + 1, ready_at = greatest(w.due, avow.now())
        WHERE w.work = p_work AND w.fence = p_fence AND w.tenant = p_tenant AND NOT w.taken RETURNING * INTO touched;
    END IF;
    IF touched.work IS NULL THEN
        RAISE EXCEPTION 'the work is no longer what was seen' USING ERRCODE = 'AV003';
    END IF;
    INSERT INTO avow.intervention (tenant, kind, id, name, destination, key, fence, action, subject, reason)
    VALUES (touched.tenant, touched.kind, touched.id, touched.name, touched.destination, touched.key, p_fence,
        p_action, p_subject, p_reason);
    RETURN 'done';
END
$function$;

-- Keep what is answered under a key; false where it has an answer. A second copy of the request waits here. Owner only.
CREATE OR REPLACE FUNCTION avow.keep_answer(p_tenant text, p_key uuid, p_fingerprint bytea, p_body bytea) RETURNS boolean
    LANGUAGE plpgsql
    AS $function$
BEGIN
    INSERT INTO avow.idempotency (tenant, id, fingerprint, status, body, kind)
    VALUES (p_tenant, p_key, p_fingerprint, 200, p_body, '') ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$function$;

-- Say of which work a set consists, before anything is done about it, once for a key; so that who repeats the request
-- goes on with the same set. Returns what was said first.
CREATE OR REPLACE FUNCTION avow.begin_bulk(
    p_tenant text, p_key uuid, p_fingerprint bytea, p_action text, p_subject text, p_reason text, p_works bigint[],
    p_fences bigint[]) RETURNS SETOF avow.bulk
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', 'all', true);
BEGIN
    INSERT INTO avow.bulk (tenant, bulk, fingerprint, action, subject, reason, works, fences)
    VALUES (p_tenant, p_key, p_fingerprint, p_action, p_subject, p_reason, p_works, p_fences) ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM avow.bulk b WHERE b.tenant = p_tenant AND b.bulk = p_key;
END
$function$;

-- Say what came of a set. False where that was said already.
CREATE OR REPLACE FUNCTION avow.end_bulk(p_tenant text, p_key uuid, p_fingerprint bytea, p_body bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    RETURN avow.keep_answer(p_tenant, p_key, p_fingerprint, p_body);
END
$function$;

-- Let no call to a destination begin, or (p_paused false) let them begin again. What is under way is ended. p_tenant:
-- where the answer is kept; the destination is that of all tenants. Returns done; replay; or same, where it was so
-- already, or there is no such destination.
CREATE OR REPLACE FUNCTION avow.pause_destination(
    p_tenant text, p_destination text, p_paused boolean, p_subject text, p_reason text, p_key uuid, p_fingerprint bytea,
    p_body bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', 'all', true);
BEGIN
    IF EXISTS (SELECT FROM avow.idempotency i WHERE i.tenant = p_tenant AND i.id = p_key) THEN
        RETURN 'replay';
    END IF;
    UPDATE avow.destination d SET paused = CASE WHEN p_paused THEN p_reason END
    WHERE d.destination = p_destination AND d.destination <> '' AND (d.paused IS NOT NULL) <> p_paused;
    IF NOT FOUND THEN
        -- A copy of this request may have made it so, for which the change above has waited.
        RETURN CASE WHEN EXISTS (SELECT FROM avow.idempotency i WHERE i.tenant = p_tenant AND i.id = p_key)
            THEN 'replay' ELSE 'same' END;
    END IF;
    IF NOT avow.keep_answer(p_tenant, p_key, p_fingerprint, p_body) THEN
        RAISE EXCEPTION 'the same request was answered meanwhile' USING ERRCODE = 'AV003';
    END IF;
    INSERT INTO avow.intervention (destination, action, subject, reason)
    VALUES (p_destination, CASE WHEN p_paused THEN 'pause' ELSE 'resume' END, p_subject, p_reason);
    RETURN 'done';
END
$function$;

REVOKE ALL ON FUNCTION
    avow.operate(text, text, bigint, bigint, text, text, uuid, bytea, bytea),
    avow.keep_answer(text, uuid, bytea, bytea),
    avow.begin_bulk(text, uuid, bytea, text, text, text, bigint[], bigint[]), avow.end_bulk(text, uuid, bytea, bytea),
    avow.pause_destination(text, text, boolean, text, text, uuid, bytea, bytea)
    FROM PUBLIC, @{application};
DO $grants$
BEGIN
    IF @{seeing_to_one} THEN
        GRANT EXECUTE ON FUNCTION
            avow.operate(text, text, bigint, bigint, text, text, uuid, bytea, bytea) TO @{application};
    END IF;
    IF @{operators} THEN
        GRANT EXECUTE ON FUNCTION
            avow.begin_bulk(text, uuid, bytea, text, text, text, bigint[], bigint[]),
            avow.end_bulk(text, uuid, bytea, bytea) TO @{application};
    END IF;
    IF @{pausers} THEN
        GRANT EXECUTE ON FUNCTION
            avow.pause_destination(text, text, boolean, text, text, uuid, bytea, bytea) TO @{application};
    END IF;
END
$grants$;
