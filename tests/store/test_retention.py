"""Forgetting expired answers: all of them, by several servers at once, never by reading the whole table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from avow.engine.execute import Engine, Reply, Request
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.retention import KEY_RETENTION_DAYS, forget_keys
from tests.fix_database import Database
from tests.store.company import engine, request, tally
from tests.store.theatre import theatre

KEYS, ROUNDS = 60, 3
FILL = """
INSERT INTO avow.idempotency (tenant, id, fingerprint, status, body, kind, at)
SELECT CASE WHEN n % 2 = 0 THEN 'main' ELSE 'other' END, gen_random_uuid(), '', 200, '', 'Hall',
       now() - make_interval(days => $2) - n * interval '1 second'
FROM generate_series(1, $1::int) AS n
"""
LEFT = "SELECT count(*) FROM avow.idempotency"
READ = """
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
FROM pg_stat_xact_all_tables WHERE relid = 'avow.idempotency'::regclass
"""


@asynccontextmanager
async def pooled(made: Database) -> AsyncGenerator[Pool]:
    """The connections of one server."""
    pool = Pool(made.application_url)
    try:
        yield pool
    finally:
        await pool.close()


async def later(admin: Connection, days: float) -> None:
    """Set the database's clock to so many days after the real one."""
    await admin.execute("DELETE FROM avow.clock")
    await admin.execute(
        "INSERT INTO avow.clock SELECT clock_timestamp() + make_interval(secs => $1)", days * 86_400
    )


async def one_by_one(runner: Engine, sent: list[Request]) -> list[Reply]:
    """Each command once the one before is answered."""
    return [await runner.execute(command) for command in sent]


async def test_a_backlog_of_any_size_is_forgotten_without_a_pause(made: Database, admin: Connection) -> None:
    """Of all tenants; else keys that come faster than they are forgotten would be kept for ever."""
    await admin.execute(FILL, 300, KEY_RETENTION_DAYS)
    await admin.execute(FILL, 5, KEY_RETENTION_DAYS - 1)
    async with pooled(made) as pool:
        assert await forget_keys(pool, rows_max=2) == 300
    assert await admin.fetchval(LEFT) == 5


async def test_forgetting_reads_no_more_than_it_forgets_however_much_is_kept(
    made: Database, admin: Connection
) -> None:
    """Also where new keys lie in the space that forgotten ones have left, and the table's figures are old."""
    for days in (0, KEY_RETENTION_DAYS, 0):
        await admin.execute(FILL, 3_000, days)
        await admin.execute("DELETE FROM avow.idempotency WHERE at < now() - interval '9 days'")
        await admin.execute("VACUUM ANALYZE avow.idempotency")
    await admin.execute(FILL, 3_000, 1)
    connection = await connect(made.application_url)
    async with connection.transaction():
        assert await connection.fetchval("SELECT avow.forget_keys(100)") == 100
        assert await connection.fetchval(READ) <= 2 * 100
    await connection.close()


async def test_servers_that_forget_at_once_forget_each_key_once_and_wait_in_no_ring(
    admin: Connection, made: Database
) -> None:
    await admin.execute(f"ALTER DATABASE {made.name} SET deadlock_timeout = '30min'")
    await admin.execute(FILL, 2_000, KEY_RETENTION_DAYS)
    async with AsyncExitStack() as stack:
        pools = [await stack.enter_async_context(pooled(made)) for _ in range(4)]
        forgotten = await asyncio.gather(*(forget_keys(pool, rows_max=50) for pool in pools))
    assert sum(forgotten) == 2_000
    assert await admin.fetchval(LEFT) == 0


async def test_keys_that_are_used_again_while_they_are_forgotten_are_answered_or_new(
    made: Database, admin: Connection
) -> None:
    """Each command is replayed or executed once more, never twice more, and nobody gets an error."""
    async with (
        engine(theatre, made.application_url) as one,
        engine(theatre, made.application_url) as two,
        pooled(made) as pool,
    ):
        sent = [request("Hall", "found", None, {"name": str(n)}, key=str(n)) for n in range(KEYS)]
        assert tally(await one_by_one(one, sent)) == {"done": KEYS}
        await later(admin, KEY_RETENTION_DAYS + 0.01)
        forgotten, *again = await asyncio.gather(
            forget_keys(pool, rows_max=1), one_by_one(one, sent * ROUNDS), one_by_one(two, sent * ROUNDS)
        )
    replies = [reply for replies in again for reply in replies]
    assert tally(replies) == {"done": 2 * KEYS * ROUNDS}
    executed = sum(not reply.replayed for reply in replies)
    assert 0 < executed <= forgotten <= KEYS
    assert await admin.fetchval("SELECT count(*) FROM theatre.halls") == KEYS + executed
    assert await admin.fetchval("SELECT count(*) FROM avow.audit") == KEYS + executed
