"""What a command costs the database: one flush of the log, and index lookups among however many records."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avow.engine.identifier import new_id
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.loading import plan_command
from avow.store.pool import connect
from avow.store.reads import Listing, _page_statement  # pyright: ignore[reportPrivateUsage]
from avow.store.schema.install import create_database, install, login
from avow.store.server import cluster as clusters
from avow.store.server.cluster import Cluster
from tests.fix_database import MakeDatabase, with_login
from tests.store.company import engine, request
from tests.store.counted import all_told
from tests.store.theatre import theatre

ROWS = 100_000
COMMANDS = 20


@pytest.fixture
def durable() -> Iterator[Cluster]:
    """A server that flushes, unlike that of the other tests."""
    folder = Path(tempfile.mkdtemp(prefix="avow-durable-"))
    folder.chmod(0o755)
    try:
        with clusters.start(folder / ".avow", settings={"autovacuum": "off"}) as lease:
            yield lease.cluster
    finally:
        clusters.destroy(folder / ".avow")
        shutil.rmtree(folder)


async def test_a_command_flushes_the_log_once(durable: Cluster) -> None:
    name = f"cost_{secrets.token_hex(4)}"
    server = await connect(durable.url())
    await create_database(server, name)
    await server.close()
    admin = await connect(durable.url(name))
    await install(admin, theatre)
    await login(admin, theatre, "theatre_test", "of a test")
    url = with_login(durable.url(name), "theatre_test", "of a test")
    async with engine(theatre, url, size=1) as one:
        hall = (await one.execute(request("Hall", "found", None, {}))).record
    await admin.execute("CHECKPOINT")
    before = await _flushes(admin)
    async with engine(theatre, url, size=1) as one:
        for _ in range(COMMANDS):
            assert (await one.execute(request("Hall", "sell_one", hall, {}))).status == 200
    flushed = await _flushes(admin) - before
    await admin.close()
    # The server's own background writer may add a few of its own.
    assert COMMANDS <= flushed <= COMMANDS + 4


async def _flushes(admin: Connection) -> int:
    """How often the log was flushed, by all processes; a process tells its own at its end at the latest."""
    await all_told(admin)
    if await admin.fetchval("SELECT current_setting('server_version_num')::int") >= 180_000:
        return await admin.fetchval("SELECT sum(fsyncs)::int FROM pg_stat_io WHERE object = 'wal'")
    return await admin.fetchval("SELECT wal_sync::int FROM pg_stat_wal")


def scans(plan: Any) -> list[str]:
    """How each table of a plan is read."""
    found = [f"{plan['Node Type']} on {plan['Relation Name']}"] if "Relation Name" in plan else []
    return found + [scan for below in plan.get("Plans", []) for scan in scans(below)]


async def explained(connection: Connection, sql: str, parameters: list[Any]) -> list[str]:
    """How each table is read when the statement is executed, with a plan for any parameters."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    rows = await connection.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *parameters)
    return scans(json.loads(rows[0][0])[0]["Plan"])


async def test_100000_records_are_found_by_index(database: MakeDatabase) -> None:
    made = database(theatre)
    admin = await connect(made.admin_url)
    await admin.execute(
        "INSERT INTO theatre.halls"
        " (tenant, id, state, version, head, boundary, changed_at, name, plan, places, load, sold)"
        " SELECT 't' || n % 10, gen_random_uuid(), 'opened', 1, '', '', now(), '', '', 1, 1, 0"
        f" FROM generate_series(1, {ROWS}) n;"
        "INSERT INTO theatre.tickets"
        " (tenant, id, state, version, head, boundary, changed_at, hall, holder, code, weight)"
        " SELECT tenant, gen_random_uuid(), 'held', 1, '', '', now(), id, 'ann', id, 1 FROM theatre.halls;"
        "INSERT INTO avow.idempotency SELECT tenant, id, '', 200, '', 'Hall', id, 1 FROM theatre.halls;"
        "INSERT INTO avow.audit (tenant, kind, id, version, header, hash)"
        " SELECT tenant, 'Hall', id, 1, '{}', '' FROM theatre.halls; ANALYZE"
    )
    served = await connect(made.application_url)
    ticket = theatre.entities["Ticket"]
    plan = plan_command(theatre, ticket, "sell_both")
    read = await explained(served, plan.sql, plan.parameters("t1", [plan.wanted(new_id(), new_id(), {})]))
    assert sorted(read) == [
        "Index Scan on halls", "Index Scan on halls", "Index Scan on idempotency", "Index Scan on tickets",
    ]  # fmt: skip
    actor = Actor(Subject("ann"), "t1", frozenset(), "key:ann")
    for listing in (Listing({}, None, None, 50), Listing({"hall": new_id()}, None, new_id(), 50)):
        sql, parameters = _page_statement(theatre, ticket, actor, listing)
        assert await explained(served, sql, parameters) == ["Index Scan on tickets"], listing
    await served.close()
    await admin.close()
