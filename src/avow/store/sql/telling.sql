-- How subscriptions are read and changed, by the functions of subscriptions.sql, and what is told of an entry.

-- name: put_subscription
-- Make a subscription.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at
FROM avow.put_subscription($1, $2, $3, $4, $5)

-- name: turn_subscription
-- Pause it, go on, or disable it.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at
FROM avow.turn_subscription($1, $2, $3, $4)

-- name: rotate_subscription
-- Give it its next secret.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at
FROM avow.rotate_subscription($1, $2, $3, $4)

-- name: drop_subscription
-- End a subscription, with what is still to be told.
SELECT avow.drop_subscription($1, $2)

-- name: replay_subscription
-- Tell a subscription again of everything since an instant.
SELECT avow.replay_subscription($1, $2, $3, $4)

-- name: deliverable
-- To whom something can be told now.
SELECT avow.deliverable()

-- name: one_subscription
-- One subscription, and how much is still to be told.
SELECT v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until, v.created_at
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.subscription t WHERE t.tenant = s.tenant AND t.id = $2 LIMIT 1) AS v

-- name: all_subscriptions
-- The subscriptions of a tenant, oldest first.
SELECT v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until, v.created_at
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.subscription t WHERE t.tenant = s.tenant ORDER BY t.created_at, t.id LIMIT $2
) AS v

-- name: told_entries
-- The audit entries of one record up to one version, the latest first.
SELECT e.version, e.header
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.audit a
    WHERE a.tenant = s.tenant AND a.kind = $2 AND a.id = $3 AND a.version <= $4
    ORDER BY a.version DESC LIMIT $5
) AS e

-- name: told_payload
-- One long value, by its SHA-256.
SELECT p.data
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.payload q WHERE q.tenant = s.tenant AND q.sha256 = $2 LIMIT 1) AS p
