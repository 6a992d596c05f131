"""Who is measured, and how two of them are measured in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.speed.figures import Spread, ratios, spread
from bench.speed.sample import Sample

Figure = Callable[[Sample], float]


@dataclass(frozen=True)
class Contender:
    """One that can be measured for a number of seconds."""

    name: str
    run: Callable[[int], Awaitable[Sample]]


@dataclass(frozen=True)
class Pair:
    """Two that were measured alternately."""

    ours: str
    theirs: str
    our_rounds: Sequence[Sample]
    their_rounds: Sequence[Sample]

    def ratio(self, figure: Figure) -> Spread:
        """Ours over theirs, round by round."""
        return ratios([figure(s) for s in self.our_rounds], [figure(s) for s in self.their_rounds])

    def described(self, figure: Figure) -> dict[str, Any]:
        """As the result file has it: the ratio first."""
        return {
            "ratio": self.ratio(figure).described(3),
            "ours": self.ours,
            "theirs": self.theirs,
            "our_figure": spread([figure(s) for s in self.our_rounds]).described(),
            "their_figure": spread([figure(s) for s in self.their_rounds]).described(),
            "our_rounds": [s.described() for s in self.our_rounds],
            "their_rounds": [s.described() for s in self.their_rounds],
        }


async def alternate(ours: Contender, theirs: Contender, rounds: int, seconds: int, warm_up_s: int) -> Pair:
    """Warm both up, then A B A B: whatever slows the machine for a while slows both."""
    await ours.run(warm_up_s)
    await theirs.run(warm_up_s)
    ours_found, theirs_found = list[Sample](), list[Sample]()
    for _ in range(rounds):
        ours_found.append(await ours.run(seconds))
        theirs_found.append(await theirs.run(seconds))
    return Pair(ours.name, theirs.name, ours_found, theirs_found)


def rate(sample: Sample) -> float:
    """Commands in a second."""
    return sample.rate


def p50(sample: Sample) -> float:
    """Milliseconds that half of the commands take at most."""
    assert sample.p50_ms is not None
    return sample.p50_ms


def p99(sample: Sample) -> float:
    """Milliseconds that 99 of 100 commands take at most."""
    assert sample.p99_ms is not None
    return sample.p99_ms
