-- What people are asked to do, and what they do about it other than doing it. Owned by the owner role; the
-- application has no other way to change it. A command locks its records first, and then their tasks; so does
-- whoever claims or delegates one. What happens by itself locks tasks only.

-- Begin, move and end tasks as entries say; of a record's several entries the last one counts. A step that was
-- decided without knowing what was done with its task meanwhile is overtaken. Owner only: avow.commit calls it.
CREATE OR REPLACE FUNCTION avow.put_tasks(p_tenant text, p_entries jsonb[], p_now timestamptz) RETURNS integer
    LANGUAGE plpgsql
    AS $function$
DECLARE
    said  record;
    begun integer := 0;
BEGIN
    FOR said IN
        SELECT e.entry ->> 'kind' AS kind, (e.entry ->> 'id')::uuid AS id, t.step, t.told,
            e.entry ->> 'ver' AS version, e.entry -> 'actor' ->> 'subject' AS subject,
            NOT t.told ? 'role' AND (t.told = 'null' OR t.told -> 'ends' = 'true') AS ends
        FROM unnest(p_entries) WITH ORDINALITY AS e (entry, place), jsonb_each(e.entry -> 'tasks') AS t (step, told)
        WHERE e.entry ? 'tasks' ORDER BY e.place, t.step
    LOOP
        IF said.told ? 'acts' AND NOT EXISTS (
            SELECT FROM avow.task k
            WHERE k.tenant = p_tenant AND k.kind = said.kind AND k.id = said.id AND k.step = said.step
                AND k.acts = (said.told ->> 'acts')::integer FOR UPDATE) THEN
            RAISE EXCEPTION 'something was done with the task meanwhile' USING ERRCODE = 'AV003';
        END IF;
        IF said.ends THEN
            DELETE FROM avow.task k
            WHERE k.tenant = p_tenant AND k.kind = said.kind AND k.id = said.id AND k.step = said.step;
        ELSIF said.told ? 'role' THEN
            begun := begun + avow.begin_task(
                p_tenant, said.kind, said.id, said.step, said.version, said.subject, said.told, p_now, NULL);
        ELSE
            UPDATE avow.task k SET
                holder = CASE WHEN said.told ? 'acts' THEN NULL ELSE k.holder END,
                held_until = CASE WHEN said.told ? 'acts' THEN NULL ELSE k.held_until END,
                acts = k.acts + 1,
                due = CASE WHEN said.told ? 'due' THEN (said.told ->> 'due')::timestamptz ELSE k.due END,
                next_at = avow.next_of(
                    k.remind, k.follow_up, k.escalate, k.escalated,
                    CASE WHEN said.told ? 'due' THEN (said.told ->> 'due')::timestamptz ELSE k.due END, p_now)
            WHERE k.tenant = p_tenant AND k.kind = said.kind AND k.id = said.id AND k.step = said.step;
        END IF;
    END LOOP;
    RETURN begun;
END
$function$;

-- One task, as its entry says; or of a work that is stuck, p_work, as its declaration does. Owner only.
CREATE OR REPLACE FUNCTION avow.begin_task(
    p_tenant text, p_kind text, p_id uuid, p_step text, p_version text, p_subject text, p_told jsonb, p_now timestamptz,
    p_work bigint) RETURNS integer
    LANGUAGE plpgsql
    AS $function$
DECLARE
    ends_at timestamptz := (p_told ->> 'due')::timestamptz;
    moments timestamptz[] := ARRAY(SELECT m::timestamptz FROM jsonb_array_elements_text(p_told -> 'remind') AS m);
BEGIN
    -- A record that comes back to a state asks for something new.
    DELETE FROM avow.task k
    WHERE k.tenant = p_tenant AND k.kind = p_kind AND k.id = p_id AND k.step = p_step;
    INSERT INTO avow.task (task, tenant, kind, id, step, role, due, escalate, remind, claim_ms, asked_by, since, next_at,
        work)
    VALUES (
        substr(encode(sha256(convert_to(concat_ws('/', p_tenant, p_kind, p_id, p_step, p_version), 'UTF8')), 'hex'), 1, 32)::uuid,
        p_tenant, p_kind, p_id, p_step, p_told ->> 'role', ends_at, p_told ->> 'escalate', moments,
        (p_told ->> 'claim_ms')::bigint, p_subject, p_now,
        avow.next_of(moments, NULL, p_told ->> 'escalate', NULL, ends_at, p_now), p_work);
    RETURN 1;
END
$function$;

-- Ask a person for a work, once it is stuck. Whoever lets it get stuck says before, in the setting avow.asked, whom its
-- declaration asks and until when; servers of an earlier version don't: then the operators. What has its task already,
-- as where rows are put back that were copied, keeps it. Owner only.
CREATE OR REPLACE FUNCTION avow.ask_for_work() RETURNS trigger
    LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
    AS $function$
BEGIN
    IF EXISTS (SELECT FROM avow.task k WHERE k.tenant = NEW.tenant AND k.work = NEW.work) THEN
        RETURN NULL;
    END IF;
    PERFORM avow.begin_task(
        NEW.tenant, NEW.kind, NEW.id, concat_ws('/', NEW.name, NEW.work), NEW.fence::text, 'avow',
        coalesce(nullif(current_setting('avow.asked', true), ''), '{"role": "", "remind": [], "claim_ms": 28800000}')::jsonb,
        avow.now(), NEW.work);
    RETURN NULL;
END
$function$;

-- Once a work isn't stuck any more, whoever has seen to it and however: nobody is asked for it. Owner only.
CREATE OR REPLACE FUNCTION avow.end_task_of_work() RETURNS trigger
    LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
    AS $function$
BEGIN
    DELETE FROM avow.task k WHERE k.tenant = OLD.tenant AND k.work = OLD.work;
    RETURN NULL;
END
$function$;
-- By their names the one that ends fires before the one that begins.
CREATE OR REPLACE TRIGGER stuck_no_more AFTER UPDATE OF stuck OR DELETE ON avow.work FOR EACH ROW
    WHEN (OLD.stuck IS NOT NULL) EXECUTE FUNCTION avow.end_task_of_work();
CREATE OR REPLACE TRIGGER stuck_now AFTER INSERT OR UPDATE OF stuck ON avow.work FOR EACH ROW
    WHEN (NEW.stuck IS NOT NULL) EXECUTE FUNCTION avow.ask_for_work();

-- Whether somebody else has the task of a work alone. Locks the task: the work is locked before. Owner only.
CREATE OR REPLACE FUNCTION avow.held_by_another(p_tenant text, p_work bigint, p_subject text) RETURNS boolean
    LANGUAGE plpgsql
    AS $function$
DECLARE held avow.task;
BEGIN
    SELECT * INTO held FROM avow.task k WHERE k.tenant = p_tenant AND k.work = p_work FOR UPDATE;
    RETURN coalesce(held.holder <> p_subject AND held.held_until > avow.now(), false);
END
$function$;

-- When something about a task happens by itself next. Owner only.
CREATE OR REPLACE FUNCTION avow.next_of(
    p_remind timestamptz[], p_follow_up timestamptz, p_escalate text, p_escalated timestamptz, p_due timestamptz,
    p_now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql
    AS $function$
BEGIN
    RETURN least(
        (SELECT min(moment) FROM unnest(p_remind) AS moment),
        CASE WHEN p_follow_up > p_now THEN p_follow_up END,
        CASE WHEN p_escalate IS NOT NULL AND p_escalated IS NULL THEN p_due END);
END
$function$;

-- Claim, release, delegate or put off a task, and keep the answer. p_version, p_acts: the record's version and the
-- number of acts that the decision was made on (version null: it rests on no record); p_at: when. Returns done; stale (either has moved on: decide again);
-- replay (the key has an answer). Whatever the caller has decided, nobody takes here what somebody else has.
CREATE OR REPLACE FUNCTION avow.act_on_task(
    p_tenant text, p_kind text, p_id uuid, p_version bigint, p_step text, p_acts integer, p_at timestamptz,
    p_key uuid, p_fingerprint bytea, p_status smallint, p_body bytea,
    p_subject text, p_word text, p_told jsonb, p_reason text, p_request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', '', true);
    held    avow.task;
    moment  timestamptz := avow.now();
BEGIN
    IF (p_version IS NOT NULL
            AND avow.lock_versions(p_tenant, ARRAY[1], ARRAY[p_kind], ARRAY[p_id], ARRAY[p_version], ARRAY[false]) <> '{}')
        OR abs(extract(epoch FROM moment - p_at)) > 60 THEN
        RETURN 'stale';
    END IF;
    SELECT * INTO held FROM avow.task k
    WHERE k.tenant = p_tenant AND k.kind = p_kind AND k.id = p_id AND k.step = p_step FOR UPDATE;
    IF cardinality(avow.keep_answers(p_tenant, '{}', ARRAY[p_key], ARRAY[p_fingerprint], ARRAY[p_status],
        ARRAY[p_body], ARRAY[p_kind], ARRAY[p_id], ARRAY[p_version], moment)) > 0 THEN
        RETURN 'replay';
    ELSIF held.acts IS DISTINCT FROM p_acts THEN
        -- The answer that was just kept goes with it.
        RAISE EXCEPTION 'something was done with the task meanwhile' USING ERRCODE = 'AV003';
    ELSIF (p_word = 'release' AND held.holder IS DISTINCT FROM p_subject)
        OR (p_word <> 'release' AND held.holder <> p_subject AND held.held_until > p_at) THEN
        RAISE EXCEPTION 'somebody else has the task' USING ERRCODE = 'AV002';
    END IF;
    UPDATE avow.task k SET
        acts = k.acts + 1,
        holder = CASE p_word WHEN 'claim' THEN p_subject WHEN 'delegate' THEN p_told ->> 'to'
                             WHEN 'release' THEN NULL ELSE k.holder END,
        held_until = CASE WHEN p_word IN ('claim', 'delegate') THEN p_at + k.claim_ms * interval '1 ms'
                          WHEN p_word = 'release' THEN NULL ELSE k.held_until END,
        -- Who lets another do it stands behind whatever that one does with it, as do those who stand behind him.
        delegated = CASE WHEN p_word = 'delegate' THEN k.delegated || jsonb_build_object(p_told ->> 'to', (
            SELECT jsonb_agg(DISTINCT behind.subject)
            FROM jsonb_array_elements(
                coalesce(k.delegated -> (p_told ->> 'to'), '[]') || coalesce(k.delegated -> p_subject, '[]')
                || to_jsonb(p_subject)) AS behind (subject))) ELSE k.delegated END,
        follow_up = CASE WHEN p_word = 'follow-up' THEN (p_told ->> 'at')::timestamptz ELSE k.follow_up END,
        next_at = avow.next_of(k.remind,
            CASE WHEN p_word = 'follow-up' THEN (p_told ->> 'at')::timestamptz ELSE k.follow_up END,
            k.escalate, k.escalated, k.due, moment)
    WHERE k.tenant = p_tenant AND k.task = held.task;
    INSERT INTO avow.task_act (tenant, kind, id, step, task, number, at, subject, word, told, reason, request)
    VALUES (p_tenant, p_kind, p_id, p_step, held.task, held.acts + 1, p_at, p_subject, p_word, p_told, p_reason, p_request);
    RETURN 'done';
END
$function$;

-- Whatever about tasks happens by itself and is due: of all tenants, at most p_most tasks. A task that is due goes,
-- once, into the inbox that it escalates to, and nobody holds it any more. Reminders and dates of follow-up are noted.
CREATE OR REPLACE FUNCTION avow.advance_tasks(p_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS $function$
DECLARE
    moment  timestamptz := avow.now();
    setting text := set_config('avow.scope', 'all', true);
    ripe    avow.task;
    falls   boolean;
    noted   integer;
    done    integer := 0;
BEGIN
    FOR ripe IN
        SELECT * FROM avow.task k WHERE k.next_at <= moment ORDER BY k.next_at LIMIT p_most FOR UPDATE SKIP LOCKED
    LOOP
        falls := coalesce(ripe.escalate IS NOT NULL AND ripe.escalated IS NULL AND ripe.due <= moment, false);
        INSERT INTO avow.task_act (tenant, kind, id, step, task, number, at, subject, word, told, reason, request)
        SELECT ripe.tenant, ripe.kind, ripe.id, ripe.step, ripe.task, ripe.acts + row_number() OVER (ORDER BY s.word),
            moment, 'avow', s.word, s.told, '', ''
        FROM (
            SELECT 'escalate' AS word, jsonb_build_object('from', ripe.role, 'to', ripe.escalate, 'held_by', ripe.holder) AS told
            WHERE falls
            UNION ALL SELECT 'remind', jsonb_build_object('of', to_jsonb(m)) FROM unnest(ripe.remind) AS m WHERE m <= moment
            UNION ALL SELECT 'follow-up-due', jsonb_build_object('at', to_jsonb(ripe.follow_up))
            WHERE ripe.follow_up <= moment AND ripe.next_at <= ripe.follow_up) AS s;
        GET DIAGNOSTICS noted = ROW_COUNT;
        done := done + noted;
        UPDATE avow.task k SET
            acts = k.acts + noted,
            role = CASE WHEN falls THEN k.escalate ELSE k.role END,
            escalated = CASE WHEN falls THEN moment ELSE k.escalated END,
            holder = CASE WHEN falls THEN NULL ELSE k.holder END,
            held_until = CASE WHEN falls THEN NULL ELSE k.held_until END,
            remind = ARRAY(SELECT m FROM unnest(k.remind) AS m WHERE m > moment),
            next_at = avow.next_of(ARRAY(SELECT m FROM unnest(k.remind) AS m WHERE m > moment), k.follow_up,
                k.escalate, CASE WHEN falls THEN moment ELSE k.escalated END, k.due, moment)
        WHERE k.tenant = ripe.tenant AND k.task = ripe.task;
    END LOOP;
    RETURN done;
END
$function$;

REVOKE ALL ON FUNCTION
    avow.put_tasks(text, jsonb[], timestamptz),
    avow.begin_task(text, text, uuid, text, text, text, jsonb, timestamptz, bigint),
    avow.ask_for_work(), avow.end_task_of_work(), avow.held_by_another(text, bigint, text),
    avow.next_of(timestamptz[], timestamptz, text, timestamptz, timestamptz, timestamptz),
    avow.act_on_task(text, text, uuid, bigint, text, integer, timestamptz, uuid, bytea, smallint, bytea, text, text, jsonb, text, text),
    avow.advance_tasks(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    avow.act_on_task(text, text, uuid, bigint, text, integer, timestamptz, uuid, bytea, smallint, bytea, text, text, jsonb, text, text),
    avow.advance_tasks(integer) TO @{application};
