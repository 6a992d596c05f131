"""Commands that share a transaction: cheaper together, and each as if it were alone."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from avow.engine.execute import Engine
from avow.prove.wire import WireFault, proxied
from avow.store import driver
from avow.store.driver import Connection
from avow.store.pool import STATEMENT_S_MAX, connect
from avow.store.sharing import ENOUGH
from tests.acceptance.polling import until
from tests.fix_database import Database
from tests.store.company import engine, request, tally
from tests.store.theatre import theatre
from tests.waiting import WAITS

TOGETHER = 24
IN_ONE = 2 * ENOUGH - 1
"""The most that go into one round trip when nothing is under way; of more, the half goes first."""
SOON_S = STATEMENT_S_MAX / 2
"""Long enough for a busy machine, and shorter than the server would wait for a lock."""


async def halls(runner: Engine, count: int, **given: Any) -> list[UUID]:
    replies = await asyncio.gather(
        *(runner.execute(request("Hall", "found", None, given)) for _ in range(count))
    )
    return [reply.record for reply in replies if reply.record is not None]


async def transactions(admin: Connection) -> int:
    return await admin.fetchval("SELECT count(DISTINCT tx) FROM avow.audit")


async def test_commands_that_are_ready_at_once_share_a_transaction(made: Database, admin: Connection) -> None:
    async with engine(theatre, made.application_url) as one:
        assert len(await halls(one, TOGETHER)) == TOGETHER
    assert await transactions(admin) <= 2


async def test_one_that_breaks_a_rule_is_refused_and_its_neighbours_are_executed(
    made: Database, admin: Connection
) -> None:
    """A rule that only the database sees: two tickets with one code, among others."""
    async with engine(theatre, made.application_url) as one:
        (hall,) = await halls(one, 1, places=100)
        codes = ["A1", "A1", *(f"B{n}" for n in range(TOGETHER))]
        held = await asyncio.gather(
            *(one.execute(request("Ticket", "reserve", None, {"hall": hall, "code": code})) for code in codes)
        )
        replies = await asyncio.gather(
            *(one.execute(request("Ticket", "pay", ticket.record, {})) for ticket in held)
        )
    assert tally(list(replies)) == {"done": TOGETHER + 1, "unique-violated Ticket.one_code": 1}
    assert await admin.fetchval("SELECT count(*) FROM theatre.tickets WHERE version = 2") == TOGETHER + 1
    assert await admin.fetchval("SELECT count(*) FROM avow.refusal") == 1


async def test_one_that_has_to_wait_for_a_lock_holds_nobody_back(made: Database, admin: Connection) -> None:
    """Somebody from outside holds one record; commands on others, ready in the same moment, go through."""
    async with engine(theatre, made.application_url) as one:
        held, *free = await halls(one, TOGETHER)
        holder = await connect(made.admin_url)
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM theatre.halls WHERE id = $1 FOR UPDATE", held)
        waiting = asyncio.create_task(one.execute(request("Hall", "sell_one", held, {})))
        async with asyncio.timeout(SOON_S):
            replies = await asyncio.gather(*(one.execute(request("Hall", "sell_one", h, {})) for h in free))
        assert tally(list(replies)) == {"done": TOGETHER - 1}
        assert not waiting.done()
        await holder.close()
        assert (await waiting).status == 200


async def test_many_stuck_on_one_record_leave_connections_to_others(
    made: Database, admin: Connection
) -> None:
    async with engine(theatre, made.application_url) as one:
        held, free = await halls(one, 2, places=1_000)
        holder = await connect(made.admin_url)
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM theatre.halls WHERE id = $1 FOR UPDATE", held)
        stuck = [asyncio.create_task(one.execute(request("Hall", "sell_one", held, {}))) for _ in range(50)]

        async def waits() -> bool:
            return await admin.fetchval(
                f"SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND {WAITS}"
            )

        await until(waits, "one of them waits in the database, the others before it")
        assert (await one.execute(request("Hall", "sell_one", free, {}))).status == 200
        await holder.close()
        assert tally(list(await asyncio.gather(*stuck))) == {"done": 50}


async def test_one_that_was_overtaken_is_decided_again_and_its_neighbours_are_committed(
    made: Database, admin: Connection
) -> None:
    """One engine's decisions meet another engine's: in the database each is made on what it rests on."""
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        places = await halls(one, 4, places=1_000)
        orders = [request("Hall", "sell_one", places[n % 4], {}) for n in range(96)]
        replies = await asyncio.gather(*((one, two)[n % 2].execute(o) for n, o in enumerate(orders)))
    assert tally(list(replies)) == {"done": 96}
    assert await admin.fetchval("SELECT array_agg(sold) FROM theatre.halls") == [24] * 4


@pytest.mark.parametrize("where", ["cut-on-the-way", "wire-reply-lost"])
async def test_a_lost_shared_commit_is_settled_for_each_by_its_key(
    made: Database, admin: Connection, where: WireFault
) -> None:
    async with proxied(made.application_url) as (wire, url), engine(theatre, url) as one:
        await halls(one, 1)
        wire.fail(where, of="commit")
        replies = await asyncio.gather(
            *(one.execute(request("Hall", "found", None, {"name": str(n)})) for n in range(IN_ONE))
        )
        assert wire.failed == 1
    assert tally(list(replies)) == {"done": IN_ONE}
    assert {reply.replayed for reply in replies} == ({True} if where == "wire-reply-lost" else {False})
    assert await admin.fetchval("SELECT count(*) FROM theatre.halls") == IN_ONE + 1


TWICE = (
    "SELECT avow.commit('main', ARRAY[$1, $1]::uuid[], '{f,f}', '{200,200}', '{a,b}', '{Hall,Hall}',"
    " ARRAY[NULL, NULL]::uuid[], ARRAY[NULL, NULL]::bigint[], ARRAY[NULL, NULL]::jsonb[],"
    " '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', true)"
)


async def test_two_commands_under_one_key_are_never_committed_together(
    made: Database, admin: Connection
) -> None:
    stolen = await connect(made.application_url)
    with pytest.raises(driver.DatabaseError, match="two commands have one key"):
        await stolen.execute(TWICE, UUID(int=7))
    await stolen.close()
    assert await admin.fetchval("SELECT count(*) FROM avow.idempotency") == 0
