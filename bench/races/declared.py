"""The races in a declaration: one line of the engine is taken out, and `avow prove` races the same acts."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from avow.prove.databases import Databases, databases
from avow.prove.defect import NONE, Defect
from avow.prove.defects import DEFECTS
from avow.prove.orders import Orders
from avow.prove.pairs import Pair
from avow.prove.phase import Bench
from avow.prove.race import run_race
from avow.prove.reference import reference
from avow.prove.selftest import AGAIN, CLOSE, CLOSE_SECOND, HALL, HALLS, HOLD, rig_with
from bench.races.result import Result

RACES: Final[Mapping[str, tuple[str, Pair]]] = {
    "double": ("key not checked", Pair(HALL, (HOLD, HOLD), copies=True)),
    "oversold": ("quota not counted", Pair(HALL, (HOLD, AGAIN))),
    "skew": ("stale version accepted", Pair(HALLS, (CLOSE, CLOSE_SECOND))),
}
"""By race: the defect that is planted for it, and the acts that meet it."""


@asynccontextmanager
async def prover(url: str) -> AsyncGenerator[Databases]:
    """The databases of a run on a server."""
    async with databases(Bench(reference, 1, url)) as made:
        yield made


async def run(on: Databases, race: str) -> Result:
    """One race, with its mistake and without."""
    name, pair = RACES[race]
    defect = next(one for one in DEFECTS if one.name == name)
    found, executions, seconds = await _race(on, defect, pair)
    mended = await _race(on, NONE, pair)
    return Result(race, "avow prove", found, executions, seconds, *mended)


async def _race(on: Databases, defect: Defect, pair: Pair) -> tuple[bool, int, float]:
    """Whether anything broke, after how many executions, and after how long."""
    rig, orders, executions = await rig_with(on, defect), Orders(), 0
    await run_race(rig, pair, Orders().choose)  # plans are made and connections open, as in the other tool
    began = time.perf_counter()
    while orders.more:
        ran = await run_race(rig, pair, orders.choose)
        orders.ran(ran.ops)
        executions += 1
        if ran.broken:
            return True, executions, time.perf_counter() - began
    return False, executions, time.perf_counter() - began
