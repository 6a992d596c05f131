"""Looking for work costs what is ready, never what was done or waits for its time."""

from __future__ import annotations

from typing import Any

import pytest

from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.queue import TIMES, Queue
from tests.fix_database import Database, MakeDatabase
from tests.store.payment import Outside, payments

MANY = 1_000_000
READY = 3
RESTING = 5_000
UNDER_WAY = 30
BLOCKED, LOOKED_AT = 10_000, 2 * 64
READ_OF_WORK = (
    "work", "work_pkey", "work_ready", "work_line", "work_taken", "work_behind", "work_line_taken",
)  # fmt: skip
FILL = """
    INSERT INTO avow.work
        (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT 'main', 'Payment', id, 'lapse', 1, '', '', id, at, at, 'r', now()
    FROM generate_series(1, $1::int) AS n,
        LATERAL (SELECT lpad(to_hex(n), 32, '0')::uuid AS id, now() + (86400 + n) * interval '1 s' AS at)
"""
CALLS = FILL.replace("'lapse', 1, '', ''", "'capture', 1, 'capture', 'line ' || n")
IN_LINES = """
    INSERT INTO avow.work
        (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
    SELECT 'main', 'Payment', id, 'capture', 1, 'capture', 'held up ' || n % $1::int, id, at, at, 'r', now()
    FROM generate_series(1, 2 * $1::int) AS n, LATERAL (
        SELECT md5('held up ' || n)::uuid AS id,
            now() + CASE WHEN n > $1 THEN 0 ELSE 3600 END * interval '1 s' AS at)
"""
"""In each line the first rests after an attempt that failed, and the second is ready."""
FINISHED = """
    INSERT INTO avow.attempt (tenant, kind, id, name, key, number, fence, at, outcome, detail)
    SELECT 'main', 'Payment', id, 'capture', id, 1, 1, now(), 'unclear', 'cut'
    FROM generate_series(1, $1::int) AS n, LATERAL (SELECT lpad(to_hex(n), 32, '0')::uuid AS id)
"""
READ = f"""
    SELECT relname, pg_stat_get_xact_numscans(oid) AS scans, pg_stat_get_xact_tuples_returned(oid) AS read,
           pg_stat_get_xact_tuples_fetched(oid) AS fetched
    FROM pg_class WHERE relnamespace = 'avow'::regnamespace
        AND relname IN {("attempt", *READ_OF_WORK)}
"""


@pytest.fixture
def made(database: MakeDatabase) -> Database:
    return database(payments(Outside(), per_second=1_000.0, concurrency=50))


async def test_taking_work_reads_what_is_ready_among_a_million_that_is_not(made: Database) -> None:
    admin = await connect(made.admin_url)
    await admin.execute(FILL, MANY)
    await admin.execute(FINISHED, MANY)
    await admin.execute("ANALYZE avow.work")
    await admin.execute(
        "UPDATE avow.work SET ready_at = now(), due = now() WHERE work IN"
        f" (SELECT work FROM avow.work ORDER BY work DESC LIMIT {READY})"
    )
    await admin.execute("SET plan_cache_mode = force_generic_plan")
    first = await _take(admin)
    assert first["taken"] == READY
    assert first["work"] <= 10 * READY, "rows of the table"
    assert first["work_ready"] <= 10 * READY, "entries of the index"
    idle = await _take(admin)
    assert idle["taken"] == 0
    assert idle["work"] + idle["work_ready"] <= 10
    await _lines_that_are_held_up_cost_nothing(admin)
    await admin.close()


async def _lines_that_are_held_up_cost_nothing(admin: Connection) -> None:
    """What is ready behind something that isn't is looked at once, and not at each look for work."""
    await admin.execute(IN_LINES, BLOCKED)
    behind = "SELECT count(*) FROM avow.work WHERE ready_at = 'infinity'"
    assert ((await _take(admin))["taken"], await admin.fetchval(behind)) == (0, LOOKED_AT)
    await admin.execute("SELECT avow.put_behind('capture', now(), $1)", BLOCKED)  # as further looks do
    assert (await _take(admin))["alive"] <= 10
    await admin.execute(CALLS.replace("lpad(to_hex(n), 32, '0')", "md5('line ' || n)"), READY)
    await admin.execute("UPDATE avow.work SET ready_at = now() WHERE line LIKE 'line %'")
    took = await _take(admin)
    assert took["taken"] == READY
    assert took["alive"] <= 10 * READY
    await admin.execute("DELETE FROM avow.work WHERE line = 'held up 7' AND ready_at < 'infinity'")
    came = await _take(admin)
    assert (came["taken"], came["alive"] <= 10 * READY) == (1, True)


async def test_calls_that_rest_between_attempts_cost_nothing_where_others_begin(made: Database) -> None:
    """Neither to count what is under way, nor to see that nothing of the same line is before them."""
    admin, taking = await connect(made.admin_url), await connect(made.admin_url)
    await admin.execute(CALLS, 1)
    await admin.execute("UPDATE avow.work SET ready_at = now()")
    assert (await _take(taking))["taken"] == 1, "plans are kept from when there was next to nothing"
    await admin.execute("DELETE FROM avow.work")
    await admin.execute(CALLS, RESTING)
    newest = "work IN (SELECT work FROM avow.work ORDER BY work DESC LIMIT {} OFFSET {})"
    await admin.execute(f"UPDATE avow.work SET ready_at = now() WHERE {newest.format(READY, 0)}")
    await admin.execute(
        "UPDATE avow.work SET taken = true, ready_at = now() + interval '10 s'"
        f" WHERE {newest.format(UNDER_WAY, READY)}"
    )
    took = await _take(taking)
    assert took["taken"] == READY
    assert took["work_taken"] >= UNDER_WAY, "they are counted by an index of their own"
    assert sum(took[name] for name in READ_OF_WORK) <= 10 * UNDER_WAY
    await admin.close()
    await taking.close()


async def _take(connection: Connection) -> dict[str, int]:
    """Take work once; how much of each relation was read for it."""
    await connection.execute("SELECT pg_stat_force_next_flush()")  # what was read before isn't counted here
    async with connection.transaction():
        rows = await connection.fetch(
            "SELECT work FROM avow.take_work('{\"\", capture}', '{NULL, 1000}', '{NULL, 50}', 15000, 64)"
        )
        counted = await connection.fetch(READ)
    found: dict[str, Any] = {row["relname"]: max(row["read"], row["fetched"]) for row in counted}
    return {**found, "taken": len(rows), "alive": sum(row["fetched"] for row in counted)}


async def test_two_workers_that_take_at_once_never_take_the_same(made: Database) -> None:
    admin, pool = await connect(made.admin_url), Pool(made.application_url)
    await admin.execute(FILL, 100)
    await admin.execute("UPDATE avow.work SET ready_at = now()")
    queue = Queue(made.system, pool)
    async with admin.transaction():
        await admin.execute("SELECT * FROM avow.work ORDER BY work LIMIT 10 FOR UPDATE")
        other = await queue.take([TIMES], 15.0, 100)
    rest = await queue.take([TIMES], 15.0, 100)
    assert (len(other), len(rest)) == (90, 10)
    assert not {work.work for work in other} & {work.work for work in rest}
    await pool.close()
    await admin.close()


async def test_no_more_calls_begin_than_a_destination_allows(made: Database) -> None:
    admin, pool = await connect(made.admin_url), Pool(made.application_url)
    await admin.execute(FILL, 100)
    await admin.execute("UPDATE avow.work SET ready_at = now(), destination = 'capture', name = 'capture'")
    await admin.execute("UPDATE avow.destination SET allowance = 1000")
    queue = Queue(made.system, pool)
    assert len(await queue.take(["capture"], 15.0, 100)) == 50, "so many may be under way"
    assert await queue.take(["capture"], 15.0, 100) == []
    await admin.execute("UPDATE avow.work SET taken = false, ready_at = now()")
    await admin.execute("INSERT INTO avow.clock (fixed) VALUES (now() + interval '1 day')")
    await admin.execute("UPDATE avow.destination SET allowance = 7, counted_at = avow.now()")
    assert len(await queue.take(["capture"], 15.0, 100)) == 7, "so many may begin now"
    await admin.execute("UPDATE avow.destination SET paused = 'by hand'")
    await admin.execute("UPDATE avow.clock SET fixed = fixed + interval '1 day'")
    assert await queue.take(["capture"], 15.0, 100) == []
    await pool.close()
    await admin.close()
