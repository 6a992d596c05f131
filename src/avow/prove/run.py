"""A run: through all phases within one budget, or one schedule again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from avow.errors import AvowError
from avow.prove.finding import Finding, PhaseReport
from avow.prove.phase import Bench, Budget, Phase, Progress, silent
from avow.prove.promises import declared_promises

_log = logging.getLogger(__name__)

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
    """

    system: str
    fingerprint: str
    seed: int
    budget_s: float
    took_s: float
    phases: tuple[tuple[str, PhaseReport], ...]
    postgresql: str = ""
    unfit: tuple[str, ...] = ()

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
) -> Report:
    """Go through the phases; each gets its share of what is left of the budget.

    A phase that finds that the run can't be trusted says so in `bench.unfit`. until_broken: the first phase
    in which something broke is the last.
    """
    started = clock()
    reports = list[tuple[str, PhaseReport]]()
    async with bench.stack:
        for place, phase in enumerate(chosen):
            shares = sum(other.share for other in chosen[place:])
            left = max(seconds - (clock() - started), 0.0)
            budget = Budget(left * phase.share / shares if shares else left, phase.name, progress, clock)
            report = await _tried(phase, bench, budget)
            known = {finding.promise for _, one in reports for finding in one.findings}
            if until_broken and report.findings and place + 1 < len(chosen):
                left_out = ", ".join(other.name for other in chosen[place + 1 :])
                said = f"{left_out}: a quick run ends where something broke"
                report = replace(report, not_tried=(*report.not_tried, said))
            reports.append((phase.name, _told_once(report, bench, known)))
            if until_broken and report.findings:
                break
    system, took_s = bench.system, clock() - started
    return Report(
        system.name, system.fingerprint.hex(), bench.seed, seconds, took_s, tuple(reports), bench.postgresql,
        tuple(bench.unfit),
    )  # fmt: skip


async def _tried(phase: Phase, bench: Bench, budget: Budget) -> PhaseReport:
    """What a phase says. One that fails itself takes nothing from what the others have found."""
    try:
        return await phase.run(bench, budget)
    except AvowError as error:
        bench.unfit.append(f"{phase.name} couldn't be run: {error}")
    except Exception as error:  # noqa: BLE001 - the prover's own mistake says nothing about the application
        _log.exception("%s failed", phase.name)
        bench.unfit.append(f"{phase.name} failed with {type(error).__name__}: {error}")
    return PhaseReport(not_tried=(f"all of {phase.name}: it ended before its time",))


def _told_once(report: PhaseReport, bench: Bench, known: set[str]) -> PhaseReport:
    """What a phase has found, without what an earlier one has told, and each promise of the owner's once."""
    own, found = declared_promises(bench.system), list[Finding]()
    for finding in report.findings:
        if finding.promise in known:
            continue
        if finding.promise in own:
            known.add(finding.promise)
        found.append(replace(finding, seed=bench.seed))
    return replace(report, findings=tuple(found))
