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
-- Raises AV002 for what doesn't belong here, AV003 for a decision that was overtaken. Nothing is written then.
CREATE OR REPLACE FUNCTION avow.commit(
    p_tenant text, p_locks jsonb, p_headers bytea[], p_payloads bytea[],
    p_key uuid, p_fingerprint bytea, p_status smallint, p_body bytea, p_kind text, p_record uuid, p_version bigint,
    p_refusal jsonb
) RETURNS TABLE (outcome text, fingerprint bytea, status smallint, body bytea, kind text, record uuid, version bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD'
    AS $function$
#variable_conflict use_column
DECLARE
    header  bytea;
    leaf    bytea;
    parsed  jsonb;
    entries jsonb[] := '{}';
    by_hash boolean := false;
    moment  timestamptz;
BEGIN
    -- A quota counts what others have committed until now; an older snapshot wouldn't see it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a commit needs READ COMMITTED' USING ERRCODE = 'AV002';
    END IF;
    PERFORM set_config('avow.tenant', p_tenant, true), set_config('avow.scope', '', true);

    IF NOT avow.lock_versions(p_tenant, p_locks) THEN
        outcome := 'stale';
        RETURN NEXT;
        RETURN;
    END IF;
    moment := avow.now();

    IF p_key IS NOT NULL THEN
        INSERT INTO avow.idempotency AS i (tenant, id, fingerprint, status, body, kind, record, version, at)
        VALUES (p_tenant, p_key, p_fingerprint, p_status, p_body, p_kind, p_record, p_version, moment)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN QUERY
                SELECT 'replay', i.fingerprint, i.status, i.body, i.kind, i.record, i.version
                FROM avow.idempotency i WHERE i.tenant = p_tenant AND i.id = p_key;
            RETURN;
        END IF;
    END IF;

    IF cardinality(p_payloads) > 0 THEN
        -- In one order for everybody: two commands with the same values would wait for each other in a ring.
        INSERT INTO avow.payload (tenant, sha256, data)
        SELECT p_tenant, sha256(p), p FROM (SELECT DISTINCT p FROM unnest(p_payloads) p) AS given ORDER BY 2
        ON CONFLICT DO NOTHING;
    END IF;

    FOREACH header IN ARRAY p_headers LOOP
        parsed := convert_from(header, 'UTF8')::jsonb;
        PERFORM avow.demand_header(p_tenant, parsed, octet_length(header), moment);
        leaf := sha256(decode('00', 'hex') || header);
        INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
        VALUES (p_tenant, parsed ->> 'kind', (parsed ->> 'id')::uuid, (parsed ->> 'ver')::bigint, header, leaf, moment);
        PERFORM avow.apply_entry(parsed ->> 'kind', p_tenant, parsed, avow.values_of(p_tenant, parsed), leaf);
        entries := array_append(entries, parsed);
    END LOOP;

    -- Only now, when every row is as the command leaves it.
    FOREACH parsed IN ARRAY entries LOOP
        PERFORM avow.demand_quotas(parsed ->> 'kind', p_tenant, (parsed ->> 'id')::uuid);
        by_hash := by_hash OR parsed ?| ARRAY['changes_sha256', 'input_sha256'];
    END LOOP;
    IF by_hash OR cardinality(p_payloads) > 0 THEN
        PERFORM avow.demand_payloads(p_tenant, entries, p_payloads);
    END IF;

    IF p_refusal IS NOT NULL THEN
        INSERT INTO avow.refusal (tenant, at, subject, kind, record, command, code, rule, request)
        VALUES (p_tenant, moment, p_refusal ->> 'subject', p_refusal ->> 'kind', (p_refusal ->> 'record')::uuid,
                p_refusal ->> 'command', p_refusal ->> 'code', p_refusal ->> 'rule', p_refusal ->> 'request');
    END IF;
    outcome := 'done';
    RETURN NEXT;
END
$function$;

-- Lock records in the given order; false where one is gone or at another version than was given.
CREATE OR REPLACE FUNCTION avow.lock_versions(p_tenant text, p_locks jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $function$
DECLARE
    wanted  jsonb;
    current bigint;
BEGIN
    FOR wanted IN SELECT * FROM jsonb_array_elements(p_locks) LOOP
        current := avow.lock_record(
            wanted ->> 'kind', p_tenant, (wanted ->> 'id')::uuid, (wanted ->> 'write')::boolean);
        IF current IS NULL OR current <> (wanted ->> 'version')::bigint THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$function$;

-- Refuse a header that doesn't belong here: another format or tenant, an undeclared transition, an old decision.
CREATE OR REPLACE FUNCTION avow.demand_header(
    p_tenant text, p_header jsonb, p_bytes integer, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql
    AS $function$
BEGIN
    IF (
        p_header -> 'v' = '1' AND p_header ->> 'app' = @{name} AND p_header ->> 'tenant' = p_tenant
        AND p_bytes <= 65535
        AND p_header ?& ARRAY['actor', 'cause', 'command', 'from', 'input', 'reads', 'request']
        AND jsonb_typeof(p_header -> 'ver') = 'number' AND jsonb_typeof(p_header -> 'changes') = 'object'
        AND p_header ->> 'id' = ((p_header ->> 'id')::uuid)::text
        AND p_header ->> 'at' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$'
        AND p_header ->> 'boundary' ~ '^[0-9a-f]{64}$'
    ) IS NOT TRUE THEN
        RAISE EXCEPTION 'the entry is none of this application and tenant' USING ERRCODE = 'AV002';
    END IF;
    IF NOT EXISTS (
        SELECT FROM avow.edge e
        WHERE e.boundary = decode(p_header ->> 'boundary', 'hex') AND e.kind = p_header ->> 'kind'
          AND e.transition = p_header ->> 'transition' AND e.source = coalesce(p_header ->> 'from', '')
          AND e.target = p_header ->> 'to'
    ) THEN
        RAISE EXCEPTION 'the transition is not declared' USING ERRCODE = 'AV002';
    END IF;
    IF abs(extract(epoch FROM p_now - (p_header ->> 'at')::timestamptz)) > 60 THEN
        RAISE EXCEPTION 'the decision is more than a minute old' USING ERRCODE = 'AV003';
    END IF;
END
$function$;

-- The changed values of an entry: those in its header, and the long ones that it names by hash.
CREATE OR REPLACE FUNCTION avow.values_of(p_tenant text, p_header jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $function$
BEGIN
    IF NOT p_header ? 'changes_sha256' THEN
        RETURN p_header -> 'changes';
    END IF;
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
CREATE OR REPLACE FUNCTION avow.lock_records(p_tenant text, p_locks jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM set_config('avow.tenant', p_tenant, true), set_config('avow.scope', '', true);
    PERFORM avow.lock_versions(p_tenant, p_locks);
END
$function$;

-- PostgreSQL lets everybody execute a new function; here nobody may but who is named.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA avow FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.now(), avow.tenant() TO @{application}, @{reader};
GRANT EXECUTE ON FUNCTION
    avow.commit(text, jsonb, bytea[], bytea[], uuid, bytea, smallint, bytea, text, uuid, bigint, jsonb),
    avow.lock_records(text, jsonb), avow.find_api_key(text) TO @{application};
