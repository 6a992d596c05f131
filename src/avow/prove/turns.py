"""Phases one after the other, within one budget."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from avow.errors import AvowError
from avow.prove.finding import PhaseReport
from avow.prove.phase import Bench, Budget, Phase, Progress

_log = logging.getLogger(__name__)

Said: TypeAlias = tuple[str, PhaseReport]
"""A phase's name, and what it has to say."""


async def in_turn(
    bench: Bench,
    phases: Sequence[Phase],
    seconds: float,
    progress: Progress,
    *,
    after: float = 0.0,
    until_broken: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[Said]:
    """Go through phases; each gets its share of what is left of so many seconds.

    A phase that finds that the run can't be trusted says so in `bench.unfit`. after: the share of what
    follows these phases, and is left for it. until_broken: the first in which something broke is the last.
    """
    started = clock()
    said = list[Said]()
    for place, phase in enumerate(phases):
        shares = sum(other.share for other in phases[place:]) + after
        left = max(seconds - (clock() - started), 0.0)
        budget = Budget(left * phase.share / shares if shares else left, phase.name, progress, clock)
        report = await _tried(phase, bench, budget)
        ends = until_broken and bool(report.findings)
        if ends and place + 1 < len(phases):
            left_out = ", ".join(other.name for other in phases[place + 1 :])
            told = f"{left_out}: a quick run ends where something broke"
            report = replace(report, not_tried=(*report.not_tried, told))
        said.append((phase.name, report))
        if ends:
            break
    return said


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
