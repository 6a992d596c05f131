-- How workers call the functions of work.sql.

-- name: take
-- Take what is ready.
SELECT work, tenant, kind, id, name, version, key, generation, due, fence, attempt, unclear, request, destination, topic,
    given, progress, avow.now()
FROM avow.take_work($1, $2, $3, $4, $5)

-- name: keep
-- Keep what is being done for longer.
SELECT avow.keep_work($1, $2, $3)

-- name: checkpoint
-- Keep how far a call has come.
SELECT avow.checkpoint_work($1, $2, $3)

-- name: park
-- Park an event that came too early.
SELECT avow.park_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: park_again
-- Park it again.
SELECT avow.park_again($1, $2, $3, $4, $5)

-- name: notify
-- Tell the workers of other processes that there is something to be done now.
SELECT pg_notify($1, '')

-- name: stands
-- Ask whether a connection that only listens still stands.
SELECT 1

-- name: give_back
-- Give back what wasn't settled.
SELECT avow.give_back_work($1, $2, $3, $4, $5, $6, $7, $8, $9)
