-- Everything that a database holds at one moment, for those who judge what an execution has left behind.

-- name: picture
-- In one statement, and so in one snapshot.
SELECT
    (SELECT jsonb_agg(jsonb_build_array(a.entry, a.tenant, a.kind, a.id, a.version, convert_from(a.header, 'UTF8'),
        encode(a.hash, 'hex'), a.at) ORDER BY a.entry)::text FROM avow.audit a) AS entries,
    (SELECT jsonb_agg(jsonb_build_array(i.tenant, i.id, i.status, i.kind, i.record, i.version))::text
        FROM avow.idempotency i) AS answers,
    (SELECT jsonb_agg(jsonb_build_array(w.tenant, w.kind, w.id, w.name, w.destination, w.key, w.generation, w.due, w.taken,
        w.fence, w.attempt, w.stuck, w.topic, w.work) ORDER BY w.work)::text FROM avow.work w) AS work,
    (SELECT jsonb_agg(jsonb_build_array(t.tenant, t.kind, t.id, t.step, t.work))::text FROM avow.task t) AS tasks,
    (SELECT jsonb_agg(jsonb_build_array(m.tenant, m.kind, m.id, m.name, m.outcome) ORDER BY m.attempt)::text
        FROM avow.attempt m) AS attempts,
    (SELECT jsonb_agg(jsonb_build_array(r.request, r.code))::text FROM avow.refusal r) AS refusals,
    (SELECT jsonb_object_agg(encode(p.sha256, 'hex'), convert_from(p.data, 'UTF8'))::text FROM avow.payload p) AS payloads@{rows}

-- name: picture_rows
-- The rows of one entity, every field in the form that entries have it in.
, (SELECT json_agg(s)::text FROM (
    SELECT r.tenant AS c0, r.id::text AS c1, r.version AS c2, r.state AS c3, encode(r.head, 'hex') AS c4,
        encode(r.boundary, 'hex') AS c5, @{changed_at} AS c6@{columns}
    FROM @{table} r ORDER BY r.tenant, r.id) AS s) AS @{name}
