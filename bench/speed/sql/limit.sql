-- The leanest SQL that does what one command writes: key, row with state check and version, audit entry with its
-- SHA-256 chain, queue row. Everything that a header says but the record and its chain is a constant here.
CREATE SCHEMA lean;

CREATE TABLE lean.payment (
    id       uuid PRIMARY KEY,
    state    text COLLATE "C" NOT NULL,
    version  bigint NOT NULL,
    head     bytea NOT NULL,
    amount   bigint NOT NULL,
    captured bigint NOT NULL CHECK (captured <= amount)
) WITH (fillfactor = 85);

CREATE TABLE lean.idempotency (
    id          uuid PRIMARY KEY,
    fingerprint bytea NOT NULL,
    status      smallint NOT NULL,
    body        text NOT NULL
);

CREATE TABLE lean.audit (
    entry   bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    id      uuid NOT NULL,
    version bigint NOT NULL,
    header  bytea NOT NULL,
    hash    bytea NOT NULL,
    UNIQUE (id, version)
);

CREATE TABLE lean.queue (
    item    bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    id      uuid NOT NULL,
    version bigint NOT NULL,
    kind    text NOT NULL,
    due     timestamptz NOT NULL
);

-- The id of the n-th payment.
CREATE FUNCTION lean.id_of(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid;

-- A header as long as Avow's own for this transition.
CREATE FUNCTION lean.header(id uuid, version bigint, head bytea, captured bigint, amount bigint) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN convert_to(
        '{"actor":{"credential":"token:1","roles":["clerk"],"subject":"clerk-1"},"app":"payment","at":"2026-01-01T00:00:00.000000Z",'
        || '"boundary":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","cause":null,"changes":{"captured":'
        || captured || '},"command":"01990000-0000-7000-8000-000000000000","from":"open","id":"' || id || '","input":{"amount":'
        || amount || '},"kind":"Payment","prev":"' || encode(head, 'hex') || '","reads":[["Payment","' || id || '",'
        || version - 1 || ']],"request":"01990000-0000-7000-8000-000000000000","tenant":"main","to":"open","transition":"capture","v":1,"ver":'
        || version || '}', 'UTF8');

-- One command as one function.
CREATE FUNCTION lean.capture(p_key uuid, p_fingerprint bytea, p_id uuid, p_amount bigint, p_queue boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    found_row lean.payment;
    next_head bytea;
    entry     bytea;
BEGIN
    SELECT * INTO found_row FROM lean.payment p WHERE p.id = p_id FOR NO KEY UPDATE;
    IF found_row.state <> 'open' OR found_row.captured + p_amount > found_row.amount THEN
        RAISE EXCEPTION 'refused';
    END IF;
    INSERT INTO lean.idempotency VALUES (p_key, p_fingerprint, 200, '{"id":"' || p_id || '","state":"open","version":'
        || found_row.version + 1 || ',"amount":' || found_row.amount || ',"captured":' || found_row.captured + p_amount || '}')
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    entry := lean.header(p_id, found_row.version + 1, found_row.head, found_row.captured + p_amount, p_amount);
    next_head := sha256('\x00'::bytea || entry);
    UPDATE lean.payment p SET version = p.version + 1, captured = p.captured + p_amount, head = next_head WHERE p.id = p_id;
    INSERT INTO lean.audit (id, version, header, hash) VALUES (p_id, found_row.version + 1, entry, next_head);
    IF p_queue THEN
        INSERT INTO lean.queue (id, version, kind, due) VALUES (p_id, found_row.version + 1, 'captured', now());
    END IF;
    RETURN found_row.version + 1;
END
$$;

-- Many commands on different payments as one set. They are locked in one order, so that two sets can't wait in a ring.
CREATE FUNCTION lean.capture_many(p_ids uuid[], p_amount bigint, p_queue boolean) RETURNS bigint
    LANGUAGE sql
    BEGIN ATOMIC
    WITH locked AS MATERIALIZED (
        SELECT * FROM lean.payment p WHERE p.id = ANY (p_ids) AND p.state = 'open' AND p.captured + p_amount <= p.amount
        ORDER BY p.id FOR NO KEY UPDATE
    ), keyed AS (
        INSERT INTO lean.idempotency
        SELECT gen_random_uuid(), '\x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', 200,
               '{"id":"' || l.id || '","state":"open","version":' || l.version + 1 || ',"amount":' || l.amount
               || ',"captured":' || l.captured + p_amount || '}'
        FROM locked l
    ), made AS MATERIALIZED (
        SELECT l.id, l.version + 1 AS version, lean.header(l.id, l.version + 1, l.head, l.captured + p_amount, p_amount) AS header
        FROM locked l
    ), hashed AS MATERIALIZED (
        SELECT m.*, sha256('\x00'::bytea || m.header) AS hash FROM made m
    ), updated AS (
        UPDATE lean.payment p SET version = h.version, captured = p.captured + p_amount, head = h.hash
        FROM hashed h WHERE p.id = h.id
    ), logged AS (
        INSERT INTO lean.audit (id, version, header, hash) SELECT h.id, h.version, h.header, h.hash FROM hashed h
    ), queued AS (
        INSERT INTO lean.queue (id, version, kind, due) SELECT h.id, h.version, 'captured', now() FROM hashed h WHERE p_queue
    )
    SELECT count(*) FROM hashed;
    END;
