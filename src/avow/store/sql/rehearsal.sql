-- What workers, senders, writers and sealers do, one statement each, so that others can come between any two of them. On
-- records, an event and a subscription that stand for any; for databases of trials, with the rights of a superuser.

-- name: rehearsal_begin
-- Begin a transaction.
BEGIN /* of a rehearsal */

-- name: rehearsal_commit
-- End a transaction, and keep what it did.
COMMIT /* of a rehearsal */

-- name: rehearsal_roll_back
-- End it, with nothing of it kept.
ROLLBACK /* of a rehearsal */

-- name: end_session
-- End a session of the server, and wait until it is gone: what it had open and its locks are gone before it is.
DO $$
BEGIN
    PERFORM pg_terminate_backend(@{process});
    WHILE EXISTS (SELECT FROM pg_stat_get_activity(@{process})) LOOP
        PERFORM pg_sleep(0.001), pg_stat_clear_snapshot();
    END LOOP;
END $$

-- name: park_one
-- Park the event.
SELECT avow.park_event('prove', 'Hall', '00000000-0000-0000-0000-0000000000e1', 'one', encode(sha256('Hall/id/one'), 'hex'), '{}', '', 3600000, NULL)

-- name: park_one_again
-- Park it again, for a minute.
SELECT avow.park_again($1, $2, encode(sha256('Hall/id/one'), 'hex'), '{}', 60000)

-- name: record_is_there
-- Whether the record of the event is there.
SELECT EXISTS (SELECT FROM avow.audit WHERE tenant = 'prove' AND kind = 'Trial')

-- name: make_record
-- One entry more, of a record that only a trial knows.
INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
SELECT 'prove', 'Trial', gen_random_uuid(), 1, e.header, sha256('\x00'::bytea || e.header)
FROM (SELECT convert_to('{}', 'UTF8') AS header) e

-- name: make_record_and_wake
-- The same, and wake what waits for it, in one statement.
WITH made AS (
    INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
    SELECT 'prove', 'Trial', gen_random_uuid(), 1, e.header, sha256('\x00'::bytea || e.header)
    FROM (SELECT convert_to('{}', 'UTF8') AS header) e
)
SELECT avow.wake_events('prove', ARRAY['{"kind": "Hall", "id": "one", "changes": {}}'::jsonb], avow.now())

-- name: parked_is_ready
-- Whether the event may be taken now.
SELECT EXISTS (SELECT FROM avow.work WHERE destination = 'events' AND ready_at <= avow.now())

-- name: entries_without_leaf
-- How many entries of the log aren't sealed.
SELECT count(*) FROM avow.audit a WHERE NOT EXISTS (SELECT FROM avow.leaf l WHERE l.entry = a.entry)

-- name: leaves_without_checkpoint
-- How many leaves no checkpoint is over.
SELECT count(*) FROM avow.leaf l WHERE NOT EXISTS (
    SELECT FROM avow.checkpoint c WHERE c.epoch = l.epoch AND c.size > l.index)

-- name: settle_time
-- Settle a time that was taken, as a command does that it gives; none that it leaves out.
SELECT avow.settle_work('prove', '{}', '{1}', ARRAY[$1::bigint], ARRAY[$2::bigint], ARRAY[NULL::jsonb]) = '{}'

-- name: stop_waiting
-- Leave the state in which a ticket waits for its time.
SELECT avow.put_work('prove', ARRAY[jsonb_build_object('kind', 'Ticket', 'id', $1::uuid, 'ver', 3, 'request', '',
    'waits', jsonb_build_object('lapse', NULL))], avow.now())

-- name: wait_anew
-- Come to that state once more: the time is an hour from now.
SELECT avow.put_work('prove', ARRAY[jsonb_build_object('kind', 'Ticket', 'id', $1::uuid, 'ver', 3, 'request', '',
    'waits', jsonb_build_object('lapse', jsonb_build_object(
        'to', '', 'line', '', 'due', avow.now() + interval '1 h')))], avow.now())

-- name: subscribe_one
-- Somebody who is told of tickets that have lapsed.
SELECT FROM avow.put_subscription('prove', '00000000-0000-0000-0000-0000000000d1', 'Ada', 'https://example.com/', ARRAY['Ticket.lapse'])

-- name: publish_one
-- An entry of which that one is told, and the delivery of it, in one statement.
WITH made AS (
    INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
    SELECT 'prove', 'Ticket', $1::uuid, $2::bigint, e.header, sha256('\x00'::bytea || e.header)
    FROM (SELECT convert_to('{"transition": "lapse", "request": ""}', 'UTF8') AS header) e
    RETURNING entry
)
SELECT avow.put_deliveries('prove', ARRAY[jsonb_build_object(
    'kind', 'Ticket', 'transition', 'lapse', 'id', $1::uuid, 'ver', $2::bigint, 'request', '')], avow.now()) FROM made

-- name: replay_all
-- Begin to tell that one again of everything.
SELECT FROM avow.replay_subscription('prove', '00000000-0000-0000-0000-0000000000d1', gen_random_uuid(), '-infinity')

-- name: go_on_replaying_all
-- Go on with it, to its end.
SELECT avow.go_on_replaying('00000000-0000-0000-0000-0000000000d1', 1000)

-- name: highest_told
-- For a variant that is known to be broken: the highest number of all that was told.
coalesce((SELECT max(t.number) FROM avow.attempt t), 0)
