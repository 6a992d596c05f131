"""What is slow, or down, or much, holds up nothing but itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from avow.engine import worker as module
from avow.engine.breaker import FAULTS_MAX, OPEN_S, Breaker
from avow.engine.worker import KEPT_FREE, Worker
from avow.model.outcome import NotDone
from tests.acceptance.polling import until
from tests.store.payment import Outside, Receipt
from tests.store.shop import NOON, MakeShop


def _no_client(*_: Any) -> None:
    """The outside of these tests is in this process."""


async def test_calls_that_take_long_hold_up_no_time(
    shop: MakeShop, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAKEN_MAX", KEPT_FREE + 2)
    async with shop() as s:
        await s.at(NOON)
        answered = asyncio.Event()

        async def slow(_: Any) -> Receipt:
            await answered.wait()
            return Receipt("ch_1", 5)

        outside.answers = [slow] * 3
        for _ in range(3):
            await s.capturing()
        waiting = (await s.do("authorize", amount=5, expires=NOON + timedelta(hours=1))).record
        step = asyncio.create_task(s.worker.step())

        async def both_asked() -> bool | None:
            return len(outside.asked) == 2 or None

        await until(both_asked, "there are as many calls as there may be")
        await s.at(NOON + timedelta(hours=1))
        assert await s.worker._begin() == 1  # pyright: ignore[reportPrivateUsage]

        async def lapsed() -> bool | None:
            return (await s.row(waiting))["state"] == "lapsed" or None

        await until(lapsed, "the time has come")
        assert len(outside.asked) == 2
        answered.set()
        await step


async def test_much_to_one_destination_leaves_the_others_their_turn(
    shop: MakeShop, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAKEN_MAX", KEPT_FREE + 1)
    async with shop() as s:
        await s.at(NOON)
        outside.answers = [Receipt("ch_1", 5)] * 3
        for _ in range(3):
            await s.capturing()
        waiting = (await s.do("authorize", amount=5, expires=NOON)).record
        for _ in range(2):
            assert await s.worker.step() == 1
        assert (await s.row(waiting))["state"] == "lapsed"
        assert len(outside.asked) == 1


async def test_a_destination_that_was_left_alone_is_tried_with_one_call(
    shop: MakeShop, outside: Outside
) -> None:
    """While that fails there are no more, and once it is answered there are all."""
    now = [0.0]
    async with shop() as s:
        breaker = Breaker(lambda: now[0])
        worker = Worker(s.system, s.engine, s.pool, s.url, _no_client, breaker=breaker)
        for _ in range(4):
            await s.capturing()
        for _ in range(FAULTS_MAX):
            breaker.note("capture", failed=True)
        assert await worker.step() == 0
        outside.answers = [NotDone("refused"), *[Receipt("ch_1", 5)] * 4]
        for begun in (1, 0):
            now[0] += OPEN_S
            assert await worker.step() == begun
            assert len(outside.asked) == 1
        now[0] += OPEN_S
        await s.admin.execute("UPDATE avow.work SET ready_at = now() WHERE destination = 'capture'")
        assert [await worker.step() for _ in range(3)] == [1, 3, 0]
