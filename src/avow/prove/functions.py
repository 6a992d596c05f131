"""Functions: the owner's own, over real HTTP to a simulated provider, while the wire fails them.

What a function sends twice under two keys, holds for done though nothing arrived, or for refused though it
was carried out, is found here: no declaration says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, product
from typing import Final, cast

from avow.model.system import System
from avow.prove.act import Path
from avow.prove.calls import (
    is_minded,
    judge_demands,
    judge_functions,
    judge_holds,
    judge_keys,
    judge_noes,
    judge_undone,
)
from avow.prove.campaign import Campaign
from avow.prove.databases import databases
from avow.prove.explore.called import can_be_done
from avow.prove.explore.compose import twice
from avow.prove.explore.path import end_of
from avow.prove.finding import Finding, Line, PhaseReport
from avow.prove.oracle import Break
from avow.prove.outside import Exchange
from avow.prove.phase import Bench, Budget
from avow.prove.private import overhearing
from avow.prove.rig import Rig, Shape
from avow.prove.schedule import Fault, Schedule
from avow.prove.seam import NOES, WIRE_FAULTS, Seam, WireFault, simulator
from avow.prove.telling import ACCEPTED, line_told, told_as
from avow.store.trials.picture import Picture

FAULT: Final = "the wire fails an owner's function"
BETWEEN: Final = 3
"""So many of the faults that no function has met yet are tried after each way that records go."""
_SAID: Final[dict[WireFault, str]] = {
    "refused": "refuses it",
    "reply-lost": "does it, and the reply is lost",
    "cut-before-work": "is cut off before anything is done",
    "server-error": "answers with 503",
    "sent-twice": "gets the same request twice",
    "not-reached": "can't be reached",
    "refused-unseen": "refuses it, and the reply is lost",
    "never-arrives": "is never reached, and nobody is told",
    "long-silence": "does it, and answers nothing until it is looked up",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """A rig whose calls run the owner's functions, and the seam that they pass.

    usual: what each way that records go comes to where nothing goes wrong, and what is carried out on it.
    """

    on: Rig
    seam: Seam
    usual: dict[Path, tuple[Shape, frozenset[str]]] = field(
        default_factory=dict[Path, tuple[Shape, frozenset[str]]]
    )


@asynccontextmanager
async def ground(bench: Bench) -> AsyncGenerator[Ground]:
    """The ground of a run: `await bench.shared(ground)`."""
    made, exchange = await bench.shared(databases), Exchange()
    async with simulator() as simulated:
        seam = Seam(simulated, exchange)
        with overhearing(bench.system) as heard:
            system, database = seam.connected(bench.system), await made.first()
            on = Rig(bench.system, system, database, exchange, {}, http=seam.open, heard=heard)
            yield Ground(on, seam)
        await seam.aclose()


class Functions:
    """The phase."""

    name, share, quick = "functions", 2.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Fail the wire in each attempt of each call, in each way."""
        if not any(entity.effects for entity in bench.system.entities.values()):
            return PhaseReport()
        grounds = await bench.shared(ground)
        done = set[str]()

        async def run(schedule: Schedule) -> list[Break]:
            broken = await run_schedule(grounds, schedule)
            done.update(m.effect.name for m in grounds.seam.calls.values() if m.ended == "done")
            return broken

        campaign = Campaign(budget, run, partial(finding_of, bench.system))
        waiting, met = _Waiting(), set[str]()
        for root in roots_of(bench):
            if any((act.entity, act.command) in grounds.seam.untold for act in root):
                continue
            await campaign.attempt(FAULT, Schedule(root))
            asked = {name for name, _ in grounds.seam.asked}
            waiting.put(_failing(grounds, root), asked)
            if asked - met:
                met |= asked
                continue  # at first each function is asked once, with nothing going wrong
            for schedule in waiting.take(BETWEEN):
                await campaign.attempt(FAULT, schedule)
        for schedule in waiting.take():
            await campaign.attempt(FAULT, schedule)
        not_tried = tuple(_not_tried(bench, grounds.seam, done))
        return PhaseReport(campaign.tallies((FAULT,)), tuple(campaign.findings), not_tried)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        on = await bench.shared(ground)
        broken = await run_schedule(on, schedule)
        return finding_of(bench.system, schedule, broken[0]) if broken else None


def _failing(grounds: Ground, root: Path) -> list[Schedule]:
    """What may go wrong with what was asked in the run before, in which nothing did. Only what is carried out
    then is also refused.
    """
    _, carried = grounds.usual.get(root, ((), frozenset[str]()))
    return [
        Schedule(root, faults=(Fault(f"{kind}:{effect}", len(root) - 1, number),))
        for kind, (effect, number) in product(WIRE_FAULTS, tuple(grounds.seam.asked))
        if kind not in NOES or (effect in carried and is_minded(grounds.on.declared, effect))
    ]


class _Waiting:
    """Schedules that are to be tried: first what has gone wrong with no function yet, by turns the most
    telling one, and one that goes wrong as the fewest have.
    """

    def __init__(self) -> None:
        self._new, self._left = dict[tuple[str, frozenset[str]], Schedule](), list[Schedule]()
        self._known, self._often = set[tuple[str, frozenset[str]]](), Counter[str]()

    def put(self, schedules: Iterable[Schedule], asked: Set[str]) -> None:
        """Put schedules with one fault each, of a way on which these functions are asked. A no is new on each
        other way: it is another one back.
        """
        for schedule in schedules:
            kind = schedule.faults[0].kind
            fault = kind, frozenset(asked) if _what(kind) == "refused" else frozenset[str]()
            if fault in self._known:
                self._left.append(schedule)
            else:
                self._known.add(fault)
                self._new[fault] = schedule

    def take(self, most: int | None = None) -> Iterator[Schedule]:
        """So many of those that are new; None: all there are, and then the others."""
        for _ in range(len(self._new) if most is None else min(most, len(self._new))):
            often = self._often if self._often.total() % 2 else Counter[str]()
            fault = min(self._new, key=lambda one: (often[_what(one[0])], WIRE_FAULTS.index(_what(one[0]))))
            self._often[_what(fault[0])] += 1
            yield self._new.pop(fault)
        if most is None:
            yield from self._left


def _what(kind: str) -> WireFault:
    """What goes wrong, of the kind of a fault, which also names the effect."""
    return cast("WireFault", kind.partition(":")[0])


def _not_tried(bench: Bench, seam: Seam, done: set[str]) -> Iterator[str]:
    declared = [e for entity in bench.system.entities.values() for e in entity.effects.values()]
    for effect in declared:
        if said := seam.odd.get(effect.name):
            yield f"What follows on {effect.name} ({effect.place}), which nothing disturbs: {said}."
    every = {effect.name for effect in declared}
    if never := ", ".join(sorted(every - done)):
        yield f"What these functions make of an answer: the provider never did what they ask: {never}."
    if unoffered := ", ".join(sorted(seam.unoffered)):
        yield f"What follows on the real provider's answer: the simulated one offers nothing: {unoffered}."
    if elsewhere := ", ".join(sorted(seam.elsewhere)):
        yield f"Calls to addresses that no destination names: {elsewhere}."


def roots_of(bench: Bench) -> list[Path]:
    """Where runs begin: what people do, with calls in between that are done. By turns one after each command,
    of these first what differs in what functions name, and the shortest; after the first turn the same for
    two records. Before all of them a few that ask every function.
    """
    found = dict[Path, frozenset[str]]()
    coverage = bench.coverage
    others = (coverage.states.values(), coverage.transitions.values(), coverage.ends)
    for path in (*sorted(coverage.calls, key=len), *sorted(chain(*others), key=len)):
        if not all(map(can_be_done, path)):
            continue
        while path and path[-1].kind == "outcome":
            path = path[:-1]
        if asked := _asked(bench.system, path):
            found[path] = asked
    turns, places = Counter[tuple[str, str]](), dict[Path, int]()
    for path in found:
        after = path[-1].entity, path[-1].command
        places[path] = turns[after]
        turns[after] += 1
    roots = sorted(found, key=lambda path: (places[path], len(path)))
    several = [twice(bench.system, path) for path in roots if not places[path]]
    known, first = set[str](), list[Path]()
    for path in sorted(found, key=len):
        if found[path] - known:
            known |= found[path]
            first.append(path)
    return list(dict.fromkeys([*first, *(path for path in roots if not places[path]), *several, *roots]))


def _asked(system: System, path: Path) -> frozenset[str]:
    """What is asked of the outside on a path, and when it has come to its end."""
    asked = {act.command.partition(".")[0] for act in path if act.kind == "outcome"}
    if (end := end_of(system, path)) is not None:
        asked |= {name for (_, name), wait in end.waiting.items() if wait.destination}
    return frozenset(asked)


async def run_schedule(grounds: Ground, schedule: Schedule) -> list[Break]:
    """Do what a schedule says, then all that follows by itself: what broke.

    It begins from nothing each time, here and at the provider: it remembers every key that it has seen, and
    whatever is one's only, such as a login.
    """
    noes = any(fault.kind.partition(":")[0] in NOES for fault in schedule.faults)
    if noes and schedule.acts not in grounds.usual:
        await run_schedule(grounds, replace(schedule, faults=()))
    on, seam = grounds.on, grounds.seam
    await seam.start()
    on.heard.lines.clear()
    await on.execution.start(None, on.usual)
    for fault in schedule.faults:
        kind, _, effect = fault.kind.partition(":")
        seam.faults[effect, fault.at] = cast("WireFault", kind)
    for act in schedule.acts:
        if act.kind == "event" and not await seam.settle(str(on.execution.id_of(act.ref)), act.command):
            seam.untold.add((act.entity, act.command))
            return []
        await on.perform(act)
    picture = await on.end()
    return [*_judged(grounds, schedule, picture), *on.judge_end(picture)]


def _judged(grounds: Ground, schedule: Schedule, picture: Picture) -> Iterator[Break]:
    """What functions have done wrong in a run that has come to its end."""
    declared, calls, shape = grounds.on.declared, grounds.seam.calls, grounds.on.shape(picture)
    if schedule.faults:
        usually, carried = grounds.usual.get(schedule.acts, ((), frozenset[str]()))
        yield from judge_noes(declared, calls.values(), carried if usually == shape else frozenset())
    else:
        carried = {made.effect.name for made in calls.values() if any(one.carried for one in made.sent)}
        grounds.usual[schedule.acts] = shape, frozenset(carried)
        yield from judge_demands(declared, calls)
    yield from judge_functions(calls)
    yield from judge_keys(calls.values())
    yield from judge_undone(calls)
    yield from judge_holds(declared, grounds.seam.holds.values(), calls.values(), picture)


def finding_of(system: System, schedule: Schedule, broke: Break) -> Finding:
    """What broke, as a story."""
    lines = [line_told(system, act, ACCEPTED) for act in schedule.acts]
    for fault in schedule.faults:
        kind, _, effect = fault.kind.partition(":")
        often = f" (attempt {fault.at + 1})" if fault.at else ""
        lines.append(Line("the provider", f"{_SAID[cast('WireFault', kind)]}{often}", "", True, effect))
    return told_as("functions", system, schedule, broke, lines)
