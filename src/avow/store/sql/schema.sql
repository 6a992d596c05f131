-- Avow's own tables and functions, schema `avow`. Owned by the owner role; see docs/reference/tables.md.
-- A fresh database gets them from here. Whatever is changed here also gets a step in upgrade.sql.
-- @{owner}, @{application} and @{reader} are the three roles of this database; @{version} is the version of these tables.

CREATE SCHEMA avow AUTHORIZATION @{owner};
GRANT USAGE ON SCHEMA avow TO @{application}, @{reader};

SET LOCAL ROLE @{owner};

-- Which versions Avow's own tables have had, and since when: the newest one counts; see upgrade.sql.
CREATE TABLE avow.upgrade (
    version integer PRIMARY KEY CHECK (version > 0),
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO avow.upgrade (version) VALUES (@{version});
GRANT SELECT ON avow.upgrade TO @{application}, @{reader};

-- The one clock. A row here fixes it; only the owner can write one, and only tests do.
CREATE TABLE avow.clock (
    fixed  timestamptz NOT NULL,
    single boolean PRIMARY KEY DEFAULT true CHECK (single)
);

-- In plpgsql, which keeps its plan; every command asks for the time twice.
CREATE FUNCTION avow.now() RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    AS 'BEGIN RETURN coalesce((SELECT fixed FROM avow.clock), pg_catalog.clock_timestamp()); END';

-- The tenant of the running transaction; null, and so no rows, where none was set.
CREATE FUNCTION avow.tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$SELECT nullif(pg_catalog.current_setting('avow.tenant', true), '')$$;

-- Every boundary that was ever in force here, so that old entries can be explained.
CREATE TABLE avow.boundary (
    fingerprint    bytea PRIMARY KEY,
    description    bytea NOT NULL,
    in_force_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (fingerprint = sha256(description))
);

-- The edges of the machines of each boundary: what avow.commit lets happen.
CREATE TABLE avow.edge (
    boundary   bytea NOT NULL REFERENCES avow.boundary,
    kind       text NOT NULL,
    transition text NOT NULL,
    source     text NOT NULL,
    target     text NOT NULL,
    PRIMARY KEY (boundary, kind, transition, source)
);

-- The audit log. `header` is the exact canonical bytes, `hash` their RFC 6962 leaf hash.
CREATE TABLE avow.audit (
    entry   bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    tenant  text NOT NULL,
    kind    text NOT NULL,
    id      uuid NOT NULL,
    version bigint NOT NULL,
    header  bytea NOT NULL,
    hash    bytea NOT NULL,
    at      timestamptz NOT NULL DEFAULT avow.now(),
    tx      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (tenant, kind, id, version)
);

-- Long values, by their SHA-256; headers name them.
CREATE TABLE avow.payload (
    tenant text NOT NULL,
    sha256 bytea NOT NULL,
    data   bytea NOT NULL,
    PRIMARY KEY (tenant, sha256)
);

-- What was answered to each idempotency key. `id` is a hash of tenant, subject, operation and key.
CREATE TABLE avow.idempotency (
    tenant      text NOT NULL,
    id          uuid NOT NULL,
    fingerprint bytea NOT NULL,
    status      smallint NOT NULL,
    body        bytea NOT NULL,
    kind        text NOT NULL,
    record      uuid,
    version     bigint,
    at          timestamptz NOT NULL DEFAULT avow.now(),
    PRIMARY KEY (tenant, id)
);
-- For retention.sql. Not BRIN: its ranges never shrink, so that once the space of forgotten keys is used again,
-- every range seems to hold expired ones.
CREATE INDEX idempotency_at ON avow.idempotency (at);

-- Commands that were refused by a rule, without their data.
CREATE TABLE avow.refusal (
    refusal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  text NOT NULL,
    at      timestamptz NOT NULL DEFAULT avow.now(),
    subject text NOT NULL,
    kind    text NOT NULL,
    record  uuid,
    command text NOT NULL,
    code    text NOT NULL,
    rule    text NOT NULL,
    request text NOT NULL
);

-- What is to be done later: calls to the outside, and times that will come. A row is here only as long as
-- it is to be done, so that finding what is ready costs what is ready.
-- name: the effect or transition; key: of all attempts of one call, with `generation` once that was used up.
-- ready_at: when it may be taken next; a taken one comes back then, if it wasn't settled (its lease). Infinity:
-- it waits for a person, or, where it isn't stuck, for what is before it in its line. fence: counts takings; whoever settles it has to name the one in force.
-- topic, given: of an event that came too early, a hash of the record that it waits for, and what it says.
-- progress: the last checkpoint of a call's function, for its next attempt.
CREATE TABLE avow.work (
    work        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text NOT NULL,
    kind        text NOT NULL,
    id          uuid NOT NULL,
    name        text NOT NULL,
    version     bigint NOT NULL,
    destination text NOT NULL,
    line        text NOT NULL,
    key         uuid NOT NULL,
    generation  smallint NOT NULL DEFAULT 0,
    due         timestamptz NOT NULL,
    ready_at    timestamptz NOT NULL,
    taken       boolean NOT NULL DEFAULT false,
    fence       bigint NOT NULL DEFAULT 0,
    attempt     integer NOT NULL DEFAULT 0,
    unclear     boolean NOT NULL DEFAULT false,
    stuck       text,
    detail      text NOT NULL DEFAULT '',
    request     text NOT NULL,
    since       timestamptz NOT NULL,
    topic       text NOT NULL DEFAULT '',
    given       jsonb,
    progress    jsonb,
    -- The record first: plans made while the table is empty would use any index that begins with the tenant.
    UNIQUE (id, name, kind, tenant)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX work_ready ON avow.work (destination, ready_at);
CREATE INDEX work_line ON avow.work (destination, line, tenant, work) WHERE line <> '';
-- What was put behind something of its line, and what of lines is under way.
CREATE INDEX work_behind ON avow.work (destination, line, tenant, work)
    WHERE line <> '' AND ready_at = 'infinity' AND stuck IS NULL;
CREATE INDEX work_line_taken ON avow.work (destination, line, tenant) WHERE line <> '' AND taken;
CREATE INDEX work_topic ON avow.work (topic) WHERE topic <> '';
CREATE INDEX work_stuck ON avow.work (tenant, destination) WHERE stuck IS NOT NULL;
-- What is under way, to be counted. Commands begin and end work that isn't taken, and times aren't counted.
CREATE INDEX work_taken ON avow.work (destination, ready_at) WHERE taken AND destination <> '';

-- Who is told of what happens. Secrets aren't kept: each follows from the service's own, the id and the generation;
-- the generation before signs as well until previous_until. rotated_by: the request that made the last one.
-- replay_after: up to which entry a replay has come; null: none is under way. replay_since, replay_upto: from when on it was
-- asked for, and the last entry when it began. replayed_by: the request for the last one.
CREATE TABLE avow.subscription (
    id             uuid PRIMARY KEY,
    tenant         text NOT NULL,
    subject        text NOT NULL,
    url            text NOT NULL,
    types          text[] NOT NULL,
    state          text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled')),
    reason         text NOT NULL DEFAULT '',
    generation     integer NOT NULL DEFAULT 1,
    previous_until timestamptz,
    rotated_by     uuid,
    replay_since   timestamptz,
    replay_after   bigint,
    replay_upto    bigint,
    replayed_by    uuid,
    created_at     timestamptz NOT NULL DEFAULT avow.now()
);
CREATE INDEX subscription_of ON avow.subscription (tenant, id);
CREATE INDEX subscription_replayed ON avow.subscription (id) WHERE replay_after IS NOT NULL;

-- Limits that all workers share: pauses, and how many calls may begin now.
CREATE TABLE avow.destination (
    destination text PRIMARY KEY,
    paused      text,
    allowance   double precision NOT NULL DEFAULT 0,
    counted_at  timestamptz NOT NULL DEFAULT avow.now()
);

-- What became of attempts that didn't settle a call.
CREATE TABLE avow.attempt (
    attempt  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant   text NOT NULL,
    kind     text NOT NULL,
    id       uuid NOT NULL,
    name     text NOT NULL,
    key      uuid NOT NULL,
    number   integer NOT NULL,
    fence    bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT avow.now(),
    outcome  text NOT NULL,
    detail   text NOT NULL
);
CREATE INDEX attempt_of ON avow.attempt (tenant, kind, id);

-- What people are asked to do: commands that stand in somebody's inbox, and work that is stuck. A row is here only as
-- long as it is to be done. task: made from what it is about, so that it is the same wherever it is made.
-- work: of what is stuck, its number; its step is its name and that number, which no command's step can be.
-- role: whose inbox; empty: that of the operators, whoever these are by the declaration in force.
-- holder: who has it alone until held_until. delegated: by whom it was done in whose place: {"carol": ["bob"]}.
-- acts: how often something was done with it; whoever changes it has to name the number.
-- remind: when it is still to be reminded of; next_at: when something about it happens by itself.
CREATE TABLE avow.task (
    task       uuid NOT NULL,
    tenant     text NOT NULL,
    kind       text NOT NULL,
    id         uuid NOT NULL,
    step       text NOT NULL,
    role       text NOT NULL,
    due        timestamptz,
    escalate   text,
    remind     timestamptz[] NOT NULL,
    claim_ms   bigint NOT NULL,
    asked_by   text NOT NULL,
    since      timestamptz NOT NULL,
    holder     text,
    held_until timestamptz,
    delegated  jsonb NOT NULL DEFAULT '{}',
    follow_up  timestamptz,
    escalated  timestamptz,
    acts       integer NOT NULL DEFAULT 0,
    next_at    timestamptz,
    work       bigint,
    PRIMARY KEY (tenant, kind, id, step),
    CHECK ((holder IS NULL) = (held_until IS NULL))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX task_named ON avow.task (tenant, task);
CREATE INDEX task_inbox ON avow.task (tenant, role, coalesce(due, 'infinity'), task);
CREATE INDEX task_held ON avow.task (tenant, holder, coalesce(due, 'infinity'), task) WHERE holder IS NOT NULL;
CREATE INDEX task_next ON avow.task (next_at) WHERE next_at IS NOT NULL;
CREATE UNIQUE INDEX task_of_work ON avow.task (tenant, work) WHERE work IS NOT NULL;

-- What was done with tasks, other than doing them: that is an entry of the audit log. Nothing here is ever changed.
CREATE TABLE avow.task_act (
    act     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  text NOT NULL,
    kind    text NOT NULL,
    id      uuid NOT NULL,
    step    text NOT NULL,
    task    uuid NOT NULL,
    number  integer NOT NULL,
    at      timestamptz NOT NULL,
    subject text NOT NULL,
    word    text NOT NULL,
    told    jsonb NOT NULL,
    reason  text NOT NULL,
    request text NOT NULL
);
CREATE INDEX task_act_of ON avow.task_act (tenant, kind, id);

-- What operators did about what is to be done later, written together with the change. Nobody changes or removes
-- a row. tenant, kind, id, name, key, fence: of the work; null for what was done to a whole destination.
CREATE TABLE avow.intervention (
    intervention bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text,
    kind         text,
    id           uuid,
    name         text,
    destination  text NOT NULL,
    key          uuid,
    fence        bigint,
    at           timestamptz NOT NULL DEFAULT avow.now(),
    action       text NOT NULL,
    subject      text NOT NULL CHECK (subject <> ''),
    reason       text NOT NULL CHECK (reason <> ''),
    evidence     text NOT NULL DEFAULT ''
);
CREATE INDEX intervention_of ON avow.intervention (tenant, kind, id);
ALTER TABLE avow.intervention ENABLE ROW LEVEL SECURITY;
ALTER TABLE avow.intervention FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON avow.intervention FOR SELECT USING (tenant = avow.tenant());
CREATE POLICY owner_reads_all ON avow.intervention FOR SELECT TO @{owner} USING (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_intervenes ON avow.intervention FOR INSERT TO @{owner}
    WITH CHECK (tenant = avow.tenant() OR current_setting('avow.scope', true) = 'all');

-- Sets of work that an operator does something about, with what they consist of: written before the first of it is
-- touched, so that who repeats the request goes on with the same set. What was done about each is an intervention.
CREATE TABLE avow.bulk (
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

-- The keys of persons, each encrypted with the key of keys, which is in no database (`kek`: which one). Without its row
-- nothing that is private about the person can ever be read again. The subject '' has the key of a tenant's keyed hashes.
CREATE TABLE avow.subject_key (
    tenant  text NOT NULL,
    key     uuid NOT NULL,
    subject text NOT NULL,
    wrapped bytea NOT NULL,
    kek     text NOT NULL,
    since   timestamptz NOT NULL DEFAULT avow.now(),
    PRIMARY KEY (tenant, key),
    UNIQUE (tenant, subject)
);

-- What stands behind the digests of private values in rows and entries: salt and value, encrypted with a person's key.
-- blind: a keyed hash of the value, where equal ones may be found. erased_...: the entry by which it was erased.
CREATE TABLE avow.disclosure (
    tenant         text NOT NULL,
    kind           text NOT NULL,
    id             uuid NOT NULL,
    version        bigint NOT NULL,
    field          text NOT NULL,
    digest         text NOT NULL,
    key            uuid,
    nonce          bytea,
    ciphertext     bytea,
    blind          bytea,
    keep_until     timestamptz,
    erased_kind    text,
    erased_id      uuid,
    erased_version bigint,
    PRIMARY KEY (tenant, kind, id, version, field),
    FOREIGN KEY (tenant, key) REFERENCES avow.subject_key,
    CHECK ((key IS NULL) = (ciphertext IS NULL) AND (key IS NULL) = (nonce IS NULL) AND (key IS NULL) = (erased_id IS NOT NULL))
);
CREATE INDEX disclosure_of ON avow.disclosure (tenant, key);

-- Whose private values nobody may erase for now, and why.
CREATE TABLE avow.legal_hold (
    tenant    text NOT NULL,
    subject   text NOT NULL,
    placed_by text NOT NULL CHECK (placed_by <> ''),
    reason    text NOT NULL CHECK (reason <> ''),
    since     timestamptz NOT NULL DEFAULT avow.now(),
    PRIMARY KEY (tenant, subject)
);

-- The logs that entries are sealed in, one after the other. An epoch ends when its key is replaced, or when the database
-- was restored: no key signs two histories. origin, key: the log's name, and what its signatures are checked with.
-- previous: the newest checkpoint of the epoch before, which is the first leaf of this one; null in the first.
CREATE TABLE avow.log (
    epoch    integer PRIMARY KEY CHECK (epoch > 0),
    origin   text NOT NULL UNIQUE,
    key      text NOT NULL,
    reason   text NOT NULL CHECK (reason <> ''),
    previous text CHECK ((previous IS NULL) = (epoch = 1)),
    begun_at timestamptz NOT NULL DEFAULT avow.now()
);

-- How far the newest log has come; see log.sql. stack: its complete subtrees, largest first. reached: every number up to
-- it has a leaf, or is in `unseen` (may still be committed) or was given up by its transaction. settling: those of the
-- unseen whose transactions have all ended once no snapshot is older than `settles_at`. cluster: whose transaction
-- ids these are, and when its server was started that sealed last.
CREATE TABLE avow.log_state (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch      integer NOT NULL REFERENCES avow.log,
    size       bigint NOT NULL DEFAULT 0,
    stack      bytea[] NOT NULL DEFAULT '{}',
    reached    bigint NOT NULL DEFAULT 0,
    unseen     int8multirange NOT NULL DEFAULT '{}',
    settling   int8multirange NOT NULL DEFAULT '{}',
    settles_at xid8 NOT NULL DEFAULT '0',
    cluster    text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- The leaves: the one order of all entries. `hash` is the entry's own. Says whose entry it was, so that a missing one has a name.
CREATE TABLE avow.leaf (
    epoch   integer NOT NULL,
    index   bigint NOT NULL,
    entry   bigint UNIQUE,
    tenant  text,
    kind    text,
    id      uuid,
    version bigint,
    hash    bytea NOT NULL,
    PRIMARY KEY (epoch, index)
);

-- Complete subtrees of 256**level leaves, so that a proof reads few rows.
CREATE TABLE avow.node (
    epoch integer NOT NULL,
    level smallint NOT NULL CHECK (level > 0),
    index bigint NOT NULL,
    hash  bytea NOT NULL,
    PRIMARY KEY (epoch, level, index)
);

-- Every checkpoint that was signed, as the note that was published.
CREATE TABLE avow.checkpoint (
    epoch integer NOT NULL,
    size  bigint NOT NULL,
    root  bytea NOT NULL,
    note  text NOT NULL,
    at    timestamptz NOT NULL,
    PRIMARY KEY (epoch, size)
);
CREATE INDEX checkpoint_at ON avow.checkpoint (at);

-- What witnesses signed beside the log: a line of a note each. key: the witness's verifier key.
CREATE TABLE avow.cosignature (
    epoch integer NOT NULL,
    size  bigint NOT NULL,
    key   text NOT NULL,
    line  text NOT NULL,
    at    timestamptz NOT NULL DEFAULT avow.now(),
    PRIMARY KEY (epoch, size, key),
    FOREIGN KEY (epoch, size) REFERENCES avow.checkpoint
);
CREATE INDEX cosigned ON avow.cosignature (epoch, key, size);

-- API keys: only a keyed hash of each secret. Two secrets may be live while one replaces the other.
CREATE TABLE avow.api_key (
    id          text PRIMARY KEY,
    tenant      text NOT NULL,
    subject     text NOT NULL,
    roles       text[] NOT NULL,
    digest      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT avow.now(),
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    replaced_by text REFERENCES avow.api_key
);

DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['audit', 'payload', 'idempotency', 'refusal', 'work', 'attempt', 'task', 'task_act', 'subscription',
        'bulk', 'leaf', 'subject_key', 'disclosure', 'legal_hold'] LOOP
        EXECUTE format('ALTER TABLE avow.%I ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE avow.%I FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY tenant ON avow.%I USING (tenant = avow.tenant())', relation);
        EXECUTE format(
            'CREATE POLICY owner_reads_all ON avow.%I FOR SELECT TO @{owner} USING (current_setting(''avow.scope'', true) = ''all'')',
            relation);
    END LOOP;
END $$;

-- Entries of all tenants are sealed in one log; see log.sql.
CREATE POLICY owner_seals ON avow.leaf FOR INSERT TO @{owner} WITH CHECK (current_setting('avow.scope', true) = 'all');

-- What was written stays as it was written, for the owner too; ALWAYS, so that a replication role doesn't go past it.
-- Who may drop a trigger still can: that is found, by a checkpoint that was kept elsewhere.
CREATE FUNCTION avow.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'avow.% is append-only', TG_TABLE_NAME USING ERRCODE = 'AV004'; END $$;
DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['audit', 'log', 'leaf', 'node', 'checkpoint', 'cosignature'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON avow.%I FOR EACH ROW EXECUTE FUNCTION avow.refuse_change()',
            relation);
        EXECUTE format(
            'CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON avow.%I FOR EACH STATEMENT EXECUTE FUNCTION avow.refuse_change()',
            relation);
        EXECUTE format('ALTER TABLE avow.%I ENABLE ALWAYS TRIGGER append_only', relation);
        EXECUTE format('ALTER TABLE avow.%I ENABLE ALWAYS TRIGGER append_only_whole', relation);
    END LOOP;
END $$;

-- Keys are forgotten after a time, those of all tenants together; see retention.sql.
CREATE POLICY owner_forgets ON avow.idempotency FOR DELETE TO @{owner} USING (current_setting('avow.scope', true) = 'all');

-- Workers take what is ready of all tenants together; see work.sql.
CREATE POLICY owner_works ON avow.work FOR UPDATE TO @{owner} USING (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_ends ON avow.work FOR DELETE TO @{owner} USING (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_begins ON avow.work FOR INSERT TO @{owner} WITH CHECK (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_tries ON avow.attempt FOR INSERT TO @{owner} WITH CHECK (current_setting('avow.scope', true) = 'all');

-- The owner puts keys under another key of keys; see private.sql.
CREATE POLICY owner_rewraps ON avow.subject_key FOR UPDATE TO @{owner} USING (current_setting('avow.scope', true) = 'all');

-- Workers escalate and remind for all tenants together, and ask for what is stuck; see task.sql.
CREATE POLICY owner_asks ON avow.task FOR INSERT TO @{owner} WITH CHECK (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_ends ON avow.task FOR DELETE TO @{owner} USING (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_moves ON avow.task FOR UPDATE TO @{owner} USING (current_setting('avow.scope', true) = 'all');
CREATE POLICY owner_notes ON avow.task_act FOR INSERT TO @{owner} WITH CHECK (current_setting('avow.scope', true) = 'all');

GRANT SELECT ON avow.log, avow.log_state, avow.leaf, avow.node, avow.checkpoint, avow.cosignature TO @{application}, @{reader};
GRANT SELECT ON avow.task, avow.task_act TO @{application}, @{reader};
GRANT SELECT ON avow.audit, avow.payload, avow.idempotency, avow.boundary, avow.edge, avow.clock, avow.work, avow.attempt, avow.intervention, avow.bulk, avow.destination, avow.subscription, avow.subject_key, avow.disclosure TO @{application};
GRANT SELECT ON avow.audit, avow.payload, avow.refusal, avow.boundary, avow.edge, avow.clock, avow.work, avow.attempt, avow.intervention, avow.bulk, avow.destination, avow.subscription TO @{reader};

-- An API key by its public id; the application never sees the table.
CREATE FUNCTION avow.find_api_key(p_id text)
    RETURNS TABLE (tenant text, subject text, roles text[], digest bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT k.tenant, k.subject, k.roles, k.digest FROM avow.api_key k
        WHERE k.id = p_id AND k.revoked_at IS NULL AND k.expires_at > avow.now()
    $$;

-- Ranges over types that PostgreSQL has none for, so that EXCLUDE needs no extension.
CREATE TYPE avow.uuidrange AS RANGE (subtype = uuid);
CREATE TYPE avow.textrange AS RANGE (subtype = text, collation = "C");

RESET ROLE;
