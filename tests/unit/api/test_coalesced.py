"""Many requests for one row are one read, and nobody is answered from before their request."""

from __future__ import annotations

import asyncio

from anyio import wait_all_tasks_blocked

from avow.api.coalesced import Coalesced


class Store:
    """A row that changes; reads wait until they are let go."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.gate = asyncio.Event()

    async def read(self, _key: str) -> int:
        self.reads += 1
        seen = self.value
        await self.gate.wait()
        return seen


async def test_requests_at_once_are_one_read() -> None:
    store = Store()
    rows = Coalesced(store.read)
    waiting = [asyncio.create_task(rows.read("k")) for _ in range(50)]
    await wait_all_tasks_blocked()
    store.gate.set()
    assert await asyncio.gather(*waiting) == [0] * 50
    assert store.reads == 1
    assert vars(rows)["_under_way"] == vars(rows)["_next"] == {}


async def test_a_request_is_never_answered_from_before_it_came() -> None:
    """It waits for the read under way and for one more, which it shares with all that come meanwhile."""
    store = Store()
    rows = Coalesced(store.read)
    early = asyncio.create_task(rows.read("k"))
    await wait_all_tasks_blocked()
    store.value = 1
    late = [asyncio.create_task(rows.read("k")) for _ in range(50)]
    await wait_all_tasks_blocked()
    assert store.reads == 1, "at most one read of a row is under way"
    store.gate.set()
    assert await early == 0
    assert await asyncio.gather(*late) == [1] * 50
    assert store.reads == 2


async def test_rows_do_not_wait_for_each_other() -> None:
    store = Store()
    rows = Coalesced(store.read)
    waiting = [asyncio.create_task(rows.read(key)) for key in "abc"]
    await wait_all_tasks_blocked()
    assert store.reads == 3
    store.gate.set()
    await asyncio.gather(*waiting)


async def test_a_request_that_gives_up_takes_nobody_along() -> None:
    store = Store()
    rows = Coalesced(store.read)
    first, second = asyncio.create_task(rows.read("k")), asyncio.create_task(rows.read("k"))
    await wait_all_tasks_blocked()
    first.cancel()
    store.gate.set()
    assert await second == 0


async def test_a_failure_is_everybodys_and_is_over_then() -> None:
    broken = True

    async def read(_key: str) -> int:
        if broken:
            raise OSError("gone")
        return 1

    rows = Coalesced(read)
    results = await asyncio.gather(rows.read("k"), rows.read("k"), return_exceptions=True)
    assert all(isinstance(result, OSError) for result in results)
    broken = False
    assert await rows.read("k") == 1
