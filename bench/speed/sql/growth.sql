-- History as commands would have left it: payments with ten versions each, their entries, their keys.
-- $1, $2: numbers of the first and the last payment. Ids are ordered in time, as the engine's are.

-- name: payments
INSERT INTO payment.payments (tenant, id, state, version, head, boundary, changed_at, amount, captured)
SELECT 'main', bench_id(n), 'open', 10, sha256(n::text::bytea), b.fingerprint, now(), 1000000000000, 9
FROM generate_series($1::bigint, $2::bigint) AS n, (SELECT fingerprint FROM avow.boundary ORDER BY in_force_since DESC LIMIT 1) AS b

-- name: entries
INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
SELECT 'main', 'Payment', h.id, h.version, h.header, sha256('\x00'::bytea || h.header), now()
FROM (
    SELECT bench_id(n) AS id, v AS version, convert_to(
        '{"actor":{"credential":"token:1","roles":["clerk"],"subject":"clerk-1"},"app":"payment","at":"2026-01-01T00:00:00.000000Z",'
        || '"boundary":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","cause":null,"changes":{"captured":'
        || v || '},"command":"' || gen_random_uuid() || '","from":"open","id":"' || bench_id(n) || '","input":{"amount":1},'
        || '"kind":"Payment","prev":"' || encode(sha256((n * 10 + v)::text::bytea), 'hex') || '","reads":[["Payment","'
        || bench_id(n) || '",' || v - 1 || ']],"request":"' || gen_random_uuid()
        || '","tenant":"main","to":"open","transition":"capture","v":1,"ver":' || v || '}', 'UTF8') AS header
    FROM generate_series($1::bigint, $2::bigint) AS n, generate_series(1, 10) AS v
    OFFSET 0
) AS h

-- name: keys
INSERT INTO avow.idempotency (tenant, id, fingerprint, status, body, kind, record, version, at)
SELECT 'main', gen_random_uuid(), sha256(n::text::bytea), 200, convert_to(
    '{"id":"' || bench_id(n) || '","version":' || v || ',"state":"open","amount":1000000000000,"captured":' || v || '}', 'UTF8'),
    'Payment', bench_id(n), v, now()
FROM generate_series($1::bigint, $2::bigint) AS n, generate_series(1, 10) AS v

-- name: id
CREATE OR REPLACE FUNCTION bench_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex(1752346656768 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid
