-- How subscriptions are read and changed, by the functions of subscriptions.sql, and what is told of an entry.

-- name: put_subscription
-- Make a subscription.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at,
    CASE WHEN replay_after IS NOT NULL THEN replay_since END
FROM avow.put_subscription($1, $2, $3, $4, $5)

-- name: turn_subscription
-- Pause it, go on, or disable it.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at,
    CASE WHEN replay_after IS NOT NULL THEN replay_since END
FROM avow.turn_subscription($1, $2, $3, $4)

-- name: rotate_subscription
-- Give it its next secret.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at,
    CASE WHEN replay_after IS NOT NULL THEN replay_since END
FROM avow.rotate_subscription($1, $2, $3, $4)

-- name: drop_subscription
-- End a subscription, with what is still to be told.
SELECT avow.drop_subscription($1, $2)

-- name: replay_subscription
-- Begin to tell a subscription again of everything since an instant.
SELECT id, tenant, subject, url, types, state, reason, generation, previous_until, created_at,
    CASE WHEN replay_after IS NOT NULL THEN replay_since END
FROM avow.replay_subscription($1, $2, $3, $4)

-- name: act_on_subscription
-- Do something about a subscription once for a key: what the key was used for, and how that left the subscription.
SELECT o.fingerprint, o.replayed, v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until,
    v.created_at, CASE WHEN v.replay_after IS NOT NULL THEN v.replay_since END
FROM avow.act_on_subscription($1, $2, $3, $4, $5, $6) AS o
CROSS JOIN LATERAL jsonb_populate_record(NULL::avow.subscription, o.left_as) AS v

-- name: kept_subscription
-- How what was done under a key left the subscription that it was about. $1: tenant, $2: key.
SELECT v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until,
    v.created_at, CASE WHEN v.replay_after IS NOT NULL THEN v.replay_since END
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.idempotency k WHERE k.tenant = s.tenant AND k.id = $2::uuid LIMIT 1) AS i
CROSS JOIN LATERAL jsonb_populate_record(NULL::avow.subscription, convert_from(i.body, 'UTF8')::jsonb) AS v

-- name: go_on_replaying
-- One step of a replay.
SELECT avow.go_on_replaying($1, $2)

-- name: deliverable
-- To whom something can be told now, and whose replay can go on.
SELECT avow.deliverable()

-- name: one_subscription
-- One subscription, and how much is still to be told.
SELECT v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until, v.created_at,
    CASE WHEN v.replay_after IS NOT NULL THEN v.replay_since END
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.subscription t WHERE t.tenant = s.tenant AND t.id = $2 LIMIT 1) AS v

-- name: all_subscriptions
-- The subscriptions of a tenant, oldest first.
SELECT v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until, v.created_at,
    CASE WHEN v.replay_after IS NOT NULL THEN v.replay_since END
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.subscription t WHERE t.tenant = s.tenant ORDER BY t.created_at, t.id LIMIT $2
) AS v

-- name: addressee
-- The subscription that a delivery is for, and whether a replay tells it in its place: it will bring the entry, or has done
-- so since the delivery was taken. Both are asked at one time.
SELECT v.id, v.tenant, v.subject, v.url, v.types, v.state, v.reason, v.generation, v.previous_until, v.created_at,
    CASE WHEN v.replay_after IS NOT NULL THEN v.replay_since END,
    w.work IS NULL OR v.replay_after IS NOT NULL AND EXISTS (
        SELECT FROM avow.audit a
        WHERE a.tenant = s.tenant AND a.kind = w.kind AND a.id = w.id AND a.version = w.version
            AND avow.replay_brings(v.replay_after, v.replay_upto, v.replay_since, a.entry, a.at)) AS left_to_replay
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.subscription t WHERE t.tenant = s.tenant AND t.id = $2 LIMIT 1) AS v
LEFT JOIN LATERAL (
    SELECT * FROM avow.work o WHERE o.tenant = s.tenant AND o.work = $3 AND o.fence = $4 LIMIT 1) AS w ON true

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
