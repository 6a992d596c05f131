"""Turns: one at a time for each name, in the order of coming, and none is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from avow.engine.turns import WAITING_MAX, Turns
from avow.errors import ProblemError
from tests.acceptance.polling import settled


async def _use(turns: Turns, names: list[str], label: str, log: list[str], gate: asyncio.Event) -> None:
    async with turns.of(names):
        log.append(label)
        await gate.wait()


async def test_one_name_is_had_by_one_in_the_order_they_came() -> None:
    turns, log = Turns(), list[str]()
    gates = [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.create_task(_use(turns, ["seat"], str(n), log, gate)) for n, gate in enumerate(gates)]
    for n, gate in enumerate(gates):
        await settled()
        assert log == [str(m) for m in range(n + 1)]
        gate.set()
    await asyncio.gather(*tasks)
    assert not turns._waiting, "nothing is kept of a turn that nobody has"  # pyright: ignore[reportPrivateUsage]


async def test_other_names_do_not_wait() -> None:
    turns, log, gate = Turns(), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(_use(turns, [name], name, log, gate)) for name in ("a", "b")]
    await settled()
    assert log == ["a", "b"]
    gate.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("given", [False, True])
async def test_a_cancelled_wait_passes_its_turn_on(given: bool) -> None:
    """Also when the turn was given to it in the same moment; and what it had already is given back."""
    turns, log = Turns(), list[str]()
    first, rest = asyncio.Event(), asyncio.Event()
    rest.set()
    holder = asyncio.create_task(_use(turns, ["b"], "holder", log, first))
    await settled()
    waiter = asyncio.create_task(_use(turns, ["a", "b"], "waiter", log, rest))
    await settled()
    if given:
        first.set()
        await asyncio.wait([holder])
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    first.set()
    await holder
    await asyncio.wait_for(_use(turns, ["a", "b"], "next", log, rest), 1)
    assert log[0] == "holder"
    assert log[-1] == "next"


async def test_too_many_are_refused() -> None:
    turns, log, gate = Turns(), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(_use(turns, ["seat"], str(n), log, gate)) for n in range(WAITING_MAX + 2)]
    await settled()
    with pytest.raises(ProblemError, match="busy"):
        await tasks[-1]
    gate.set()
    await asyncio.gather(*tasks[:-1])
    assert len(log) == WAITING_MAX + 1
