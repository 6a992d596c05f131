-- Dropping old entries, once they are sealed and exported. Leaves, nodes and checkpoints stay, and so does each record's
-- newest entry. Owned by the owner role, and for it alone.

-- Which leaves' entries were dropped, by whom, why, and where they were exported to before. Nothing here is ever changed.
CREATE TABLE IF NOT EXISTS avow.dropped (
    epoch       integer NOT NULL,
    first       bigint NOT NULL,
    upto        bigint NOT NULL CHECK (upto > first),
    exported_to text NOT NULL CHECK (exported_to <> ''),
    subject     text NOT NULL CHECK (subject <> ''),
    reason      text NOT NULL CHECK (reason <> ''),
    at          timestamptz NOT NULL DEFAULT avow.now(),
    PRIMARY KEY (epoch, first)
);

-- The last dropped entry of each record: what its first one that is left goes on from.
CREATE TABLE IF NOT EXISTS avow.stub (
    tenant  text NOT NULL,
    kind    text NOT NULL,
    id      uuid NOT NULL,
    version bigint NOT NULL,
    entry   bigint NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON avow.dropped FOR EACH ROW EXECUTE FUNCTION avow.refuse_change();
CREATE OR REPLACE TRIGGER append_only_whole BEFORE TRUNCATE ON avow.dropped FOR EACH STATEMENT EXECUTE FUNCTION avow.refuse_change();
ALTER TABLE avow.dropped ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER append_only_whole;
GRANT SELECT ON avow.dropped, avow.stub TO @{application}, @{reader};

ALTER TABLE avow.stub ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS tenant ON avow.stub;
CREATE POLICY tenant ON avow.stub FOR SELECT USING (tenant = avow.tenant());
DROP POLICY IF EXISTS owner_drops ON avow.stub;
CREATE POLICY owner_drops ON avow.stub TO @{owner} USING (current_setting('avow.scope', true) = 'all');
DROP POLICY IF EXISTS owner_drops ON avow.audit;
CREATE POLICY owner_drops ON avow.audit FOR DELETE TO @{owner} USING (current_setting('avow.scope', true) = 'all');

-- What was written stays as it was written; but an entry may go whose leaf is said, for ever, to have been dropped.
CREATE OR REPLACE FUNCTION avow.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $function$
BEGIN
    IF TG_TABLE_NAME = 'audit' AND TG_OP = 'DELETE' THEN
        -- Ranges don't overlap, so the last one that begins before a leaf is the only one that can have it.
        IF EXISTS (SELECT FROM avow.leaf l CROSS JOIN LATERAL (
                       SELECT o.upto FROM avow.dropped o WHERE o.epoch = l.epoch AND o.first <= l.index
                       ORDER BY o.first DESC LIMIT 1) AS d
                   WHERE l.entry = OLD.entry AND l.hash = OLD.hash AND l.index < d.upto) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'avow.% is append-only', TG_TABLE_NAME USING ERRCODE = 'AV004';
END
$function$;

-- By which entry private values were erased: few rows, and none is written but by an erasure.
CREATE INDEX IF NOT EXISTS disclosure_erased ON avow.disclosure (tenant, erased_kind, erased_id, erased_version)
    WHERE erased_id IS NOT NULL;

-- Drop the entries of the next leaves of a log, at most p_most of them and none from p_upto on; gives back how many leaves
-- that were, none when all is done. Of each record the versions up to one go, and its newest stays; what something is
-- still to be done for stays as a whole, and so does what a replay under way has still to tell. An entry that has erased
-- something stays with those after it: receipts, reveals and verification go on saying that it did. All of one call is
-- committed together.
CREATE OR REPLACE FUNCTION avow.drop_entries(
    p_epoch integer, p_upto bigint, p_most integer, p_exported_to text, p_subject text, p_reason text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    start bigint;
    stop  bigint;
BEGIN
    PERFORM set_config('avow.scope', 'all', true), pg_advisory_xact_lock(hashtext('avow.drop'));
    start := coalesce((SELECT max(d.upto) FROM avow.dropped d WHERE d.epoch = p_epoch), 0);
    stop := least(p_upto, start + p_most);
    IF stop <= start THEN
        RETURN 0;
    END IF;
    IF NOT EXISTS (SELECT FROM avow.checkpoint c WHERE c.epoch = p_epoch AND c.size >= stop) THEN
        RAISE EXCEPTION 'no checkpoint covers % leaves', stop USING ERRCODE = 'AV002';
    END IF;
    INSERT INTO avow.dropped (epoch, first, upto, exported_to, subject, reason)
    VALUES (p_epoch, start, stop, p_exported_to, p_subject, p_reason);
    WITH going AS MATERIALIZED (
        SELECT l.tenant, l.kind, l.id, max(l.version) AS version, max(l.entry) AS entry FROM avow.leaf l
        WHERE l.epoch = p_epoch AND l.index >= start AND l.index < stop AND l.entry IS NOT NULL
          AND EXISTS (SELECT FROM avow.audit a
                      WHERE a.tenant = l.tenant AND a.kind = l.kind AND a.id = l.id AND a.version > l.version)
          AND NOT EXISTS (SELECT FROM avow.work w WHERE w.tenant = l.tenant AND w.kind = l.kind AND w.id = l.id)
          AND NOT EXISTS (SELECT FROM avow.task t WHERE t.tenant = l.tenant AND t.kind = l.kind AND t.id = l.id)
          AND NOT EXISTS (SELECT FROM avow.subscription s WHERE s.tenant = l.tenant AND s.replay_after < l.entry)
          AND NOT EXISTS (
              SELECT FROM avow.disclosure d
              WHERE d.tenant = l.tenant AND d.erased_kind = l.kind AND d.erased_id = l.id AND d.erased_version <= l.version)
        GROUP BY l.tenant, l.kind, l.id
    ), marked AS (
        INSERT INTO avow.stub AS s (tenant, kind, id, version, entry) SELECT g.* FROM going g
        ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, entry = excluded.entry
        WHERE s.version < excluded.version
    )
    DELETE FROM avow.audit a USING going g
    WHERE a.tenant = g.tenant AND a.kind = g.kind AND a.id = g.id AND a.version <= g.version;
    RETURN stop - start;
END
$function$;
REVOKE ALL ON FUNCTION avow.drop_entries(integer, bigint, integer, text, text, text) FROM PUBLIC;
