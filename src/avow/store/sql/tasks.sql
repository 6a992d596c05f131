-- How tasks are read and acted on; see task.sql for the functions.

-- name: tasks_of_record
-- The open tasks of a record's commands, as one JSON text.
(SELECT jsonb_agg(to_jsonb(k.*))::text FROM avow.task k
 WHERE k.tenant = @{alias}.tenant AND k.kind = @{kind} AND k.id = @{alias}.id AND k.work IS NULL)

-- name: find_task
-- The answer that a key has already, and what a task is about. $1: tenant, $2: key, $3: task.
SELECT i.fingerprint, i.status, i.body, i.kind, i.record, i.version, k.kind AS task_kind, k.id AS task_record, k.step, k.work
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
LEFT JOIN LATERAL (SELECT * FROM avow.idempotency i WHERE i.tenant = s.tenant AND i.id = $2::uuid LIMIT 1) AS i ON true
LEFT JOIN LATERAL (SELECT * FROM avow.task k WHERE k.tenant = s.tenant AND k.task = $3::uuid LIMIT 1) AS k ON true

-- name: inbox_page
-- The next tasks that stand in the inboxes of these roles, or are this subject's, the one due first coming first.
-- $1: tenant, $2: subject, $3: roles, $4: only the subject's own, $5: kinds, $6: only those overdue,
-- $7 and $8: due and task of the last one of the page before, $9: at most so many.
SELECT s.now, k.task, k.kind, k.id, k.step, k.work, coalesce(k.due, 'infinity')::text AS place
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant, avow.now() AS now OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.task k
    WHERE k.tenant = s.tenant AND k.kind = ANY ($5::text[])
        AND ((NOT $4::boolean AND k.role = ANY ($3::text[])) OR (k.holder = $2::text AND k.held_until > s.now))
        AND (NOT $6::boolean OR k.due <= s.now)
        AND ($7::text IS NULL OR (coalesce(k.due, 'infinity'), k.task) > ($7::text::timestamptz, $8::uuid))
    ORDER BY coalesce(k.due, 'infinity'), k.task LIMIT $9::integer
) AS k

-- name: owed
-- Tasks of work that is stuck, each with that work. $1: tenant, $2: tasks.
SELECT s.now, to_jsonb(k.*)::text AS asked, w.work, w.kind, w.id, w.name, w.destination, w.key, w.generation, w.unclear,
    w.stuck, w.detail, w.attempt
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant, avow.now() AS now OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.task k WHERE k.tenant = s.tenant AND k.task = ANY ($2::uuid[]) OFFSET 0) AS k
JOIN avow.work w ON w.work = k.work AND w.tenant = k.tenant

-- name: act_on_task
-- Do something with a task other than doing it.
SELECT avow.act_on_task($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- name: advance_tasks
-- Whatever about tasks happens by itself and is due.
SELECT avow.advance_tasks($1)

-- name: acts_of_record
-- What was done with the tasks of a record, oldest first.
SELECT a.task, a.step, a.number, a.at, a.subject, a.word, a.told::text AS told, a.reason, a.request
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.task_act a WHERE a.tenant = s.tenant AND a.kind = $2 AND a.id = $3 ORDER BY a.act LIMIT $4
) AS a
