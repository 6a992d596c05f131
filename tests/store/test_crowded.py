"""What is slow, or down, or much, holds up nothing but itself."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from avow import Call, Entity, State, create, effect, everybody, read, system, transition
from avow.declare.effect import EffectWord
from avow.engine.execute import Engine, Request
from avow.engine.workers import worker as module
from avow.engine.workers.breaker import FAULTS_MAX, OPEN_S, Breaker
from avow.engine.workers.worker import KEPT_FREE, Worker
from avow.model.outcome import NotDone
from avow.model.system import System
from avow.store.pool import Pool
from tests.acceptance.polling import until
from tests.fix_database import MakeDatabase
from tests.store.payment import Outside, Receipt
from tests.store.shop import ACTOR, NOON, MakeShop


def _no_client(*_: Any) -> None:
    """The outside of these tests is in this process."""


async def test_calls_that_take_long_hold_up_no_time(
    shop: MakeShop, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAKEN_MAX", KEPT_FREE + 3)
    async with shop() as s:
        await s.at(NOON)
        answered = asyncio.Event()

        async def slow(_: Any) -> Receipt:
            await answered.wait()
            return Receipt("ch_1", 5)

        outside.answers = [slow] * 4
        for _ in range(4):
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


@dataclass
class Slow:
    """What stands in for three destinations that answer once they are let: how many calls each has."""

    answered: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    asked: Counter[str] = dataclasses.field(default_factory=Counter[str])

    def effect(self, name: str) -> EffectWord:
        async def call(errand: Any, call: Call) -> None:
            self.asked[name] += 1
            await self.answered.wait()

        call.__name__ = name
        return effect()(call)


def errands(outside: Slow) -> System:
    """The declaration."""
    one, two, three = (outside.effect(name) for name in ("one", "two", "three"))

    class Errand(Entity):
        """Something that is to be done at one of three places."""

        visible = read(by=everybody)
        at_one, at_two, at_three = (State(initial=True, invoke=e) for e in (one, two, three))
        done = State(final=True)
        to_one = create(at_one, by=everybody)
        to_two = create(at_two, by=everybody)
        to_three = create(at_three, by=everybody)
        one_done = transition(at_one, to=done, on=one.done)
        two_done = transition(at_two, to=done, on=two.done)
        three_done = transition(at_three, to=done, on=three.done)
        one_failed = transition(at_one, to=done, on=one.failed)
        two_failed = transition(at_two, to=done, on=two.failed)
        three_failed = transition(at_three, to=done, on=three.failed)

    return system("errands", Errand)


async def test_two_slow_destinations_hold_up_no_third_one_and_one_alone_has_most_places(
    database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 18 places one may have 16, and two 8 each; who comes last finds some."""
    monkeypatch.setattr(module, "TAKEN_MAX", KEPT_FREE + 18)
    outside = Slow()
    declared = errands(outside)
    made = database(declared)
    pool = Pool(made.application_url)
    engine = Engine(declared, pool, lambda problem, command_id: b"{}")
    worker = Worker(declared, engine, pool, made.application_url, _no_client)

    async def ask(command: str, count: int) -> None:
        for _ in range(count):
            await engine.execute(Request("Errand", command, None, {}, ACTOR, str(uuid4()), b"", "r"))

    async def begun(**asked: int) -> None:
        await worker._begin()  # pyright: ignore[reportPrivateUsage]

        async def are_asked() -> bool | None:
            return outside.asked == asked or None

        await until(are_asked, f"{asked} calls are under way")

    await ask("to_one", 17)
    await begun(one=16)
    await ask("to_two", 4)
    await begun(one=16, two=1)
    await ask("to_three", 1)
    await begun(one=16, two=1, three=1)
    outside.answered.set()
    await worker.step()  # what is under way
    while await worker.step():
        pass
    assert outside.asked == {"one": 17, "two": 4, "three": 1}
    await pool.close()
