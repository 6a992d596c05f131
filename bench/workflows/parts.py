"""The parts of the benchmark by name. Each of a pair is measured in turn, with nobody else running."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from bench.speed.contender import Contender, alternate, rate
from bench.speed.run import Pace
from bench.workflows.contest import SAGAS, TIMERS, rival
from bench.workflows.idle import idle
from bench.workflows.rounds import Rounds
from bench.workflows.stage import Surroundings
from bench.workflows.waiting import commit_to_call

PEERS = ("dbos", "restate", "procrastinate")

Part = Callable[[Surroundings, Pace], Awaitable[dict[str, Any]]]


async def against(around: Surroundings, pace: Pace, sort: str, name: str) -> dict[str, Any]:
    """Avow and a peer at the same job."""
    async with rival(around, "avow") as ours, rival(around, name) as theirs:
        pair = await alternate(
            Contender(f"Avow, {sort}", Rounds(around, ours, sort).run),
            Contender(f"{name}, {sort}", Rounds(around, theirs, sort).run),
            pace.rounds, pace.seconds, pace.warm_up_s,
        )  # fmt: skip
    return pair.described(rate)


PARTS: Mapping[str, Part] = {
    **{
        f"{sort}_vs_{name}": partial(against, sort=sort, name=name)
        for sort in (SAGAS, TIMERS)
        for name in PEERS
    },
    "commit_to_call": partial(commit_to_call, who="avow"),
    "commit_to_call_apart": partial(commit_to_call, who="avow_apart"),
    "idle": idle,
}
