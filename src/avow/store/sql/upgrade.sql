-- Avow's own tables change in numbered steps. schema.sql has what a fresh database gets, at the newest version; here is
-- what brings older tables there, step by step. A step that was released is never edited. It adds: servers of the version
-- before go on while it runs and after. What they need no longer is taken away by a step of a later release.
-- @{owner}, @{application} and @{reader} are the three roles; steps run as the owner, in one transaction.

-- name: upgrades_counted
-- Whether the versions of these tables are counted: they are from version 1 on.
SELECT to_regclass('avow.upgrade') IS NOT NULL

-- name: newest_upgrade
-- The version that these tables have.
SELECT max(version) FROM avow.upgrade

-- name: upgrades_countable
-- Whether tables of which no version was counted are as step 1 expects them: as they were once logs had witnesses.
SELECT to_regclass('avow.cosignature') IS NOT NULL

-- name: record_upgrade
-- These tables have this version from now on.
INSERT INTO avow.upgrade (version) VALUES ($1)

-- name: upgrade_1
-- Tables that were made before their versions were counted. Servers of that time are stopped before.
CREATE TABLE IF NOT EXISTS avow.upgrade (
    version integer PRIMARY KEY CHECK (version > 0),
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON avow.upgrade TO @{application}, @{reader};
ALTER TABLE avow.work ADD COLUMN IF NOT EXISTS progress jsonb;
CREATE INDEX IF NOT EXISTS work_taken ON avow.work (destination, ready_at) WHERE taken AND destination <> '';
CREATE TABLE IF NOT EXISTS avow.bulk (
    tenant      text NOT NULL,
    bulk        uuid NOT NULL,
    fingerprint bytea NOT NULL,
    at          timestamptz NOT NULL DEFAULT avow.now(),
    action      text NOT NULL,
    subject     text NOT NULL CHECK (subject <> ''),
    reason      text NOT NULL CHECK (reason <> ''),
    works       bigint[] NOT NULL,
    fences      bigint[] NOT NULL,
    PRIMARY KEY (tenant, bulk)
);
ALTER TABLE avow.bulk ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS tenant ON avow.bulk;
CREATE POLICY tenant ON avow.bulk USING (tenant = avow.tenant());
DROP POLICY IF EXISTS owner_reads_all ON avow.bulk;
CREATE POLICY owner_reads_all ON avow.bulk FOR SELECT TO @{owner} USING (current_setting('avow.scope', true) = 'all');
GRANT SELECT ON avow.bulk TO @{application}, @{reader};
DROP FUNCTION IF EXISTS avow.apply_entries(text, text[], jsonb[], bytea[]);
DROP FUNCTION IF EXISTS avow.keep_intervention(avow.work, bigint, text, text, text);
DROP FUNCTION IF EXISTS avow.park_again(bigint, bigint, text, bigint);
DROP FUNCTION IF EXISTS avow.pause_destination(text, boolean, text, text);
DROP FUNCTION IF EXISTS avow.retry_work(bigint, bigint, text, text);
DROP FUNCTION IF EXISTS avow.skip_time(bigint, bigint, text, text);

-- name: upgrade_2
-- Lines are of one tenant each, and what stands in one is put behind what is before it.
DROP INDEX IF EXISTS avow.work_line;
CREATE INDEX work_line ON avow.work (destination, line, tenant, work) WHERE line <> '';
CREATE INDEX work_behind ON avow.work (destination, line, tenant, work)
    WHERE line <> '' AND ready_at = 'infinity' AND stuck IS NULL;
CREATE INDEX work_line_taken ON avow.work (destination, line, tenant) WHERE line <> '' AND taken;

-- name: upgrade_3
-- Whatever is stuck is a task. What is stuck already is one of the operators.
ALTER TABLE avow.task ADD COLUMN work bigint;
CREATE UNIQUE INDEX task_of_work ON avow.task (tenant, work) WHERE work IS NOT NULL;
CREATE POLICY owner_asks ON avow.task FOR INSERT TO @{owner} WITH CHECK (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_ends ON avow.task FOR DELETE TO @{owner} USING (current_setting('avow.scope', true) = 'all');
DROP FUNCTION IF EXISTS avow.begin_task(text, text, uuid, text, text, text, jsonb, timestamptz);
-- Made again with one argument more, which servers of the version before leave out.
DROP FUNCTION IF EXISTS avow.give_back_work(bigint, bigint, text, text, bigint, text, boolean, boolean);
DROP FUNCTION IF EXISTS avow.park_event(text, text, uuid, text, text, jsonb, text, bigint, text);
LOCK TABLE avow.work IN SHARE ROW EXCLUSIVE MODE;
SELECT set_config('avow.scope', 'all', true);
INSERT INTO avow.task (task, tenant, kind, id, step, role, remind, claim_ms, asked_by, since, work)
SELECT substr(encode(sha256(convert_to(concat_ws('/', w.tenant, w.kind, w.id, w.name, w.work, w.fence), 'UTF8')), 'hex'), 1, 32)::uuid,
    w.tenant, w.kind, w.id, concat_ws('/', w.name, w.work), '', '{}', 28800000, 'avow', avow.now(), w.work
FROM avow.work w WHERE w.stuck IS NOT NULL;
-- A replay goes step by step, and remembers how far it has come.
ALTER TABLE avow.subscription ADD COLUMN replay_since timestamptz, ADD COLUMN replay_after bigint,
    ADD COLUMN replay_upto bigint, ADD COLUMN replayed_by uuid;
CREATE INDEX subscription_replayed ON avow.subscription (id) WHERE replay_after IS NOT NULL;
DROP FUNCTION IF EXISTS avow.replay_subscription(text, uuid, timestamptz, integer);
