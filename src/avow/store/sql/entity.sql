-- One entity's table, and its part in the functions that write. The fragments are made by tables.py from the
-- declaration. The functions here are executed by avow.commit only, under its search path and its rights. Where
-- an entity's columns are in reach, variables bear their function's name: a field may be called like any of them.

-- name: table
-- The columns that every entity has, then its fields.
CREATE TABLE @{table} (
    tenant     text NOT NULL,
    id         uuid NOT NULL,
    state      text COLLATE "C" NOT NULL,
    version    bigint NOT NULL CHECK (version > 0),
    head       bytea NOT NULL,
    boundary   bytea NOT NULL,
    changed_at timestamptz NOT NULL,
@{columns}    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 85)

-- name: security
-- Nobody sees another tenant's rows, not even the owner, but for the owner's own maintenance.
ALTER TABLE @{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE @{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON @{table} USING (tenant = avow.tenant());
CREATE POLICY owner_reads_all ON @{table} FOR SELECT TO @{owner} USING (current_setting('avow.scope', true) = 'all');
GRANT SELECT ON @{table} TO @{application}, @{reader}

-- name: lock_branch
-- Lock records of one entity, in the order of their ids; one that is alone without what makes a set. Neither lock stands in the way of a foreign key's own
-- (FOR KEY SHARE). All are locked alike: two orders, one for each kind of lock, would be a ring.
    IF @{kind} = ANY (p_kinds) THEN
        IF p_writes[array_position(p_kinds, @{kind})] THEN
            IF cardinality(p_ids) = 1 THEN
                PERFORM FROM (
                    SELECT (lock_versions.p_versions)[1] AS wanted, r.version AS current FROM @{table} r
                    WHERE r.tenant = lock_versions.p_tenant AND r.id = (lock_versions.p_ids)[1] FOR NO KEY UPDATE OF r) AS l
                WHERE l.wanted IS NULL OR l.wanted = l.current;
                IF FOUND THEN
                    RETURN '{}';
                END IF;
            ELSE
                fresh := fresh || ARRAY(
                    SELECT l.place::integer FROM (
                        SELECT w.place, w.version AS wanted, r.version AS current
                        FROM unnest(p_kinds, p_ids, p_versions) WITH ORDINALITY AS w (kind, id, version, place)
                        JOIN @{table} r ON r.tenant = lock_versions.p_tenant AND r.id = w.id
                        WHERE w.kind = @{kind} ORDER BY r.id FOR NO KEY UPDATE OF r) AS l
                    WHERE l.wanted IS NULL OR l.wanted = l.current);
            END IF;
        ELSE
            IF cardinality(p_ids) = 1 THEN
                PERFORM FROM (
                    SELECT (lock_versions.p_versions)[1] AS wanted, r.version AS current FROM @{table} r
                    WHERE r.tenant = lock_versions.p_tenant AND r.id = (lock_versions.p_ids)[1] FOR SHARE OF r) AS l
                WHERE l.wanted IS NULL OR l.wanted = l.current;
                IF FOUND THEN
                    RETURN '{}';
                END IF;
            ELSE
                fresh := fresh || ARRAY(
                    SELECT l.place::integer FROM (
                        SELECT w.place, w.version AS wanted, r.version AS current
                        FROM unnest(p_kinds, p_ids, p_versions) WITH ORDINALITY AS w (kind, id, version, place)
                        JOIN @{table} r ON r.tenant = lock_versions.p_tenant AND r.id = w.id
                        WHERE w.kind = @{kind} ORDER BY r.id FOR SHARE OF r) AS l
                    WHERE l.wanted IS NULL OR l.wanted = l.current);
            END IF;
        END IF;
    END IF;

-- name: lock_versions
-- Lock records, kind by kind; gives back the commands of which one is gone or at another version than was given.
CREATE OR REPLACE FUNCTION avow.lock_versions(
    p_tenant text, p_lock_of integer[], p_kinds text[], p_ids uuid[], p_versions bigint[], p_writes boolean[])
    RETURNS integer[]
    LANGUAGE plpgsql
    AS $function$
DECLARE fresh integer[] := '{}';
BEGIN
@{branches}
    IF cardinality(fresh) = cardinality(p_ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(
        SELECT DISTINCT command FROM unnest(p_lock_of) WITH ORDINALITY AS w (command, place)
        WHERE w.place <> ALL (fresh));
END
$function$

-- name: sound
-- Whether an entry is of this format, application and tenant, and takes a declared transition: the edge e.
@{entry} -> 'v' = '1' AND @{entry} ->> 'app' = @{name} AND @{entry} ->> 'tenant' = p_tenant
            AND octet_length(@{header}) <= 65535
            AND @{entry} ?& ARRAY['actor', 'cause', 'command', 'from', 'input', 'reads', 'request']
            AND jsonb_typeof(@{entry} -> 'ver') = 'number' AND jsonb_typeof(@{entry} -> 'changes') = 'object'
            AND @{entry} ->> 'id' = ((@{entry} ->> 'id')::uuid)::text
            AND translate(@{entry} ->> 'at', '0123456789', '9999999999') = '9999-99-99T99:99:99.999999Z'
            AND encode(e.boundary, 'hex') = @{entry} ->> 'boundary' AND e.target = @{entry} ->> 'to'

-- name: edge
-- The edge e that an entry names.
e.boundary = decode(@{entry} ->> 'boundary', 'hex') AND e.kind = @{entry} ->> 'kind'
            AND e.transition = @{entry} ->> 'transition' AND e.source = coalesce(@{entry} ->> 'from', '')

-- name: given
-- An entry as it is applied.
                SELECT (g.entry ->> 'id')::uuid AS id, g.entry ->> 'from' AS source, g.entry ->> 'to' AS target,
                       (g.entry ->> 'ver')::bigint AS version, g.entry ->> 'prev' AS prev,
                       decode(g.entry ->> 'boundary', 'hex') AS boundary, (g.entry ->> 'at')::timestamptz AS at,
                       coalesce(g.entry -> 'performers', '{}') AS performers, g.leaf,
                       CASE WHEN g.entry ? 'changes_sha256' THEN avow.values_of(p_tenant, g.entry)
                            ELSE g.entry -> 'changes' END AS changes

-- name: given_of
-- The entries of one entity that change records, or those that create them, as they are applied.
@{given}
                FROM unnest(p_entries, p_leaves) WITH ORDINALITY AS g (entry, leaf, place)
                WHERE g.entry ->> 'kind' = @{kind} AND g.entry -> 'from' @{source} 'null' ORDER BY place

-- name: changed
-- What a change makes of its record.
                    state = g.target, version = r.version + 1, head = g.leaf, boundary = g.boundary,
                    changed_at = g.at@{updated}

-- name: follows
-- Whether a change follows the last entry of its record.
r.tenant = apply_entries.p_tenant AND r.id = g.id AND r.version + 1 = g.version AND r.state = g.source
                  AND encode(r.head, 'hex') = g.prev

-- name: apply_branch
-- Write the rows of entries, of each record one: only on its predecessor, only values in the form that the
-- entry states them in. Changes come first: what one of them frees, a creation may take.
    IF @{kind} = ANY (p_kinds) THEN
        IF p_changing AND cardinality(p_entries) = 1 THEN
            UPDATE @{table} AS r SET
@{changed}
            FROM (
@{given}
                FROM (SELECT p_entries[1] AS entry, p_leaves[1] AS leaf) AS g OFFSET 0) AS g
            WHERE @{follows}
            RETURNING (@{declared}) IS TRUE, (@{same}) IS TRUE INTO declared, same;
            IF NOT FOUND THEN
                following := false; declared := true;
            END IF;
        ELSIF p_changing THEN
            WITH given AS MATERIALIZED (
@{changes}
            ), applied AS (
                UPDATE @{table} AS r SET
@{changed}
                FROM given g
                WHERE @{follows}
                RETURNING @{same} AS same
            )
            SELECT declared AND count(*) FILTER (WHERE (@{declared}) IS NOT TRUE) = 0,
                   following AND count(*) = (SELECT count(*) FROM applied),
                   same AND (SELECT count(*) FILTER (WHERE a.same IS NOT TRUE) = 0 FROM applied a)
            INTO declared, following, same FROM given g;
        END IF;
        IF p_creating THEN
            WITH given AS MATERIALIZED (
@{creations}
            ), applied AS (
                INSERT INTO @{table} AS r (tenant, id, state, version, head, boundary, changed_at@{names})
                SELECT apply_entries.p_tenant, g.id, g.target, 1, g.leaf, g.boundary, g.at@{inserted}
                FROM given g
                RETURNING r.*
            )
            SELECT declared AND count(*) FILTER (WHERE (@{declared} AND g.version = 1 AND g.prev = repeat('0', 64)) IS NOT TRUE) = 0,
                   following AND count(*) = (SELECT count(*) FROM applied),
                   same AND (SELECT count(*) FILTER (WHERE (@{same}) IS NOT TRUE) = 0 FROM applied r JOIN given g USING (id))
            INTO declared, following, same FROM given g;
        END IF;
        done := done + 1;
    END IF;

-- name: declared
-- Whether an entry changes nothing but what is declared.
g.changes - ARRAY[@{known}]::text[] = '{}' AND g.performers - ARRAY[@{tracked}]::text[] = '{}'

-- name: apply_entries
-- Make the changes of entries in their rows, of one record one entry at most; gives back of how many kinds.
-- p_changing, p_creating: whether there are such that change a record, and such that create one.
CREATE OR REPLACE FUNCTION avow.apply_entries(
    p_tenant text, p_kinds text[], p_entries jsonb[], p_leaves bytea[], p_changing boolean, p_creating boolean)
    RETURNS integer
    LANGUAGE plpgsql
    AS $function$
#variable_conflict use_column
DECLARE
    following boolean := true;
    declared  boolean := true;
    same      boolean := true;
    done      integer := 0;
BEGIN
@{branches}
    IF declared AND following AND same AND done = cardinality(p_kinds) THEN
        RETURN done;
    ELSIF declared IS NOT TRUE THEN
        RAISE EXCEPTION 'the entry changes what is not declared' USING ERRCODE = 'AV002';
    ELSIF following IS NOT TRUE THEN
        RAISE EXCEPTION 'the entry does not follow the last one of its record' USING ERRCODE = 'AV003';
    ELSIF same IS NOT TRUE THEN
        RAISE EXCEPTION 'the row would differ from its entry' USING ERRCODE = 'AV002';
    END IF;
    RAISE EXCEPTION 'unknown entity' USING ERRCODE = 'AV002';
END
$function$

-- name: quota_of_counted
-- A record that is counted: its anchor is locked, then everything at that anchor is counted.
    IF written.kind = @{kind} THEN
        FOR anchor IN
            SELECT a.id, (@{limit}) AS most FROM @{anchor_table} a
            JOIN @{table} r ON r.tenant = demand_quotas.p_tenant AND r.id = written.id
            WHERE a.tenant = demand_quotas.p_tenant AND a.id = r.@{reference} AND r.state = ANY (@{states})
            FOR NO KEY UPDATE OF a
        LOOP
            SELECT coalesce(@{measure}, 0) INTO used FROM @{table} c
            WHERE c.tenant = demand_quotas.p_tenant AND c.@{reference} = anchor.id AND c.state = ANY (@{states});
            IF used > anchor.most THEN
                RAISE EXCEPTION 'quota' USING ERRCODE = '23514', CONSTRAINT = @{constraint};
            END IF;
        END LOOP;
    END IF;

-- name: quota_of_anchor
-- An anchor whose limit may have changed; it is locked, having been written.
    IF written.kind = @{anchor_kind} THEN
        SELECT (@{limit}) AS most, a.id INTO anchor FROM @{anchor_table} a WHERE a.tenant = demand_quotas.p_tenant AND a.id = written.id;
        SELECT coalesce(@{measure}, 0) INTO used FROM @{table} c
        WHERE c.tenant = demand_quotas.p_tenant AND c.@{reference} = written.id AND c.state = ANY (@{states});
        IF used > anchor.most THEN
            RAISE EXCEPTION 'quota' USING ERRCODE = '23514', CONSTRAINT = @{constraint};
        END IF;
    END IF;

-- name: quota_broken
-- Whether existing records are more than a limit that is declared now.
SELECT EXISTS (
    SELECT FROM @{anchor_table} a WHERE (@{limit}) < (
        SELECT coalesce(@{measure}, 0) FROM @{table} c
        WHERE c.tenant = a.tenant AND c.@{reference} = a.id AND c.state = ANY (@{states})))

-- name: demand_quotas
-- Refuse the transaction if one of the quotas that a written record counts in or anchors is exceeded.
CREATE OR REPLACE FUNCTION avow.demand_quotas(p_tenant text, p_entries jsonb[]) RETURNS void
    LANGUAGE plpgsql
    AS $function$
DECLARE
    written record;
    anchor  record;
    used    numeric;
BEGIN
    FOR written IN
        SELECT DISTINCT e.entry ->> 'kind' AS kind, (e.entry ->> 'id')::uuid AS id
        FROM unnest(p_entries) AS e (entry) ORDER BY 1, 2
    LOOP
@{branches}
    END LOOP;
END
$function$

-- name: blind_of
-- The keyed hash of the private value that the entry sets a field to, if it has one.
(SELECT d.blind FROM avow.disclosure d
 WHERE d.tenant = apply_entries.p_tenant AND d.kind = @{kind} AND d.id = g.id AND d.version = g.version AND d.field = @{field})

-- name: forget_branch
-- Take away the keyed hashes of one field's values that are about a person who is to be forgotten; those of others stay,
-- in records of which something else is about that person, too.
    UPDATE @{table} AS r SET @{blind} = NULL
    FROM (SELECT d.id, d.digest FROM avow.disclosure d
          WHERE d.tenant = forget_private.p_tenant AND d.key = p_key AND d.kind = @{kind} AND d.field = @{field}) AS held
    WHERE r.tenant = forget_private.p_tenant AND r.id = held.id AND r.@{column} = held.digest;

-- name: erase_branch
-- One transition that erases: whom the record names then.
        IF entry ->> 'kind' = @{kind} AND entry ->> 'transition' = @{transition} THEN
            SELECT r.@{person} INTO person FROM @{table} AS r
            WHERE r.tenant = erase_subjects.p_tenant AND r.id = (entry ->> 'id')::uuid;
            PERFORM avow.forget_private(p_tenant, person, entry ->> 'kind', (entry ->> 'id')::uuid, (entry ->> 'ver')::bigint);
        END IF;

-- name: performers
-- Who has performed one tracked transition, as the entry says.
ARRAY(SELECT jsonb_array_elements_text(g.performers -> @{key}))
