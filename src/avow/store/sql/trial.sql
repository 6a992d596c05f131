-- What tests may do and nobody else: databases that come and go, and a clock that is set by hand.

-- name: clone
-- A copy of a database, made by copying files: many times quicker than through the log.
CREATE DATABASE @{name} TEMPLATE @{template} STRATEGY file_copy

-- name: drop
-- Away with one, whoever uses it.
DROP DATABASE @{name} WITH (FORCE)

-- name: stop_clock
-- Fix the time; from then on it stands still until it is set again.
INSERT INTO avow.clock (fixed) VALUES ($1) ON CONFLICT (single) DO UPDATE SET fixed = excluded.fixed

-- name: make_ready
-- Whatever rests between two attempts is ready now; what waits for a time or a person isn't.
UPDATE avow.work SET ready_at = avow.now() WHERE destination <> '' AND ready_at < 'infinity'

-- name: waiting
-- What there is to be done, and what waits for a person.
SELECT kind, id, name, due, attempt, stuck, detail FROM avow.work ORDER BY work
