"""The self-test: every known defect is planted in the engine, one after the other, and must be found.

On a small system of its own, so that each kind of rule is there; by the same phases, gates and oracle as in a
run. A run whose oracle misses one of them says that it can't be trusted.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

from avow.model.actor import Actor
from avow.model.place import Place
from avow.model.values import Subject
from avow.prove.act import TENANT, Act, Path, Ref
from avow.prove.conform import ACCEPTED, FOREIGN, REFUSED, Expected, conforms
from avow.prove.crash import crash, look_at, once
from avow.prove.databases import Databases, databases
from avow.prove.defect import Defect
from avow.prove.defects import DEFECTS
from avow.prove.finding import ALL, Finding, Line, PhaseReport, Tally, sampled
from avow.prove.oracle import Break
from avow.prove.orders import Orders
from avow.prove.outside import Exchange
from avow.prove.pairs import Pair
from avow.prove.phase import Bench, Budget
from avow.prove.race import run_race
from avow.prove.reference import reference
from avow.prove.rig import Rig
from avow.prove.schedule import Schedule

ADA: Final = Actor(Subject("Ada"), TENANT, frozenset({"clerk"}))
BEN: Final = Actor(Subject("Ben"), TENANT)

FOUND: Final = Act("command", "Hall", "found", 1, {"places": 1}, ADA)
SECOND: Final = Act("command", "Hall", "found", 2, {"places": 2, "partner": Ref("Hall", 1)}, ADA)
PAIRED: Final = Act("command", "Hall", "pair", 1, {"partner": Ref("Hall", 2)}, ADA)
HOLD: Final = Act("command", "Ticket", "hold", 1, {"hall": Ref("Hall", 1), "code": "a"}, BEN)
AGAIN: Final = replace(HOLD, record=2, input={"hall": Ref("Hall", 1), "code": "b"})
SAME: Final = replace(HOLD, record=2, input={"hall": Ref("Hall", 2), "code": "a"})
BUY: Final = Act("command", "Ticket", "buy", 1, {}, BEN)
CANCEL: Final = Act("command", "Ticket", "cancel", 1, {}, BEN)
LAPSE: Final = Act("time", "Ticket", "lapse", 1)
CHARGED: Final = Act("outcome", "Ticket", "charge.done", 1, {"result": "r-1"})
SEATED: Final = Act("outcome", "Ticket", "seat.done", 1)
UNSEATED: Final = Act("outcome", "Ticket", "seat.failed", 1, {"code": "full", "reason": "none is left"})
REFUNDED: Final = Act("outcome", "Ticket", "refund.done", 1)

HALL: Final[Path] = (FOUND,)
HALLS: Final[Path] = (FOUND, SECOND, PAIRED)
HELD: Final[Path] = (FOUND, HOLD)
BOUGHT: Final[Path] = (*HELD, BUY)

CLOSE: Final = replace(PAIRED, command="close", input={})
CLOSE_SECOND: Final = replace(SECOND, command="close", input={})
TOLD_OF: Final[Path] = (*BOUGHT, CHARGED, UNSEATED, REFUNDED)

PATHS: Final[tuple[Path, ...]] = (
    (*BOUGHT, CHARGED, SEATED), TOLD_OF, (*HELD, LAPSE), (*HALLS, CLOSE_SECOND),
)  # fmt: skip
"""Paths that take every kind of step once."""

REFUSALS: Final = (
    (HALL, replace(FOUND, record=2, input={"places": 2}, actor=BEN), "forbidden"),
    (HALL, CLOSE, "guard-failed"),
    (HELD, AGAIN, "invariant-violated"),
    ((*HALLS, HOLD), SAME, "unique-violated"),
    ((*HELD, LAPSE), BUY, "state-conflict"),
    ((*BOUGHT, CHARGED), BUY, "state-conflict"),
    ((*TOLD_OF, AGAIN), replace(BUY, record=2), "invariant-violated"),
)

RACES: Final = (
    Pair(HALL, (HOLD, HOLD), copies=True),
    Pair(HALLS, (CLOSE, CLOSE_SECOND)),
    Pair(HALL, (HOLD, AGAIN)),
    Pair((FOUND, SECOND), (HOLD, SAME)),
    Pair(HELD, (BUY, LAPSE)),
    Pair(HELD, (BUY, BUY)),
    Pair((*BOUGHT, CHARGED), (SEATED, CANCEL)),
)


class SelfTest:
    """The phase."""

    name, share, quick = "self-test", 3.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Plant every defect; the first one that isn't found is a finding about the run itself."""
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(databases(Bench(reference, bench.seed, bench.url)))
            tried = caught = 0
            missed = list[Defect]()
            for defect in _from_another(bench.seed):
                if budget.spent:
                    break
                found = await hunt(own, defect)
                tried += 1
                caught += found is not None
                if found is None:
                    missed.append(defect)
                budget.advance(left=len(DEFECTS) - tried)
        left = len(DEFECTS) - tried
        tally = Tally(
            "planted defect", tried, caught, tried - caught, sampled(f"{left} left") if left else ALL
        )
        bench.unfit += [f"a planted defect was not found: {defect.name}" for defect in missed]
        findings = [_missed(defect) for defect in missed]
        said = (f"{left} of {len(DEFECTS)} planted defects: the time was over.",) if left else ()
        return PhaseReport((tally,), tuple(findings), said)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """There is nothing to replay: it is about the run."""
        return None


def _from_another(seed: int) -> tuple[Defect, ...]:
    """All defects, begun with another one in each run: where the time is short, others are left out."""
    first = seed % len(DEFECTS)
    return (*DEFECTS[first:], *DEFECTS[:first])


@dataclass(frozen=True, slots=True)
class Caught:
    """How a defect was found. executions: how many it took."""

    phase: str
    broke: Break
    executions: int


async def hunt(on: Databases, defect: Defect, *, only: bool = False) -> Caught | None:
    """Look for one defect, first with the phase that is to find it; None: it isn't found.

    only: not with the others as well.
    """
    rig = await rig_with(on, defect)
    hunts = {"conform": _conform, "crash": _crash, "race": _race}
    order = [defect.by] * (defect.by in hunts) + [name for name in hunts if name != defect.by and not only]
    try:
        for name in order:
            async for found in hunts[name](rig):
                if found:
                    return Caught(name, found[0], rig.executions)
    finally:
        if rig.database is not await on.first():
            await rig.database.close()
    return None


async def rig_with(on: Databases, defect: Defect) -> Rig:
    """A database with a defect in it: one of its own, where the database is altered."""
    database = await (on.make() if defect.alters else on.first())
    await defect.alter(database.admin, reference)
    exchange = Exchange()
    return Rig(reference, exchange.connected(reference), database, exchange, USUAL, defect)


USUAL: Final = {"charge": "r-1", "seat": None, "refund": None}


async def _conform(on: Rig):
    for path in PATHS:
        for place in range(len(path)):
            yield await conforms(on, Expected(ACCEPTED, path[:place], path[place]))
    for path, act, code in REFUSALS:
        yield await conforms(on, Expected(REFUSED, path, act, code))
    stranger = replace(ADA, tenant="elsewhere")
    for path, act in ((HALL, PAIRED), (HELD, BUY), (HALL, HOLD)):
        yield await conforms(on, Expected(FOREIGN, path, replace(act, actor=stranger), "not-found"))


async def _crash(on: Rig):
    for path in (BOUGHT, PATHS[0], PATHS[2]):
        subject = await look_at(on, path[:-1], path[-1])
        if subject is None:
            yield [Break("P2 declared only", "An act that the kernel accepts is refused.", "")]
            continue
        for faults in once(subject):
            yield await crash(on, subject, faults)


async def _race(on: Rig):
    for pair in (*RACES, *(replace(pair, locks_first=True) for pair in RACES if not pair.copies)):
        orders = Orders()
        while orders.more:
            ran = await run_race(on, pair, orders.choose)
            orders.ran(ran.ops)
            yield ran.broken


def _missed(defect: Defect) -> Finding:
    said = f"A planted defect was not found: {defect.what}"
    why = "A run that misses what is known to be there can't be trusted on what isn't."
    return Finding(
        "self-test", f"defect: {defect.name}", said, Place(), Schedule(), (Line("then", said),), why
    )
