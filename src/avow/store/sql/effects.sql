-- How operators look at what is to be done later, and call the functions of operate.sql. $1 is the tenant, or null for
-- all of them, which only the owner sees.

-- name: list
-- The work that fits a filter, after $8, oldest first; of what is stuck, with its task. Each of $2 to $6 may be null, for any; $7: at most so many.
SELECT item.*, k.task, k.role, k.holder, k.held_until, avow.now() AS now FROM (SELECT set_config('avow.tenant', coalesce($1::text, ''), true)
    || set_config('avow.scope', CASE WHEN $1::text IS NULL THEN 'all' ELSE '' END, true) AS set OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT found.* FROM (
        SELECT w.work, w.tenant, w.kind, w.id, w.name, w.destination, w.key, w.generation, w.fence, w.attempt,
            w.unclear OR (w.taken AND w.ready_at <= avow.now()) AS unclear, w.stuck, w.detail, w.since, w.due, d.paused,
            CASE WHEN w.stuck IS NOT NULL THEN 'stuck' WHEN w.taken AND w.ready_at > avow.now() THEN 'under-way'
                 WHEN d.paused IS NOT NULL THEN 'paused' WHEN w.unclear OR w.taken THEN 'unclear' ELSE 'waiting' END AS state
        FROM avow.work w LEFT JOIN avow.destination d ON d.destination = w.destination
        WHERE s.set IS NOT NULL AND ($1::text IS NULL OR w.tenant = $1) AND ($2::text IS NULL OR w.destination = $2)
            AND ($3::text IS NULL OR w.kind = $3) AND ($5::text IS NULL OR w.stuck = $5)
            AND ($6::bigint IS NULL OR w.work = $6) AND w.work > $8::bigint
    ) AS found WHERE $4::text IS NULL OR found.state = $4 ORDER BY found.work LIMIT $7::integer
) AS item LEFT JOIN avow.task k ON k.tenant = item.tenant AND k.work = item.work ORDER BY item.work

-- name: attempts
-- How the attempts of one work ended that didn't settle it.
SELECT a.* FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT a.number, a.fence, a.at, a.outcome, a.detail FROM avow.attempt a
    WHERE a.tenant = s.tenant AND a.kind = $2 AND a.id = $3 AND a.name = $4 AND a.key = $5
    ORDER BY a.attempt DESC LIMIT 100
) AS a ORDER BY a.at, a.fence

-- name: interventions
-- What operators did about one work.
SELECT i.* FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT i.at, i.action, i.subject, i.reason, i.evidence, i.fence FROM avow.intervention i
    WHERE i.tenant = s.tenant AND i.kind = $2 AND i.id = $3 AND i.name = $4 AND i.key = $5
    ORDER BY i.intervention DESC LIMIT 100
) AS i ORDER BY i.at, i.fence

-- name: operator_answer
-- The answer that an operator's key has already, and the set that was begun under it.
SELECT i.fingerprint, i.status, i.body, i.kind, i.record, i.version, b.works, b.fences, b.fingerprint AS asked
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
LEFT JOIN LATERAL (SELECT * FROM avow.idempotency i WHERE i.tenant = s.tenant AND i.id = $2::uuid LIMIT 1) AS i ON true
LEFT JOIN LATERAL (SELECT * FROM avow.bulk b WHERE b.tenant = s.tenant AND b.bulk = $2::uuid LIMIT 1) AS b ON true

-- name: destinations
-- Where calls go, and why they don't.
SELECT destination, paused FROM avow.destination WHERE destination = ANY ($1::text[]) ORDER BY destination

-- name: operate
-- Do something about one work.
SELECT avow.operate($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: begin_bulk
-- Say of which work a set consists.
SELECT works, fences, fingerprint AS asked FROM avow.begin_bulk($1, $2, $3, $4, $5, $6, $7, $8)

-- name: end_bulk
-- Say what came of a set.
SELECT avow.end_bulk($1, $2, $3, $4)

-- name: pause
-- Pause or resume a destination.
SELECT avow.pause_destination($1, $2, $3, $4, $5, $6, $7, $8)
