-- How operators look at what is to be done later, and call the functions of operate.sql.

-- name: see_all
-- Let the owner see the work of all tenants, in this transaction.
SELECT set_config('avow.scope', 'all', true)

-- name: list
-- The work that fits a filter, oldest first. Each of $1 to $6 may be null, for any; $7: at most so many.
SELECT * FROM (
    SELECT w.work, w.tenant, w.kind, w.id, w.name, w.destination, w.key, w.generation, w.fence, w.attempt, w.unclear,
        w.stuck, w.detail, w.since, w.due, d.paused,
        CASE WHEN w.stuck IS NOT NULL THEN 'stuck' WHEN w.taken AND w.ready_at > avow.now() THEN 'under-way'
             WHEN d.paused IS NOT NULL THEN 'paused' WHEN w.unclear OR w.taken THEN 'unclear' ELSE 'waiting' END AS state
    FROM avow.work w LEFT JOIN avow.destination d ON d.destination = w.destination
    WHERE ($1::text IS NULL OR w.tenant = $1) AND ($2::text IS NULL OR w.destination = $2)
        AND ($3::text IS NULL OR w.kind = $3) AND ($5::text IS NULL OR w.stuck = $5)
        AND ($6::bigint IS NULL OR w.work = $6)
) AS item WHERE $4::text IS NULL OR item.state = $4 ORDER BY item.work LIMIT $7

-- name: attempts
-- How the attempts of one work ended that didn't settle it.
SELECT number, fence, at, outcome, detail FROM avow.attempt
WHERE tenant = $1 AND kind = $2 AND id = $3 AND name = $4 AND key = $5 ORDER BY attempt

-- name: interventions
-- What operators did about one work.
SELECT at, action, subject, reason, evidence, fence FROM avow.intervention
WHERE tenant = $1 AND kind = $2 AND id = $3 AND name = $4 AND key = $5 ORDER BY intervention

-- name: retry
-- Let a worker try once more.
SELECT avow.retry_work($1, $2, $3, $4)

-- name: skip_time
-- Let a time pass.
SELECT avow.skip_time($1, $2, $3, $4)

-- name: pause
-- Pause or resume a destination.
SELECT avow.pause_destination($1, $2, $3, $4)
