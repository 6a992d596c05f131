-- The one way by which anything is written. Owned by the owner role, executed by the application,
-- which has no other right to write. Everything that a row becomes is derived here from the audit
-- headers themselves, so that a row can't differ from its log.
--
-- p_locks:    [{"kind", "id", "version" (null: any), "write"}] in lock order: what the decision rests on.
-- p_headers:  canonical audit headers, in the order of the steps.
-- p_payloads: long values that the headers name by their SHA-256.
-- p_key:      the idempotency record's id; p_fingerprint, p_status, p_body, p_kind, p_record, p_version: the answer.
-- p_refusal:  what to remember of a refusal, or null.
--
-- Returns one row. outcome: done; stale (a version has moved on: decide again); replay (the key has an answer).
CREATE OR REPLACE FUNCTION avow.commit(
    p_tenant text, p_locks jsonb, p_headers bytea[], p_payloads bytea[],
    p_key uuid, p_fingerprint bytea, p_status smallint, p_body bytea, p_kind text, p_record uuid, p_version bigint,
    p_refusal jsonb
) RETURNS TABLE (outcome text, fingerprint bytea, status smallint, body bytea, kind text, record uuid, version bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    lock_wanted jsonb;
    header      bytea;
    payload     bytea;
    parsed      jsonb;
    current     bigint;
    leaf        bytea;
BEGIN
    PERFORM set_config('avow.tenant', p_tenant, true);
    PERFORM set_config('avow.scope', '', true);

    FOR lock_wanted IN SELECT * FROM jsonb_array_elements(p_locks) LOOP
        current := avow.lock_record(
            lock_wanted ->> 'kind', p_tenant, (lock_wanted ->> 'id')::uuid, (lock_wanted ->> 'write')::boolean);
        IF current IS NULL OR current <> (lock_wanted ->> 'version')::bigint THEN
            outcome := 'stale';
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;

    IF p_key IS NOT NULL THEN
        INSERT INTO avow.idempotency AS i (tenant, id, fingerprint, status, body, kind, record, version)
        VALUES (p_tenant, p_key, p_fingerprint, p_status, p_body, p_kind, p_record, p_version)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN QUERY
                SELECT 'replay', i.fingerprint, i.status, i.body, i.kind, i.record, i.version
                FROM avow.idempotency i WHERE i.tenant = p_tenant AND i.id = p_key;
            RETURN;
        END IF;
    END IF;

    FOREACH payload IN ARRAY p_payloads LOOP
        INSERT INTO avow.payload (tenant, sha256, data) VALUES (p_tenant, sha256(payload), payload)
        ON CONFLICT DO NOTHING;
    END LOOP;

    FOREACH header IN ARRAY p_headers LOOP
        parsed := convert_from(header, 'UTF8')::jsonb;
        leaf := sha256('\x00'::bytea || header);
        PERFORM avow.demand_header(p_tenant, parsed);
        INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
        VALUES (p_tenant, parsed ->> 'kind', (parsed ->> 'id')::uuid, (parsed ->> 'ver')::bigint, header, leaf);
        PERFORM avow.apply_entry(parsed ->> 'kind', p_tenant, parsed, avow.values_of(p_tenant, parsed), leaf);
    END LOOP;

    FOREACH header IN ARRAY p_headers LOOP
        parsed := convert_from(header, 'UTF8')::jsonb;
        PERFORM avow.demand_quotas(parsed ->> 'kind', p_tenant, (parsed ->> 'id')::uuid);
    END LOOP;

    IF p_refusal IS NOT NULL THEN
        INSERT INTO avow.refusal (tenant, subject, kind, record, command, code, rule, request)
        VALUES (p_tenant, p_refusal ->> 'subject', p_refusal ->> 'kind', (p_refusal ->> 'record')::uuid,
                p_refusal ->> 'command', p_refusal ->> 'code', p_refusal ->> 'rule', p_refusal ->> 'request');
    END IF;
    outcome := 'done';
    RETURN NEXT;
END
$function$;

-- Refuse a header that doesn't belong here: another tenant, a transition that isn't declared, a stale decision.
CREATE OR REPLACE FUNCTION avow.demand_header(p_tenant text, p_header jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $function$
BEGIN
    IF p_header ->> 'tenant' IS DISTINCT FROM p_tenant THEN
        RAISE EXCEPTION 'the entry belongs to another tenant' USING ERRCODE = 'AV002';
    END IF;
    IF NOT EXISTS (
        SELECT FROM avow.edge e
        WHERE e.boundary = decode(p_header ->> 'boundary', 'hex') AND e.kind = p_header ->> 'kind'
          AND e.transition = p_header ->> 'transition' AND e.source = coalesce(p_header ->> 'from', '')
          AND e.target = p_header ->> 'to'
    ) THEN
        RAISE EXCEPTION 'the transition is not declared' USING ERRCODE = 'AV002';
    END IF;
    IF abs(extract(epoch FROM avow.now() - (p_header ->> 'at')::timestamptz)) > 60 THEN
        RAISE EXCEPTION 'the decision is more than a minute old' USING ERRCODE = 'AV003';
    END IF;
END
$function$;

-- The changed values of an entry: those in its header, and the long ones that it names by hash.
CREATE OR REPLACE FUNCTION avow.values_of(p_tenant text, p_header jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $function$
BEGIN
    IF NOT p_header ? 'changes_sha256' THEN
        RETURN p_header -> 'changes';
    END IF;
    RETURN (p_header -> 'changes') || (
        SELECT jsonb_object_agg(named.key, convert_from(p.data, 'UTF8')::jsonb)
        FROM jsonb_each_text(p_header -> 'changes_sha256') named
        JOIN avow.payload p ON p.tenant = p_tenant AND p.sha256 = decode(named.value, 'hex'));
END
$function$;

-- Lock records in the given order, for a decision that has lost too often to do without.
CREATE OR REPLACE FUNCTION avow.lock_records(p_tenant text, p_locks jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE lock_wanted jsonb;
BEGIN
    PERFORM set_config('avow.tenant', p_tenant, true);
    FOR lock_wanted IN SELECT * FROM jsonb_array_elements(p_locks) LOOP
        PERFORM avow.lock_record(
            lock_wanted ->> 'kind', p_tenant, (lock_wanted ->> 'id')::uuid, (lock_wanted ->> 'write')::boolean);
    END LOOP;
END
$function$;

REVOKE ALL ON FUNCTION avow.lock_records(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.lock_records(text, jsonb) TO @{application};
REVOKE ALL ON FUNCTION avow.commit(text, jsonb, bytea[], bytea[], uuid, bytea, smallint, bytea, text, uuid, bigint, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.commit(text, jsonb, bytea[], bytea[], uuid, bytea, smallint, bytea, text, uuid, bigint, jsonb) TO @{application};
REVOKE ALL ON FUNCTION avow.find_api_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.find_api_key(text) TO @{application};
