"""Escape: bodies that look beyond what they are given.

A body decides on its record, its input, the actor and the time that it is handed. One that opens a file or a
connection, starts a process, reads the machine's clock or draws by chance decides something else each time,
and nothing that rests on deciding again is true of it: replay, `why`, and the rest of this run.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

from avow.model.entity import Transition
from avow.model.system import System
from avow.prove.act import Path, transitions_of
from avow.prove.explore.situation import Happened, Outcome, Situation, happen
from avow.prove.finding import ALL, Finding, PhaseReport, Tally
from avow.prove.oracle import DECLARED, Break
from avow.prove.phase import Bench, Budget
from avow.prove.schedule import Schedule
from avow.prove.telling import ACCEPTED, line_told, told_as

REACHES, CHANGES = "a body reaches outside", "a body is asked again"
AGAIN: Final = 8
"""How often a body is asked the same again: one that draws among few gives itself away late."""
OUTSIDE: Final = (
    "open", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove",
    "os.rename", "os.mkdir", "os.listdir", "os.scandir", "os.putenv", "shutil.", "urllib.", "http.client.",
    "sqlite3.", "ctypes.", "webbrowser.",
)  # fmt: skip
"""What the interpreter tells its audit hooks of, that a body has no business with."""


class _Watch:
    """Notes what the interpreter tells of, while it is on. A hook can never be taken out, so there is one."""

    def __init__(self) -> None:
        self._on = self._installed = False
        self._seen = dict[str, None]()

    @contextmanager
    def watching(self) -> Generator[dict[str, None]]:
        """What was reached for inside the block, by the interpreter's names for it."""
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._hear)
        self._seen = dict[str, None]()
        self._on = True
        try:
            yield self._seen
        finally:
            self._on = False

    def _hear(self, event: str, _: tuple[object, ...]) -> None:
        if self._on and event.startswith(OUTSIDE):
            self._seen[event] = None


_WATCH = _Watch()


class Escape:
    """The phase."""

    name, share, quick = "escape", 0.5, True

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Run each body several times, and watch what it reaches for."""
        tried, broke, findings = 0, Counter[str](), list[Finding]()
        for (entity, name), path in bench.coverage.transitions.items():
            transition = bench.system.entities[entity].transitions[name]
            if not path or transition.body is None or budget.spent:
                continue
            tried += 1
            budget.advance()
            for fault, found in attempt(bench, path, transition):
                broke[fault] += 1
                findings.append(finding_of(bench.system, Schedule(path), found))
        tallies = (Tally(f, tried, tried - broke[f], broke[f], ALL) for f in (REACHES, CHANGES))
        return PhaseReport(tuple(tallies) if tried else (), tuple(findings), _NOT_TRIED if tried else ())

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        if not schedule.acts:
            return None
        for transition in transitions_of(bench.system, schedule.acts[-1]):
            for _, found in attempt(bench, schedule.acts, transition):
                return finding_of(bench.system, schedule, found)
        return None


def attempt(bench: Bench, path: Path, transition: Transition) -> Iterator[tuple[str, Break]]:
    """Run the body of a path's last act several times: which faults that shows."""
    situation = Situation()
    for act in path[:-1]:
        outcome = happen(bench.system, situation, act)
        if not isinstance(outcome, Happened):
            return
        situation = outcome.after
    last = path[-1]
    where = f"{last.entity}.{transition.name}"
    with _WATCH.watching() as seen:
        first = happen(bench.system, situation, last)
    again = [_told(happen(bench.system, situation, last)) for _ in range(AGAIN)]
    if seen:
        said = f"{where} reaches outside: {', '.join(seen)}."
        yield REACHES, Break(DECLARED, said, _PURE, transition.place)
    if any(told != _told(first) for told in again):
        said = f"{where} came to something else when it was asked again."
        yield CHANGES, Break(DECLARED, said, _PURE, transition.place)


def _told(outcome: Outcome) -> object:
    """What two runs of a body have in common, if nothing but its input decides."""
    if isinstance(outcome, Happened):
        return [(step.after.state, repr(step.after.values)) for step in outcome.steps]
    return repr(outcome)


_PURE = "A body decides on its record, its input, `self.actor` and `self.now`; a call goes into an effect."
_NOT_TRIED = ("What a body does only on inputs between the boundary values.",)


def finding_of(system: System, schedule: Schedule, broke: Break) -> Finding:
    """What broke, as a story."""
    lines = [line_told(system, act, ACCEPTED, matters=act is schedule.acts[-1]) for act in schedule.acts]
    return told_as("escape", system, schedule, broke, lines)
