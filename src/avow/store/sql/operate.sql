-- What operators do about what is to be done later. Each function keeps who did it and why, in the same transaction.
-- Granted to nobody: these are the owner's. Settling a call by hand is avow.commit's, with the transition that follows.

-- Let a worker try once more, from the first attempt on, and never before it is due. Under the same key, so that what
-- may have been carried out isn't done twice. False: it is under way, or is no longer what the operator has seen.
CREATE OR REPLACE FUNCTION avow.retry_work(p_work bigint, p_fence bigint, p_subject text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.scope', 'all', true);
    touched avow.work;
BEGIN
    UPDATE avow.work w SET stuck = NULL, attempt = 0, fence = w.fence + 1, ready_at = greatest(w.due, avow.now())
    WHERE w.work = p_work AND w.fence = p_fence AND NOT w.taken RETURNING * INTO touched;
    RETURN avow.keep_intervention(touched, p_fence, 'retry', p_subject, p_reason);
END
$function$;

-- Let a time pass without its transition, as one passes whose guard doesn't hold. No call can be skipped like this:
-- its record would wait for nothing.
CREATE OR REPLACE FUNCTION avow.skip_time(p_work bigint, p_fence bigint, p_subject text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.scope', 'all', true);
    touched avow.work;
BEGIN
    DELETE FROM avow.work w
    WHERE w.work = p_work AND w.fence = p_fence AND NOT w.taken AND w.destination = '' RETURNING * INTO touched;
    RETURN avow.keep_intervention(touched, p_fence, 'skip', p_subject, p_reason);
END
$function$;

-- Keep what was done to a work, if anything was. Owner only.
CREATE OR REPLACE FUNCTION avow.keep_intervention(
    p_touched avow.work, p_fence bigint, p_action text, p_subject text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql
    AS $function$
BEGIN
    IF p_touched.work IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO avow.intervention (tenant, kind, id, name, destination, key, fence, action, subject, reason)
    VALUES (p_touched.tenant, p_touched.kind, p_touched.id, p_touched.name, p_touched.destination, p_touched.key, p_fence,
        p_action, p_subject, p_reason);
    RETURN true;
END
$function$;

-- Let no call to a destination begin, or (p_paused false) let them begin again. What is under way is ended. False: it
-- was so already, or there is no such destination.
CREATE OR REPLACE FUNCTION avow.pause_destination(p_destination text, p_paused boolean, p_subject text, p_reason text)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE setting text := set_config('avow.scope', 'all', true);
BEGIN
    UPDATE avow.destination d SET paused = CASE WHEN p_paused THEN p_reason END
    WHERE d.destination = p_destination AND d.destination <> '' AND (d.paused IS NOT NULL) <> p_paused;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO avow.intervention (destination, action, subject, reason)
    VALUES (p_destination, CASE WHEN p_paused THEN 'pause' ELSE 'resume' END, p_subject, p_reason);
    RETURN true;
END
$function$;

REVOKE ALL ON FUNCTION
    avow.retry_work(bigint, bigint, text, text), avow.skip_time(bigint, bigint, text, text),
    avow.keep_intervention(avow.work, bigint, text, text, text), avow.pause_destination(text, boolean, text, text)
    FROM PUBLIC;
