-- One entity's table. The fragments are made by tables.py from the declaration.

-- name: table
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
ALTER TABLE @{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE @{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON @{table} USING (tenant = avow.tenant());
CREATE POLICY owner_reads_all ON @{table} FOR SELECT TO @{owner} USING (current_setting('avow.scope', true) = 'all');
GRANT SELECT ON @{table} TO @{application}, @{reader}

-- name: lock_branch
    IF p_kind = @{kind} THEN
        IF p_write THEN
            SELECT r.version INTO current FROM @{table} r WHERE r.tenant = p_tenant AND r.id = p_id FOR NO KEY UPDATE;
        ELSE
            SELECT r.version INTO current FROM @{table} r WHERE r.tenant = p_tenant AND r.id = p_id FOR SHARE;
        END IF;
        RETURN current;
    END IF;

-- name: lock_record
CREATE OR REPLACE FUNCTION avow.lock_record(p_kind text, p_tenant text, p_id uuid, p_write boolean) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE current bigint;
BEGIN
@{branches}
    RAISE EXCEPTION 'unknown entity %', p_kind USING ERRCODE = 'AV002';
END
$function$

-- name: apply_branch
    IF p_kind = @{kind} THEN
        IF p_header ->> 'from' IS NULL THEN
            IF p_header ->> 'ver' <> '1' OR p_header ->> 'prev' <> repeat('0', 64) THEN
                RAISE EXCEPTION 'a creation starts a chain' USING ERRCODE = 'AV002';
            END IF;
            INSERT INTO @{table} (tenant, id, state, version, head, boundary, changed_at@{names})
            VALUES (p_tenant, (p_header ->> 'id')::uuid, p_header ->> 'to', 1, p_leaf,
                    decode(p_header ->> 'boundary', 'hex'), (p_header ->> 'at')::timestamptz@{inserted});
        ELSE
            UPDATE @{table} AS r SET
                state = p_header ->> 'to', version = r.version + 1, head = p_leaf,
                boundary = decode(p_header ->> 'boundary', 'hex'),
                changed_at = (p_header ->> 'at')::timestamptz@{updated}
            WHERE r.tenant = p_tenant AND r.id = (p_header ->> 'id')::uuid
              AND r.version + 1 = (p_header ->> 'ver')::bigint AND r.state = p_header ->> 'from'
              AND encode(r.head, 'hex') = p_header ->> 'prev';
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the entry does not follow the record''s last one' USING ERRCODE = 'AV003';
            END IF;
        END IF;
        RETURN;
    END IF;

-- name: apply_entry
CREATE OR REPLACE FUNCTION avow.apply_entry(p_kind text, p_tenant text, p_header jsonb, p_values jsonb, p_leaf bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $function$
BEGIN
@{branches}
    RAISE EXCEPTION 'unknown entity %', p_kind USING ERRCODE = 'AV002';
END
$function$

-- name: quota_of_counted
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
    IF p_kind = @{anchor_kind} THEN
        SELECT (@{limit}) AS most, a.id INTO anchor FROM @{anchor_table} a WHERE a.tenant = p_tenant AND a.id = p_id;
        SELECT coalesce(@{measure}, 0) INTO used FROM @{table} c
        WHERE c.tenant = p_tenant AND c.@{reference} = p_id AND c.state = ANY (@{states});
        IF used > anchor.most THEN
            RAISE EXCEPTION 'quota' USING ERRCODE = '23514', CONSTRAINT = @{constraint};
        END IF;
    END IF;

-- name: demand_quotas
CREATE OR REPLACE FUNCTION avow.demand_quotas(p_kind text, p_tenant text, p_id uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    anchor record;
    used   bigint;
BEGIN
@{branches}
    RETURN;
END
$function$

-- name: performers
ARRAY(SELECT jsonb_array_elements_text(p_header -> 'performers' -> @{key}))
