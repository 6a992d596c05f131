-- One entity's table, and its part in the functions that write. The fragments are made by tables.py from the
-- declaration. The functions here are executed by avow.commit only, under its search path and its rights.

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
-- Lock one record of one entity. Neither lock stands in the way of a foreign key's own (FOR KEY SHARE).
    IF p_kind = @{kind} THEN
        IF p_write THEN
            SELECT r.version INTO current FROM @{table} r WHERE r.tenant = p_tenant AND r.id = p_id FOR NO KEY UPDATE;
        ELSE
            SELECT r.version INTO current FROM @{table} r WHERE r.tenant = p_tenant AND r.id = p_id FOR SHARE;
        END IF;
        RETURN current;
    END IF;

-- name: lock_record
-- The version of a record that is locked from now on; null where there is none.
CREATE OR REPLACE FUNCTION avow.lock_record(p_kind text, p_tenant text, p_id uuid, p_write boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $function$
DECLARE current bigint;
BEGIN
@{branches}
    RAISE EXCEPTION 'unknown entity' USING ERRCODE = 'AV002';
END
$function$

-- name: apply_branch
-- Write one entry's row: only on its predecessor, only values in the form that the entry states them in.
    IF p_kind = @{kind} THEN
        IF p_values - ARRAY[@{known}]::text[] <> '{}' OR performers - ARRAY[@{tracked}]::text[] <> '{}' THEN
            RAISE EXCEPTION 'the entry changes what is not declared' USING ERRCODE = 'AV002';
        END IF;
        IF p_header ->> 'from' IS NULL THEN
            IF p_header ->> 'ver' <> '1' OR p_header ->> 'prev' <> repeat('0', 64) THEN
                RAISE EXCEPTION 'a creation starts a chain' USING ERRCODE = 'AV002';
            END IF;
            INSERT INTO @{table} AS r (tenant, id, state, version, head, boundary, changed_at@{names})
            VALUES (p_tenant, (p_header ->> 'id')::uuid, p_header ->> 'to', 1, p_leaf,
                    decode(p_header ->> 'boundary', 'hex'), (p_header ->> 'at')::timestamptz@{inserted})
            RETURNING @{same} INTO same;
        ELSE
            UPDATE @{table} AS r SET
                state = p_header ->> 'to', version = r.version + 1, head = p_leaf,
                boundary = decode(p_header ->> 'boundary', 'hex'),
                changed_at = (p_header ->> 'at')::timestamptz@{updated}
            WHERE r.tenant = p_tenant AND r.id = (p_header ->> 'id')::uuid
              AND r.version + 1 = (p_header ->> 'ver')::bigint AND r.state = p_header ->> 'from'
              AND encode(r.head, 'hex') = p_header ->> 'prev'
            RETURNING @{same} INTO same;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the entry does not follow the last one of its record' USING ERRCODE = 'AV003';
            END IF;
        END IF;
        IF same IS NOT TRUE THEN
            RAISE EXCEPTION 'the row would differ from its entry' USING ERRCODE = 'AV002';
        END IF;
        RETURN;
    END IF;

-- name: apply_entry
-- Make an entry's change in its row.
CREATE OR REPLACE FUNCTION avow.apply_entry(p_kind text, p_tenant text, p_header jsonb, p_values jsonb, p_leaf bytea) RETURNS void
    LANGUAGE plpgsql
    AS $function$
DECLARE
    performers jsonb := coalesce(p_header -> 'performers', '{}');
    same       boolean;
BEGIN
@{branches}
    RAISE EXCEPTION 'unknown entity' USING ERRCODE = 'AV002';
END
$function$

-- name: quota_of_counted
-- A record that is counted: its anchor is locked, then everything at that anchor is counted.
    IF p_kind = @{kind} THEN
        FOR anchor IN
            SELECT a.id, (@{limit}) AS most FROM @{anchor_table} a
            JOIN @{table} r ON r.tenant = p_tenant AND r.id = p_id
            WHERE a.tenant = p_tenant AND a.id = r.@{reference} AND r.state = ANY (@{states})
            FOR NO KEY UPDATE OF a
        LOOP
            SELECT coalesce(@{measure}, 0) INTO used FROM @{table} c
            WHERE c.tenant = p_tenant AND c.@{reference} = anchor.id AND c.state = ANY (@{states});
            IF used > anchor.most THEN
                RAISE EXCEPTION 'quota' USING ERRCODE = '23514', CONSTRAINT = @{constraint};
            END IF;
        END LOOP;
    END IF;

-- name: quota_of_anchor
-- An anchor whose limit may have changed; it is locked, having been written.
    IF p_kind = @{anchor_kind} THEN
        SELECT (@{limit}) AS most, a.id INTO anchor FROM @{anchor_table} a WHERE a.tenant = p_tenant AND a.id = p_id;
        SELECT coalesce(@{measure}, 0) INTO used FROM @{table} c
        WHERE c.tenant = p_tenant AND c.@{reference} = p_id AND c.state = ANY (@{states});
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
CREATE OR REPLACE FUNCTION avow.demand_quotas(p_kind text, p_tenant text, p_id uuid) RETURNS void
    LANGUAGE plpgsql
    AS $function$
DECLARE
    anchor record;
    used   numeric;
BEGIN
@{branches}
    RETURN;
END
$function$

-- name: performers
-- Who has performed one tracked transition, as the entry says.
ARRAY(SELECT jsonb_array_elements_text(performers -> @{key}))
