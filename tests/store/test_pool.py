"""The pool of connections: bounded, and whole again after whatever happens to a borrower or to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from avow.errors import EnvironmentFault, ProblemError
from avow.store import driver, faults
from avow.store import pool as pools
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.reads import Reads
from tests.acceptance.polling import until
from tests.fix_database import Database
from tests.store.company import engine, request
from tests.store.theatre import theatre
from tests.waiting import WAITS

OURS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'avow'"
    " AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def small(made: Database) -> AsyncIterator[Pool]:
    """Two connections."""
    pool = Pool(made.application_url, 2)
    yield pool
    await pool.close()


async def borrowed(pool: Pool, sql: str) -> object:
    async with pool.borrow() as connection:
        return await connection.fetchval(sql)


async def test_no_more_connections_are_made_than_the_pool_may_have(small: Pool, admin: Connection) -> None:
    pids = await asyncio.gather(*(borrowed(small, "SELECT pg_backend_pid()") for _ in range(50)))
    assert len(set(pids)) <= 2
    assert await admin.fetchval(f"SELECT count(*) {OURS}") == len(set(pids))


async def test_whoever_would_wait_too_long_or_behind_too_many_is_told_that_it_is_busy(
    small: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "WAIT_S_MAX", 0.05)
    async with small.borrow(), small.borrow():
        with pytest.raises(ProblemError, match="busy for too long"):
            await borrowed(small, "SELECT 1")
        monkeypatch.setattr(pools, "WAITING_MAX", 0)
        with pytest.raises(ProblemError, match="Too many"):
            await borrowed(small, "SELECT 1")
    monkeypatch.undo()
    assert await borrowed(small, "SELECT 1") == 1


async def test_a_closed_pool_lends_nothing(small: Pool) -> None:
    await small.close()
    with pytest.raises(ProblemError, match="ending"):
        await borrowed(small, "SELECT 1")


async def test_a_cancelled_request_leaves_no_connection_and_no_transaction_behind(
    made: Database, small: Pool, admin: Connection
) -> None:
    """Cancelled while it waits for a lock in the middle of its commit, or for a connection."""
    async with engine(theatre, made.application_url, size=2) as one:
        halls = [(await one.execute(request("Hall", "found", None, {}))).record for _ in range(2)]
        hall = halls[0]
        holder = await connect(made.admin_url)
        await holder.execute("BEGIN; SELECT FROM theatre.halls FOR UPDATE")
        running = [
            asyncio.create_task(one.execute(request("Hall", "sell_one", h, {})))
            for h in halls
            for _ in range(3)
        ]

        async def two_wait() -> bool:
            return await admin.fetchval(f"SELECT count(*) {OURS} AND {WAITS}") == 2

        await until(two_wait, "both connections wait for the lock")
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        assert {type(end) for end in ended} == {asyncio.CancelledError}
        await holder.close()
        assert (await one.execute(request("Hall", "sell_one", hall, {}))).status == 200

        async def none_open() -> bool:
            return await admin.fetchval(f"SELECT count(*) {OURS} AND state <> 'idle'") == 0

        await until(none_open, "no transaction is open")
        assert await admin.fetchval(f"SELECT count(*) {OURS}") <= 3


async def test_a_connection_that_was_lost_is_replaced(small: Pool, admin: Connection) -> None:
    pids = {await borrowed(small, "SELECT pg_backend_pid()")}
    await admin.execute(f"SELECT pg_terminate_backend(pid) {OURS}")

    async def gone() -> bool:
        return await admin.fetchval(f"SELECT count(*) {OURS}") == 0

    await until(gone, "the backend has ended")
    with pytest.raises((*driver.Lost, AssertionError)):
        # Whoever comes first may still meet the dead connection; nobody after that does.
        assert await borrowed(small, "SELECT pg_backend_pid()") in pids
    assert await borrowed(small, "SELECT pg_backend_pid()") not in pids


async def test_a_statement_is_ended_by_the_server_and_answered_with_a_deadline(
    made: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays usable, and no lock is held any longer."""
    monkeypatch.setitem(pools._BOUNDED, "statement_timeout", "400ms")  # pyright: ignore[reportPrivateUsage]
    holder = await connect(made.admin_url)
    async with engine(theatre, made.application_url, size=1) as one:
        hall = (await one.execute(request("Hall", "found", None, {}))).record
        await holder.execute("BEGIN; SELECT FROM theatre.halls FOR UPDATE")
        with pytest.raises(driver.Canceled) as error:
            await one.execute(request("Hall", "sell_one", hall, {}))
        fault = faults.fault_of(error.value)
        assert fault is not None
        assert (fault.problem.code, fault.problem.status) == ("deadline-exceeded", 504)
        await holder.close()
        assert (await one.execute(request("Hall", "sell_one", hall, {}))).status == 200


async def test_a_borrower_that_fails_in_a_transaction_does_not_pass_it_on(small: Pool) -> None:
    async def fail() -> None:
        async with small.borrow() as connection:
            await connection.execute("BEGIN")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with small.borrow() as connection:
        assert not connection.is_in_transaction()


async def test_no_setting_is_left_on_a_connection(made: Database) -> None:
    """The next borrower sees no tenant's rows unless it names one."""
    pool = Pool(made.application_url, 1)
    async with engine(theatre, made.application_url) as one:
        await one.execute(request("Hall", "found", None, {}))
    reads = Reads(theatre, pool)
    await reads.entries("main", "Hall", (await _any_hall(made)))
    assert await borrowed(pool, "SELECT count(*) FROM theatre.halls") == 0
    assert await borrowed(pool, "SELECT nullif(current_setting('avow.tenant', true), '')") is None
    await pool.close()


async def _any_hall(made: Database) -> UUID:
    connection = await connect(made.admin_url)
    try:
        return await connection.fetchval("SELECT id FROM theatre.halls")
    finally:
        await connection.close()


async def test_a_database_that_is_away_is_said_to_be_unavailable(made: Database) -> None:
    pool = Pool(made.application_url.replace("theatre_test:", "nobody_at_all:"), 1)
    with pytest.raises(ProblemError) as error:
        await borrowed(pool, "SELECT 1")
    assert error.value.problem.code == "database-unavailable"
    with pytest.raises(EnvironmentFault) as fault:
        await connect("postgresql://a:b@127.0.0.1:1/x")
    assert fault.value.code == "database-unreachable"
