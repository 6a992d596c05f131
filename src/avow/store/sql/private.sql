-- Private values: what is kept of them beside their digests, and how it is made unreadable for good. Executed by
-- avow.commit only, but for the functions at the end.

-- Keep what stands behind the digests of entries that are about to be appended. A key that was destroyed meanwhile
-- is missed by the foreign key; one that is in use here can't be destroyed until this is committed.
CREATE OR REPLACE FUNCTION avow.keep_disclosures(p_tenant text, p_dropped integer[], p_disclosures jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $function$
BEGIN
    INSERT INTO avow.disclosure (tenant, kind, id, version, field, digest, key, nonce, ciphertext, blind, keep_until)
    SELECT p_tenant, d.kind, d.id, d.version, d.field, d.digest, d.key, decode(d.nonce, 'base64'),
           decode(d.ciphertext, 'base64'), decode(d.blind, 'base64'), d.keep_until
    FROM jsonb_to_recordset(p_disclosures) AS d (
        of integer, kind text, id uuid, version bigint, field text, digest text, key uuid, nonce text, ciphertext text,
        blind text, keep_until timestamptz)
    WHERE d.of <> ALL (p_dropped) ORDER BY d.kind, d.id, d.version, d.field;
    RETURN '';
END
$function$;

-- Behind every digest of a private value that an entry names, something is kept, and nothing that no entry names.
CREATE OR REPLACE FUNCTION avow.demand_disclosures(p_tenant text, p_dropped integer[], p_entries jsonb[], p_disclosures jsonb)
    RETURNS void
    LANGUAGE plpgsql STABLE
    AS $function$
DECLARE
    named text[] := ARRAY(
        SELECT DISTINCT concat_ws('/', e.entry ->> 'kind', e.entry ->> 'id', e.entry ->> 'ver', held.key, held.value ->> 'private')
        FROM unnest(p_entries) AS e (entry),
             LATERAL (SELECT * FROM jsonb_each(e.entry -> 'changes') UNION ALL SELECT * FROM jsonb_each(e.entry -> 'input')) AS held
        WHERE (e.entry ->> 'kind') || '/' || held.key = ANY (ARRAY[@{private}]::text[])
          AND held.value <> 'null' ORDER BY 1);
    kept text[] := ARRAY(
        SELECT concat_ws('/', d.kind, d.id, d.version, d.field, d.digest)
        FROM jsonb_to_recordset(coalesce(p_disclosures, '[]')) AS d (
            of integer, kind text, id uuid, version bigint, field text, digest text)
        WHERE d.of <> ALL (p_dropped) ORDER BY 1);
BEGIN
    IF named <> kept THEN
        RAISE EXCEPTION 'the entries and what stands behind their digests do not belong together' USING ERRCODE = 'AV002';
    END IF;
END
$function$;

-- Erase what is private about the persons whom entries of erasing transitions name.
CREATE OR REPLACE FUNCTION avow.erase_subjects(p_tenant text, p_entries jsonb[]) RETURNS void
    LANGUAGE plpgsql
    AS $function$
DECLARE
    entry  jsonb;
    person text;
BEGIN
    FOREACH entry IN ARRAY p_entries LOOP
@{erasing}
    END LOOP;
END
$function$;

-- Make all private values about a person unreadable for good: the key is destroyed, and with it whatever was encrypted
-- with it, here and in copies of it. What stands in rows and entries are digests, which say nothing any more. The
-- fingerprints of requests that may have brought one, which are keyed and have 33 bytes, are taken away; such a request
-- can't be repeated afterwards. Any other one can, above all the one that erases.
CREATE OR REPLACE FUNCTION avow.forget_private(p_tenant text, p_subject text, p_kind text, p_id uuid, p_version bigint)
    RETURNS void
    LANGUAGE plpgsql
    AS $function$
DECLARE
    p_key uuid;
BEGIN
    IF EXISTS (SELECT FROM avow.legal_hold h WHERE h.tenant = p_tenant AND h.subject = p_subject) THEN
        RAISE EXCEPTION 'hold' USING ERRCODE = '23514', CONSTRAINT = 'avow_legal_hold';
    END IF;
    SELECT k.key INTO p_key FROM avow.subject_key k
    WHERE k.tenant = p_tenant AND k.subject = p_subject FOR UPDATE;
    IF p_key IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM avow.disclosure d WHERE d.tenant = p_tenant AND d.key = p_key AND d.keep_until > avow.now()) THEN
        RAISE EXCEPTION 'retention' USING ERRCODE = '23514', CONSTRAINT = 'avow_retention';
    END IF;
@{branches}
    UPDATE avow.idempotency i SET fingerprint = '\x00'
    FROM (SELECT DISTINCT d.kind, d.id FROM avow.disclosure d WHERE d.tenant = p_tenant AND d.key = p_key) AS held
    WHERE i.tenant = p_tenant AND i.kind = held.kind AND i.record = held.id AND octet_length(i.fingerprint) > 32;
    DELETE FROM avow.work w WHERE w.tenant = p_tenant AND w.topic <> ''
        AND EXISTS (SELECT FROM jsonb_each(w.given -> 'sealed') AS s WHERE s.value ->> 'key' = p_key::text);
    UPDATE avow.disclosure d
    SET key = NULL, nonce = NULL, ciphertext = NULL, blind = NULL, keep_until = NULL,
        erased_kind = p_kind, erased_id = p_id, erased_version = p_version
    WHERE d.tenant = p_tenant AND d.key = p_key;
    DELETE FROM avow.subject_key k WHERE k.tenant = p_tenant AND k.key = p_key;
END
$function$;

-- The key of a person: the one that there is, or else this one. Wrapped: only whoever has the key of keys can use it.
CREATE OR REPLACE FUNCTION avow.keep_subject_key(p_tenant text, p_subject text, p_key uuid, p_wrapped bytea, p_kek text)
    RETURNS TABLE (key uuid, wrapped bytea, kek text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true) || set_config('avow.scope', '', true);
BEGIN
    INSERT INTO avow.subject_key (tenant, key, subject, wrapped, kek)
    VALUES (p_tenant, p_key, p_subject, p_wrapped, p_kek) ON CONFLICT (tenant, subject) DO NOTHING;
    RETURN QUERY SELECT k.key, k.wrapped, k.kek FROM avow.subject_key k
    WHERE k.tenant = p_tenant AND k.subject = p_subject;
END
$function$;

-- Put a key under another key of keys; false where it is gone, or was put under another one meanwhile. Owner only.
CREATE OR REPLACE FUNCTION avow.rewrap_key(p_tenant text, p_key uuid, p_was text, p_wrapped bytea, p_kek text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    UPDATE avow.subject_key k SET wrapped = p_wrapped, kek = p_kek
    WHERE k.tenant = p_tenant AND k.key = p_key AND k.kek = p_was;
    RETURN FOUND;
END
$function$;

-- Hold a person's data against erasing (p_held), or let go of it. False: it was so already. Owner only.
CREATE OR REPLACE FUNCTION avow.hold_subject(p_tenant text, p_person text, p_held boolean, p_subject text, p_reason text)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    IF p_held THEN
        INSERT INTO avow.legal_hold (tenant, subject, placed_by, reason) VALUES (p_tenant, p_person, p_subject, p_reason)
        ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM avow.legal_hold h WHERE h.tenant = p_tenant AND h.subject = p_person;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO avow.intervention (tenant, destination, action, subject, reason)
    VALUES (p_tenant, '', CASE WHEN p_held THEN 'hold' ELSE 'release' END, p_subject, p_reason);
    RETURN true;
END
$function$;

-- Keep that somebody was given all that is held about a person, and why. Owner only.
CREATE OR REPLACE FUNCTION avow.note_export(p_tenant text, p_subject text, p_reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    setting text := set_config('avow.tenant', p_tenant, true);
BEGIN
    INSERT INTO avow.intervention (tenant, destination, action, subject, reason)
    VALUES (p_tenant, '', 'export', p_subject, p_reason);
END
$function$;

REVOKE ALL ON FUNCTION
    avow.keep_disclosures(text, integer[], jsonb), avow.demand_disclosures(text, integer[], jsonb[], jsonb),
    avow.erase_subjects(text, jsonb[]), avow.forget_private(text, text, text, uuid, bigint),
    avow.keep_subject_key(text, text, uuid, bytea, text), avow.rewrap_key(text, uuid, text, bytea, text),
    avow.hold_subject(text, text, boolean, text, text), avow.note_export(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.keep_subject_key(text, text, uuid, bytea, text) TO @{application};
