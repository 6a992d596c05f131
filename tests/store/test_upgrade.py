"""Tables of an earlier Avow are brought to what a fresh database has, with all that is in them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from avow.engine.verify import verify
from avow.errors import EnvironmentFault
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.schema import install, upgrade
from avow.store.schema.rights import demand_fit, demand_own_tables, demand_owner
from avow.store.statements import named
from tests.acting import acting
from tests.fix_database import Database, MakeDatabase
from tests.store.sealed import sealing
from tests.store.theatre import theatre

UNDONE = {
    1: """
    DROP TABLE avow.upgrade, avow.bulk CASCADE;
    ALTER TABLE avow.work DROP COLUMN progress;
    DROP INDEX avow.work_taken;
    CREATE FUNCTION avow.apply_entries(text, text[], jsonb[], bytea[]) RETURNS int LANGUAGE sql AS 'SELECT 0';
    CREATE FUNCTION avow.retry_work(bigint, bigint, text, text) RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION avow.park_again(bigint, bigint, text, bigint) RETURNS void LANGUAGE sql AS '';
    """,
    2: """
    DROP TRIGGER line_goes_on ON avow.work; DROP TRIGGER line_is_left ON avow.work;
    DROP FUNCTION avow.let_next_come(); DROP FUNCTION avow.put_behind(text, timestamptz, integer);
    DROP INDEX avow.work_behind, avow.work_line, avow.work_line_taken;
    CREATE INDEX work_line ON avow.work (destination, line, work) WHERE line <> '';
    """,
    3: """
    DROP TRIGGER stuck_now ON avow.work; DROP TRIGGER stuck_no_more ON avow.work;
    DROP FUNCTION avow.ask_for_work(); DROP FUNCTION avow.end_task_of_work();
    DROP FUNCTION avow.held_by_another(text, bigint, text);
    DROP FUNCTION avow.begin_task(text, text, uuid, text, text, text, jsonb, timestamptz, bigint);
    DROP FUNCTION avow.give_back_work(bigint, bigint, text, text, bigint, text, boolean, boolean, jsonb);
    DROP FUNCTION avow.park_event(text, text, uuid, text, text, jsonb, text, bigint, text, jsonb);
    CREATE FUNCTION avow.begin_task(text, text, uuid, text, text, text, jsonb, timestamptz)
        RETURNS int LANGUAGE sql AS 'SELECT 0';
    CREATE FUNCTION avow.give_back_work(bigint, bigint, text, text, bigint, text, boolean, boolean)
        RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION avow.park_event(text, text, uuid, text, text, jsonb, text, bigint, text)
        RETURNS boolean LANGUAGE sql AS 'SELECT true';
    DELETE FROM avow.task WHERE work IS NOT NULL;
    DROP INDEX avow.task_of_work;
    ALTER TABLE avow.task DROP COLUMN work;
    DROP POLICY owner_asks ON avow.task; DROP POLICY owner_ends ON avow.task;
    DROP INDEX avow.subscription_replayed;
    ALTER TABLE avow.subscription DROP COLUMN replay_since, DROP COLUMN replay_after, DROP COLUMN replay_upto,
        DROP COLUMN replayed_by;
    CREATE FUNCTION avow.replay_subscription(text, uuid, timestamptz, integer)
        RETURNS int LANGUAGE sql AS 'SELECT 0';
    """,
}
"""For each version, what takes its step back: tables as the version before had them."""

PICTURE = """
SELECT 'relation', c.oid::regclass::text,
       concat_ws(' ', c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, (
           SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(c.relacl) a))
FROM pg_class c WHERE c.relnamespace = 'avow'::regnamespace
UNION ALL
SELECT 'column', a.attrelid::regclass || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'avow'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'avow'::regnamespace
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'avow'::regnamespace
UNION ALL
SELECT 'policy', tablename || '.' || policyname, concat_ws(' ', roles, cmd, qual, with_check)
FROM pg_policies WHERE schemaname = 'avow'
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname, concat_ws(' ', tgenabled, pg_get_triggerdef(t.oid))
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'avow'::regnamespace AND NOT tgisinternal
UNION ALL
SELECT 'function', p.oid::regprocedure::text,
       concat_ws(' ', md5(p.prosrc), p.prosecdef, p.provolatile, p.proconfig, (
           SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(p.proacl) a))
FROM pg_proc p WHERE p.pronamespace = 'avow'::regnamespace
ORDER BY 1, 2
"""
"""Everything in the schema of Avow's own, whatever order it was made in."""


async def picture(connection: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(PICTURE)]


async def take_back(connection: Connection, version: int) -> None:
    """Make the tables what they were at an earlier version."""
    for step in range(upgrade.VERSION, version, -1):
        if step > 1:  # fresh tables know their own version alone
            await connection.execute("DELETE FROM avow.upgrade WHERE version = $1", step)
            await connection.execute("INSERT INTO avow.upgrade VALUES ($1) ON CONFLICT DO NOTHING", step - 1)
        await connection.execute(UNDONE[step])


async def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has, but for that of the versions."""
    tables = await connection.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relname <> 'upgrade'"
        " AND relnamespace IN ('avow'::regnamespace, 'theatre'::regnamespace)"
    )
    return {row[0]: await connection.fetchval(f"SELECT count(*) FROM {row[0]}") for row in tables}


async def code_of(work: Any) -> str:
    """The code of the fault that some work ends with."""
    with pytest.raises(EnvironmentFault) as raised:
        await work
    assert raised.value.mend
    return raised.value.code


def test_there_is_a_step_to_each_version_and_a_way_to_try_it() -> None:
    steps = {int(name.removeprefix("upgrade_")) for name in named("upgrade.sql") if name[8:].isdecimal()}
    assert steps == {*range(1, upgrade.VERSION + 1)} == {*UNDONE}


@pytest.mark.parametrize("version", range(upgrade.VERSION))
async def test_tables_of_an_earlier_version_become_those_of_a_fresh_database_and_keep_what_they_hold(
    version: int, made: Database, admin: Connection, tmp_path: Path
) -> None:
    fresh = await picture(admin)
    async with sealing(made, tmp_path) as log, acting(made) as people:
        hall = await people.do("Hall", "found", None, {"name": "a", "places": 9}, "ann")
        for _ in range(3):
            await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.seal()
    await take_back(admin, version)
    assert await picture(admin) != fresh
    assert await code_of(demand_fit(made.application_url, theatre)) == "tables-older"
    assert await code_of(demand_own_tables(admin, theatre)) == "tables-older"
    before = await counts(admin)
    assert await install.install(admin, theatre) is True
    assert await picture(admin) == fresh
    after = await counts(admin)
    assert {name: after[name] for name in before} == before
    assert await install.install(admin, theatre) is False
    await demand_fit(made.application_url, theatre)
    async with acting(made) as people:
        await people.do("Hall", "sell_one", hall, {}, "ann")
    result = await verify(admin, theatre)
    assert (result.findings, result.complete, result.entries) == ([], True, 5)


STUCK = """
INSERT INTO avow.work
    (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since, stuck)
VALUES ('main', 'Hall', gen_random_uuid(), 'call', 1, 'psp', '', gen_random_uuid(), now(), 'infinity', '',
    now(), 'unknown') RETURNING work
"""
ASKED = "SELECT role, work, asked_by FROM avow.task"


async def test_what_is_stuck_already_becomes_a_task_and_so_does_what_older_servers_leave_stuck(
    made: Database, admin: Connection
) -> None:
    await take_back(admin, 2)
    work = await admin.fetchval(STUCK)
    await install.install(admin, theatre)
    assert [tuple(row) for row in await admin.fetch(ASKED)] == [("", work, "avow")]
    await admin.execute("UPDATE avow.work SET stuck = NULL, taken = true")
    assert await admin.fetch(ASKED) == []
    given_back = "SELECT avow.give_back_work($1, 0, 'stuck', '', NULL, 'unknown', true, false)"
    assert await admin.fetchval(given_back, work)
    assert [tuple(row) for row in await admin.fetch(ASKED)] == [("", work, "avow")]


async def test_two_who_bring_tables_up_at_once_wait_for_each_other(made: Database, admin: Connection) -> None:
    await take_back(admin, 0)
    other = await connect(made.admin_url)
    done = await asyncio.gather(install.install(admin, theatre), install.install(other, theatre))
    await other.close()
    assert sorted(done) == [False, True]
    versions = await admin.fetch("SELECT version FROM avow.upgrade ORDER BY version")
    assert [row[0] for row in versions] == [*range(1, upgrade.VERSION + 1)]


async def test_a_step_that_cannot_have_its_lock_leaves_the_tables_as_they_were(
    made: Database, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "LOCK_WAIT_MS", 50)
    await take_back(admin, 0)
    before = await picture(admin)
    other = await connect(made.admin_url)
    async with other.transaction():
        await other.execute("LOCK TABLE avow.work IN ROW EXCLUSIVE MODE")
        assert await code_of(install.install(admin, theatre)) == "tables-busy"
    await other.close()
    assert await picture(admin) == before
    assert await install.install(admin, theatre) is True


async def test_tables_of_a_newer_avow_are_neither_served_nor_brought_back(
    made: Database, admin: Connection
) -> None:
    await admin.execute("INSERT INTO avow.upgrade (version) VALUES ($1)", upgrade.VERSION + 1)
    before = await picture(admin)
    for work in (
        demand_fit(made.application_url, theatre),
        demand_own_tables(admin, theatre),
        install.install(admin, theatre),
    ):
        assert await code_of(work) == "tables-newer"
    assert await picture(admin) == before


async def test_a_database_without_tables_is_told_from_one_with_older_ones(made: Database) -> None:
    server = await connect(made.admin_url)
    assert await demand_owner(server, theatre)
    await server.execute("ALTER SCHEMA avow RENAME TO put_away")
    assert not await demand_owner(server, theatre)
    assert await code_of(demand_own_tables(server, theatre)) == "tables-missing"
    await server.close()


async def test_tables_of_which_no_step_knows_are_left_alone(database: MakeDatabase) -> None:
    admin = await connect(database(theatre).admin_url)
    await take_back(admin, 0)
    await admin.execute("DROP TABLE avow.cosignature")
    before = await picture(admin)
    assert await code_of(install.install(admin, theatre)) == "tables-too-old"
    assert await picture(admin) == before
    await admin.close()
