"""A run: through all phases within one budget, or one schedule again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from avow.prove.finding import Finding, PhaseReport
from avow.prove.lanes import Source, lanes_for, side_by_side
from avow.prove.phase import Bench, Phase, Progress, silent
from avow.prove.promises import declared_promises
from avow.prove.turns import Said, in_turn

LEADING: Final = ("lint", "model", "escape")
"""The phases that come before all others: they need no server, and the others rest on what they find."""
ABOUT_THE_RUN: Final = ("protocols", "self-test")
"""The phases that say whether the run can be trusted, and nothing of the application."""
QUICK_S: Final = 20.0
DEFAULT_S: Final = 120.0
DEEP_S: Final = 1_800.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has come to.

    phases: what each phase said, by its name, in the order of the run. took_s: how long it took.
    unfit:  why the run can't be trusted, or couldn't be made; empty where it can.
    moved:  the names of what a change has moved, which was attacked first; None: nobody asked.
    """

    system: str
    fingerprint: str
    seed: int
    budget_s: float
    took_s: float
    phases: tuple[tuple[str, PhaseReport], ...]
    postgresql: str = ""
    unfit: tuple[str, ...] = ()
    moved: tuple[str, ...] | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that broke."""
        return tuple(finding for _, report in self.phases for finding in report.findings)

    @property
    def tried(self) -> int:
        """How many executions there were."""
        return sum(tally.tried for _, report in self.phases for tally in report.tallies)

    @property
    def held(self) -> bool | None:
        """Whether all of it held within the bounds; None: there is no verdict."""
        about_it = [(phase, one) for phase, one in self.phases if phase not in ABOUT_THE_RUN]
        if any(one.findings or any(tally.broke for tally in one.tallies) for _, one in about_it):
            return False
        return None if self.unfit or not self.tried else True


async def run(
    bench: Bench,
    chosen: Sequence[Phase],
    seconds: float,
    *,
    until_broken: bool = False,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
    beside: Source | None = None,
) -> Report:
    """Go through the phases within one budget.

    until_broken: the first phase in which something broke is the last. beside: where other processes load
    the system from, so that phases which rest on the model alone run side by side; None: all run here.
    """
    started = clock()
    first = [phase for phase in chosen if phase.name in LEADING]
    rest = [phase for phase in chosen if phase.name not in LEADING]
    lanes = 1 if until_broken or beside is None else lanes_for(rest, seconds)
    async with bench.stack:
        if lanes == 1 or beside is None:
            said = await in_turn(bench, chosen, seconds, progress, until_broken=until_broken, clock=clock)
        else:
            after = sum(phase.share for phase in rest) / lanes
            said = await in_turn(bench, first, seconds, progress, after=after, clock=clock)
            left = max(seconds - (clock() - started), 0.0)
            said += await side_by_side(bench, beside, rest, lanes, left, progress)
    system, took_s = bench.system, clock() - started
    return Report(
        system.name, system.fingerprint.hex(), bench.seed, seconds, took_s, _told_once(said, chosen, bench),
        bench.postgresql, tuple(bench.unfit), None if bench.touched is None else tuple(sorted(bench.touched)),
    )  # fmt: skip


def _told_once(said: Sequence[Said], chosen: Sequence[Phase], bench: Bench) -> tuple[Said, ...]:
    """What was said, in the order of the phases, without what an earlier one has told, and each promise of
    the owner's once."""
    order = [phase.name for phase in chosen]
    own, known = declared_promises(bench.system), set[str]()
    told = list[Said]()
    for name, report in sorted(said, key=lambda one: order.index(one[0])):
        found = list[Finding]()
        before = set(known)
        for finding in report.findings:
            if finding.promise not in (known if finding.promise in own else before):
                known.add(finding.promise)
                found.append(replace(finding, seed=bench.seed))
        told.append((name, replace(report, findings=tuple(found))))
    return tuple(told)
