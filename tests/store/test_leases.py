"""Leases are held from a thread of their own, and not for ever."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from threading import Thread

from avow.engine.workers.leases import Leases
from avow.store.pool import connect
from avow.store.queue import Queue, Work
from tests.acceptance.polling import PATIENCE_S, until
from tests.store.shop import NOON, MakeShop, Shop

LATER = NOON + timedelta(seconds=10)
ENDS = "SELECT ready_at FROM avow.work WHERE work = $1"


async def test_a_lease_is_held_while_the_event_loop_stands_still(shop: MakeShop) -> None:
    async with shop() as s:
        (taken,) = await _taken(s, 1)
        leases = Leases(s.url, every_s=0.02)
        leases.start()
        leases.hold(taken, 2 * PATIENCE_S)
        watching = Thread(target=lambda: asyncio.run(_until_held(s.url, taken)))
        watching.start()
        watching.join(PATIENCE_S)
        leases.stop()
        assert await s.admin.fetchval(ENDS, taken.work) == LATER + timedelta(seconds=15)


async def test_what_never_ends_is_held_no_longer_than_its_deadline(shop: MakeShop) -> None:
    """Nor what was let go; another worker takes them over."""
    async with shop() as s:
        stuck, ended, going = await _taken(s, 3)
        leases = Leases(s.url, every_s=0.02)
        leases.hold(stuck, 0.0)
        leases.hold(ended, 2 * PATIENCE_S)
        leases.hold(going, 2 * PATIENCE_S)
        leases.let_go(ended)
        leases.start()
        await _until_held(s.url, going)
        leases.stop()
        left = [await s.admin.fetchval(ENDS, one.work) for one in (stuck, ended)]
        assert left == [NOON + timedelta(seconds=15)] * 2


async def _taken(s: Shop, count: int) -> list[Work]:
    """So many calls, taken at noon and looked at ten seconds later."""
    await s.at(NOON)
    for _ in range(count):
        await s.capturing()
    taken = await Queue(s.system, s.pool).take(["capture"], 15.0, count)
    await s.at(LATER)
    return taken


async def _until_held(url: str, work: Work) -> None:
    connection = await connect(url)
    await connection.fetchval("SELECT set_config('avow.tenant', 'main', false)")

    async def held() -> bool:
        ends: datetime = await connection.fetchval(ENDS, work.work)
        return ends > NOON + timedelta(seconds=15)

    try:
        await until(held, "the lease is held for longer")
    finally:
        await connection.close()
