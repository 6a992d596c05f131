"""Functions: the owner's own, over real HTTP to a simulated provider, while the wire fails them.

What a function sends twice under two keys, holds for done though nothing arrived, or for refused though it
was carried out, is found here: no declaration says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from typing import Final, cast

from avow.model.effect import FAILED
from avow.model.system import System
from avow.model.trigger import OnOutcome
from avow.prove.act import Path
from avow.prove.campaign import Campaign
from avow.prove.databases import databases
from avow.prove.explore.called import can_be_done
from avow.prove.finding import Finding, Line, PhaseReport
from avow.prove.oracle import EFFECTS, Break
from avow.prove.outside import Exchange
from avow.prove.phase import Bench, Budget
from avow.prove.private import overhearing
from avow.prove.rig import Rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.seam import WIRE_FAULTS, Hold, Made, Seam, WireFault, simulator
from avow.prove.telling import ACCEPTED, line_told, told_as
from avow.store.picture import Picture

FAULT: Final = "the wire fails an owner's function"
_SAID: Final[dict[WireFault, str]] = {
    "refused": "refuses it",
    "reply-lost": "does it, and the reply is lost",
    "cut-before-work": "is cut off before anything is done",
    "server-error": "answers with 503",
    "sent-twice": "gets the same request twice",
    "not-reached": "can't be reached",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """A rig whose calls run the owner's functions, and the seam that they pass."""

    on: Rig
    seam: Seam


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
        left, known = list[Schedule](), set[str]()
        for root in roots_of(bench):
            if any((act.entity, act.command) in grounds.seam.untold for act in root):
                continue
            await campaign.attempt(FAULT, Schedule(root))
            for schedule in _failing(grounds, root):
                kind = schedule.faults[0].kind
                if kind in known:
                    left.append(schedule)  # what nothing has shown yet comes first
                    continue
                known.add(kind)
                await campaign.attempt(FAULT, schedule)
        for schedule in left:
            await campaign.attempt(FAULT, schedule)
        not_tried = tuple(_not_tried(bench, grounds.seam, done))
        return PhaseReport(campaign.tallies((FAULT,)), tuple(campaign.findings), not_tried)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        on = await bench.shared(ground)
        broken = await run_schedule(on, schedule)
        return finding_of(bench.system, schedule, broken[0]) if broken else None


def _failing(grounds: Ground, root: Path) -> list[Schedule]:
    """What may go wrong with what was asked in the run before, in which nothing did."""
    refusable = _refusable(grounds.on.declared)
    return [
        Schedule(root, faults=(Fault(f"{kind}:{effect}", len(root) - 1, number),))
        for kind, (effect, number) in product(WIRE_FAULTS, tuple(grounds.seam.asked))
        if kind != "refused" or effect in refusable
    ]


def _refusable(system: System) -> set[str]:
    """The effects of which it is declared what a definite no leads to."""
    transitions = (t for entity in system.entities.values() for t in entity.transitions.values())
    triggers = (t.trigger for t in transitions if isinstance(t.trigger, OnOutcome))
    return {trigger.effect for trigger in triggers if trigger.outcome == FAILED}


def _not_tried(bench: Bench, seam: Seam, done: set[str]) -> Iterator[str]:
    every = {name for entity in bench.system.entities.values() for name in entity.effects}
    if never := ", ".join(sorted(every - done)):
        yield f"What these functions make of an answer: the provider never did what they ask: {never}."
    if elsewhere := ", ".join(sorted(seam.elsewhere)):
        yield f"Calls to addresses that no destination names: {elsewhere}."


def roots_of(bench: Bench) -> list[Path]:
    """Where runs begin: what people do, with calls in between that are done. By turns one after each command,
    of these first what differs in what functions name, and the shortest.
    """
    found = dict[Path, None]()
    coverage = bench.coverage
    others = (coverage.states.values(), coverage.transitions.values(), coverage.ends)
    for path in (*sorted(coverage.calls, key=len), *sorted(chain(*others), key=len)):
        if not all(map(can_be_done, path)):
            continue
        while path and path[-1].kind == "outcome":
            path = path[:-1]
        if any(bench.system.entities[act.entity].effects for act in path):
            found[path] = None
    turns, places = Counter[tuple[str, str]](), dict[Path, int]()
    for path in found:
        after = path[-1].entity, path[-1].command
        places[path] = turns[after]
        turns[after] += 1
    return sorted(found, key=lambda path: (places[path], len(path)))


async def run_schedule(grounds: Ground, schedule: Schedule) -> list[Break]:
    """Do what a schedule says, then all that follows by itself: what broke.

    It begins from nothing each time, as the provider remembers every key that it has seen.
    """
    on, seam = grounds.on, grounds.seam
    seam.start()
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
    found = [
        *judge_functions(seam.calls),
        *judge_holds(on.declared, seam.holds.values(), seam.calls.values(), picture),
        *on.judge_end(picture),
    ]
    return found if schedule.faults else [*judge_demands(seam.calls, _refusable(on.declared)), *found]


def judge_functions(calls: dict[str, Made]) -> Iterator[Break]:
    """What functions did is done once, and is what they say of it."""
    for made in calls.values():
        name, place = made.effect.name, made.effect.place
        often = Counter((one.method, one.path, one.digest) for one in made.sent if one.carried)
        if any(count > 1 for count in often.values()):
            keys = len({one.key for one in made.sent if one.carried})
            said = f"{name} did the same {max(often.values())} times for one call, under {keys} keys."
            yield Break(EFFECTS, said, "Every attempt of a call has to send `call.key`.", place)
        carried = any(one.carried for one in made.sent)
        if made.ended == "declined" and carried and not any(one.answered for one in made.sent):
            said = f"{name} was carried out, and its function said that it certainly wasn't."
            yield Break(EFFECTS, said, "Declined is a definite no of the other side.", place)
        if made.ended == "done" and made.sent and not any(o.carried or o.answered for o in made.sent):
            said = f"{name} says that it was done, and nothing of it has arrived."
            yield Break(EFFECTS, said, "What isn't an answer is no result.", place)


OUT_OF_BOUNDS: Final = frozenset({"above_authorized", "above_captured"})
"""The codes with which a provider refuses more than it has of somebody."""
ABOUT_ANOTHER: Final = frozenset({"not_found", "wrong_status"})
"""The codes with which it refuses what is about another thing than the one that is meant."""


def judge_demands(calls: dict[str, Made], refusable: Set[str]) -> Iterator[Break]:
    """Where nothing goes wrong, no function asks for more than the other side has of what was done before, or
    for something else than that. refusable: the effects of which it is declared what a definite no leads to.
    """
    for made in calls.values():
        owed = made.ended != "done" and made.effect.name not in refusable
        for code, said in dict.fromkeys(one.refused for one in made.sent):
            if code in OUT_OF_BOUNDS or (owed and code in ABOUT_ANOTHER):
                name = made.effect.name
                told = f"{name} asks for what the provider refuses, with nothing going wrong: {said}"
                why = "What it asks for isn't what an earlier call has told the provider of this record."
                yield Break(EFFECTS, told, why, made.effect.place)


def judge_holds(
    system: System, holds: Iterable[Hold], calls: Iterable[Made], picture: Picture
) -> Iterator[Break]:
    """Of a record that has ended no money is held any more: it was taken, or let go; and no pieces are set
    aside where one of its calls was refused, and nothing was paid or sent.
    """
    refused = {str(made.work.id) for made in calls if made.ended == "declined"}
    for hold in holds:
        for (_, kind, record), live in picture.rows.items():
            entity = system.entities.get(kind)
            ended = entity is not None and entity.states[live.state].final
            if record == hold.reference and ended and (hold.of == "money" or record in refused):
                told = (
                    f"One {kind} is {live.state}, and {_HELD[hold.of].format(hold.amount)} that "
                    f"{hold.effect.name} has asked for: nothing has taken them or let them go."
                )
                yield Break(EFFECTS, told, "Whatever holds something has to be undone.", hold.effect.place)


_HELD: Final = {
    "money": "the provider still holds the {}",
    "pieces": "still set aside are the {} pieces",
}


def finding_of(system: System, schedule: Schedule, broke: Break) -> Finding:
    """What broke, as a story."""
    lines = [line_told(system, act, ACCEPTED) for act in schedule.acts]
    for fault in schedule.faults:
        kind, _, effect = fault.kind.partition(":")
        often = f" (attempt {fault.at + 1})" if fault.at else ""
        lines.append(Line("the provider", f"{_SAID[cast('WireFault', kind)]}{often}", "", True, effect))
    return told_as("functions", system, schedule, broke, lines)
