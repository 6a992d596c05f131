"""A campaign: schedules are tried one after the other, counted by fault, and what broke is kept, shrunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final

from avow.prove.finding import ALL, Finding, Tally, sampled
from avow.prove.oracle import Break
from avow.prove.phase import Budget
from avow.prove.schedule import Schedule
from avow.prove.shrink import shrink

SHRINKS_MAX: Final = 60
FINDINGS_MAX: Final = 20
OF_A_PROMISE_MAX: Final = 2
"""How many findings of one promise are shrunk and told; the rest is counted."""


class Campaign:
    """Tries schedules within a budget, or takes note of what others have tried.

    run: what a schedule breaks. tell: a schedule and what it broke, as a finding.
    tried, broke: how many executions of each fault there were, and in how many something broke.
    """

    def __init__(
        self,
        budget: Budget,
        run: Callable[[Schedule], Awaitable[Sequence[Break]]],
        tell: Callable[[Schedule, Break], Finding],
    ) -> None:
        self.budget, self._run, self._tell = budget, run, tell
        self.tried, self.broke = Counter[str](), Counter[str]()
        self._cut_short, self._shrunk = set[str](), Counter[str]()
        self.findings = list[Finding]()

    async def attempt(self, fault: str, schedule: Schedule) -> None:
        """Try a schedule, unless the budget is spent."""
        if self.budget.spent:
            self.cut_short(fault)
            return
        await self.note(fault, schedule, await self._run(schedule))

    async def note(
        self, fault: str, schedule: Schedule, broken: Sequence[Break], left: int | None = None
    ) -> None:
        """Take note of an execution. left: how much is still to be tried, where that is known."""
        self.tried[fault] += 1
        self.budget.advance(left=left)
        if broken:
            self.broke[fault] += 1
            await self.report(schedule, broken[0])

    def cut_short(self, fault: str) -> None:
        """Take note that not all of a fault could be tried."""
        self._cut_short.add(fault)

    async def report(self, schedule: Schedule, broke: Break) -> None:
        """Shrink what broke, and tell it; of each promise the first few that differ in more than values."""
        if self._shrunk[broke.promise] >= OF_A_PROMISE_MAX or len(self.findings) >= FINDINGS_MAX:
            return
        self._shrunk[broke.promise] += 1

        async def fails(smaller: Schedule) -> bool:
            if self.budget.spent:
                return False
            return any(one.promise == broke.promise for one in await self._run(smaller))

        finding = self._tell(await shrink(schedule, fails, SHRINKS_MAX), broke)
        if all(_said_by(finding) != _said_by(other) for other in self.findings):
            self.findings.append(finding)

    def tallies(self, faults: Sequence[str]) -> tuple[Tally, ...]:
        """A row for each of these faults of which anything was tried, or should have been."""
        return tuple(self._tally(fault) for fault in faults if self.tried[fault] or fault in self._cut_short)

    def _tally(self, fault: str) -> Tally:
        tried, broke = self.tried[fault], self.broke[fault]
        reach = sampled("the time was over") if fault in self._cut_short else ALL
        return Tally(fault, tried, tried - broke, broke, reach)


def _said_by(finding: Finding) -> Hashable:
    """What a finding says, whatever values are given in it."""
    acts = [(act.kind, act.entity, act.command, act.record) for act in finding.schedule.acts]
    faults = [(fault.kind, fault.act, fault.at) for fault in finding.schedule.faults]
    return finding.promise, finding.sentence, finding.place, *acts, *faults, *finding.schedule.order
