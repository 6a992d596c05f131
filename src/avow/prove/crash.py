"""Crashes: the process of each act ends at each of its statements, in each way; then it is tried again.

Whoever gave a command sends it again under its key, or nobody does; what a worker had in hand is taken by
another one, whose process may end as well. Each time it must come to the same as without any of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from avow.model.effect import DONE
from avow.model.system import System
from avow.model.trigger import OnTime
from avow.prove.act import Act, Path, transitions_of
from avow.prove.campaign import Campaign
from avow.prove.execution import Told
from avow.prove.finding import Finding, PhaseReport, Point
from avow.prove.gates import MODES, Noting
from avow.prove.oracle import ATOMIC, Break
from avow.prove.phase import Bench, Budget
from avow.prove.rig import ALONE, DISTURBANCES, SERVER_CRASHED, SESSION_ENDED, UNANSWERED, Rig, Shape, rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.story import who
from avow.prove.tape import Tape
from avow.prove.telling import ACCEPTED, line_of_end, line_told, told_as

ATTEMPTS_TAKEN_MAX: Final = 3
"""How many attempts of one call an attack takes at most."""

ONCE, RETRIED_BY_NOBODY, TWICE = (
    "process ends at a statement, then again",
    "process ends at a statement, nobody asks again",
    "process ends, and the next one as well",
)
ON_THE_WIRE, SESSION, SERVER = (
    "connection fails on the wire, process lives on",
    "session of the server ends within a statement",
    "server crashes within a statement, and recovers",
)
FAULTS: Final = (ONCE, RETRIED_BY_NOBODY, TWICE, ON_THE_WIRE, SESSION, SERVER)
WIRE_KINDS: Final = ("wire-reply-lost", "cut-within", "cut-on-the-way", "stalled")
SERVER_CRASHES_MAX: Final = 4
"""How often a run lets its server crash."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An act after a path, as it is without faults: its statements, and what it comes to."""

    path: Path
    act: Act
    names: tuple[str, ...]
    before: Shape
    after: Shape
    told: Told

    @property
    def by_itself(self) -> bool:
        """Whether nobody has to ask again: a worker does."""
        return self.act.kind in ("outcome", "time")

    @property
    def named(self) -> tuple[str, ...]:
        """The statements that are our own: those that count on the wire."""
        return tuple(filter(None, self.names))

    def statement_of(self, fault: Fault) -> str:
        """The name of the statement at which something goes wrong."""
        names = self.named if fault.kind in DISTURBANCES else self.names
        return names[fault.at] if fault.at < len(names) else ""


class Crash:
    """The phase."""

    name, share, quick = "crash", 3.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """End every process everywhere, as far as the budget goes: first once, then twice."""
        return await Crashes(await bench.shared(rig), budget, bench.tape("crash")).run(bench)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        on = await bench.shared(rig)
        subject = await subject_of(on, schedule)
        found = [] if subject is None else await crash(on, subject, schedule.faults)
        return finding_of(on, schedule, found[0], subject) if subject and found else None


class Crashes:
    """One run of the phase."""

    def __init__(self, on: Rig, budget: Budget, tape: Tape) -> None:
        self._on, self._budget = on, budget
        self._campaign = Campaign(budget, self._broken, self._tell)
        self._subjects = dict[Path, Subject]()
        self._tried, self._broke = Counter[tuple[str, int, str]](), Counter[tuple[str, int, str]]()
        self._tape = tape

    async def run(self, bench: Bench) -> PhaseReport:
        with self._budget.only(0.6):
            subjects = await self._subjects_of(bench)
        with self._budget.only(0.5):
            for place in self._tape.shuffled(len(subjects)):
                await self._disturb(subjects[place], ON_THE_WIRE, WIRE_KINDS, 2)
                await self._disturb(subjects[place], SESSION, (SESSION_ENDED,), 1)
        if bench.alone:
            for place in self._tape.shuffled(len(subjects))[:SERVER_CRASHES_MAX]:
                await self._disturb(subjects[place], SERVER, (SERVER_CRASHED,), 1)
        with self._budget.only(0.5):
            for subject in subjects:
                await self._all_of(subject, RETRIED_BY_NOBODY, _left_alone(subject))
        for subject in subjects:
            await self._all_of(subject, TWICE, _twice(subject))
        said = _NOT_TRIED if bench.alone else (*_NOT_TRIED, _SERVER_NOT_CRASHED)
        return PhaseReport(
            self._campaign.tallies(FAULTS), tuple(self._campaign.findings), said, self._points()
        )

    async def _subjects_of(self, bench: Bench) -> list[Subject]:
        """The acts that there are; the process of each ends once, everywhere."""
        paths = [path for path in bench.coverage.transitions.values() if path]
        paths.sort(key=lambda path: not bench.touches(path[-1:]))
        subjects = list[Subject]()
        for path in paths:
            if self._budget.spent:
                for fault in FAULTS[:3]:
                    self._campaign.cut_short(fault)
                break
            if _comes_again(self._on.declared, path[-1]):
                continue
            subject = await look_at(self._on, path[:-1], path[-1])
            if subject is not None:
                subjects.append(subject)
                await self._all_of(subject, ONCE, once(subject))
        return subjects

    def _points(self) -> tuple[Point, ...]:
        return tuple(Point(*key, tried, self._broke[key]) for key, tried in self._tried.items())

    def _count(self, subject: Subject, faults: tuple[Fault, ...], broke: bool) -> None:
        """Count the statements at which processes ended."""
        where = f"{subject.act.entity}.{subject.act.command}"
        for fault in faults:
            if fault.kind in MODES and fault.at < len(subject.names):
                key = where, fault.at, subject.names[fault.at]
                self._tried[key] += 1
                self._broke[key] += broke

    async def _disturb(self, subject: Subject, fault: str, kinds: tuple[str, ...], count: int) -> None:
        """Try some of these faults at some of an act's statements, drawn; and at the last, which writes."""
        statements = len(subject.named)
        places = [statements - 1, *(self._tape.draw(statements) for _ in range(count - 1))]
        at = [Fault(kinds[self._tape.draw(len(kinds))], len(subject.path), place) for place in places]
        await self._all_of(subject, fault, iter([(one,) for one in at]))

    async def _all_of(self, subject: Subject, fault: str, faults: Iterator[tuple[Fault, ...]]) -> None:
        acts = (*subject.path, subject.act)
        self._subjects[acts] = subject
        for one in faults:
            if self._budget.spent:
                self._campaign.cut_short(fault)
                return
            found = await crash(self._on, subject, one)
            self._count(subject, one, bool(found))
            await self._campaign.note(fault, Schedule(acts, faults=one), found)

    async def _broken(self, schedule: Schedule) -> list[Break]:
        subject = await subject_of(self._on, schedule)
        if subject is None:
            return []
        self._subjects[schedule.acts] = subject
        return await crash(self._on, subject, schedule.faults)

    def _tell(self, schedule: Schedule, broke: Break) -> Finding:
        return finding_of(self._on, schedule, broke, self._subjects[schedule.acts])


def _comes_again(system: System, act: Act) -> bool:
    """Whether it is a time after which the same time is waited for anew: what recovers would be the next."""
    triggers = [transition.trigger for transition in transitions_of(system, act)]
    return any(isinstance(trigger, OnTime) and trigger.again for trigger in triggers)


async def look_at(on: Rig, path: Path, act: Act) -> Subject | None:
    """An act without faults; None where it isn't accepted, which is another phase's business."""
    await on.start(path)
    before = on.shape(await on.database.picture())
    noting = Noting()
    node = on.node(noting)
    told = await on.execution.carry_out(node, await on.execution.ready(act))
    await node.close()
    if not told.accepted:
        return None
    _, after = await on.judged()
    return Subject(path, act, tuple(noting.names), before, after, told)


async def crash(on: Rig, subject: Subject, faults: tuple[Fault, ...]) -> list[Break]:
    """End the processes of one act, and say what that broke."""
    await on.start(subject.path)
    await on.attack(subject.act, faults)
    found, shape = await on.judged()
    alone = any(fault.kind == ALONE for fault in faults)
    certain = _is_certain(on, subject.act)
    if certain and not found and shape != subject.after and not (alone and shape == subject.before):
        said = f"{subject.act.entity}.{subject.act.command} came to something else than without the crash."
        found.append(Break(ATOMIC, said, _difference(subject.after, shape)))
    return found


def _is_certain(on: Rig, act: Act) -> bool:
    """Whether it must come to the same again.

    Where a call can't be sent again under its key, or not often, nobody may know what became of it.
    """
    if act.kind != "outcome":
        return True
    effect = on.declared.entities[act.entity].effects[act.command.partition(".")[0]]
    return effect.keyed and (effect.retry.attempts is None or effect.retry.attempts > ATTEMPTS_TAKEN_MAX)


def _difference(wanted: Shape, shape: Shape) -> str:
    return "; ".join(
        f"expected {sorted(set(w) - set(s), key=repr)}, found {sorted(set(s) - set(w), key=repr)}"
        for w, s in zip(wanted, shape, strict=True)
        if w != s
    )


async def subject_of(on: Rig, schedule: Schedule) -> Subject | None:
    """The act of a schedule of this phase whose process ends; None where it is none, or isn't accepted."""
    place = schedule.faults[0].act if schedule.faults else -1
    if not 0 <= place < len(schedule.acts):
        return None
    return await look_at(on, schedule.acts[:place], schedule.acts[place])


def finding_of(on: Rig, schedule: Schedule, broke: Break, subject: Subject) -> Finding:
    """What broke, as a story."""
    act = subject.act
    lines = [line_told(on.declared, one, ACCEPTED) for one in subject.path]
    lines.append(line_told(on.declared, act, None, matters=True))
    lines += [
        line_of_end(act, fault.kind, subject.statement_of(fault))
        for fault in schedule.faults
        if fault.kind != ALONE
    ]
    if all(fault.kind != ALONE for fault in schedule.faults):
        lines.append(replace(line_told(on.declared, act, subject.told, matters=True), who=_again(act)))
    return told_as("crash", on.declared, schedule, broke, lines, about=act)


def _again(act: Act) -> str:
    return "another worker" if act.kind in ("outcome", "time") else f"{who(act)}, once more"


def once(subject: Subject) -> Iterator[tuple[Fault, ...]]:
    """Its process ends once, at each statement and in each way; or the answer of its call is lost."""
    place = len(subject.path)
    for at in range(len(subject.names)):
        for mode in MODES:
            yield (Fault(mode, place, at),)
    if subject.act.kind == "outcome" and subject.act.command.endswith(f".{DONE}"):
        yield (Fault(UNANSWERED, place),)


def _left_alone(subject: Subject) -> Iterator[tuple[Fault, ...]]:
    if not subject.by_itself:
        for (fault,) in once(subject):
            yield fault, Fault(ALONE, fault.act)


def _twice(subject: Subject) -> Iterator[tuple[Fault, ...]]:
    for (first,) in once(subject):
        for (second,) in once(subject):
            yield first, second


_NOT_TRIED = (
    "Ends of a process within a statement of the server: it is carried out or it isn't.",
    "Crashes in times that come again and again: the next one looks like the one that was cut off.",
)
_SERVER_NOT_CRASHED = "A crash of the server: it isn't of this run alone."
