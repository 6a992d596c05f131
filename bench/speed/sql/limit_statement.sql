\set n random(1, :records)
WITH locked AS MATERIALIZED (
    SELECT * FROM lean.payment p WHERE p.id = lean.id_of(:n) AND p.state = 'open' AND p.captured + 1 <= p.amount FOR NO KEY UPDATE
), keyed AS (
    INSERT INTO lean.idempotency
    SELECT gen_random_uuid(), '\x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', 200,
           '{"id":"' || l.id || '","state":"open","version":' || l.version + 1 || ',"amount":' || l.amount
           || ',"captured":' || l.captured + 1 || '}'
    FROM locked l
    ON CONFLICT DO NOTHING
    RETURNING 1
), hashed AS MATERIALIZED (
    SELECT m.*, sha256('\x00'::bytea || m.header) AS hash
    FROM (
        SELECT l.id, l.version + 1 AS version, lean.header(l.id, l.version + 1, l.head, l.captured + 1, 1) AS header
        FROM locked l, keyed OFFSET 0
    ) AS m
), updated AS (
    UPDATE lean.payment p SET version = h.version, captured = p.captured + 1, head = h.hash FROM hashed h WHERE p.id = h.id
), logged AS (
    INSERT INTO lean.audit (id, version, header, hash) SELECT h.id, h.version, h.header, h.hash FROM hashed h
), queued AS (
    INSERT INTO lean.queue (id, version, kind, due) SELECT h.id, h.version, 'captured', now() FROM hashed h WHERE :queue
)
SELECT version FROM hashed;
