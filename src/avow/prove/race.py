"""Races: acts that share something run at once, in every order in which their statements can follow.

Each runs in a process of its own that remembers nothing, so that they really meet in the database. Whatever
the order, it must have come to something that one after the other could have come to, as the kernel decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

from avow.prove.act import Act, is_creation
from avow.prove.campaign import Campaign
from avow.prove.execution import Done, work_name
from avow.prove.finding import EXHAUSTED, Finding, Line, PhaseReport, Tally, sampled
from avow.prove.lockstep import Choose, Lockstep, Op, run_at_once
from avow.prove.oracle import REPLAYABLE, Break
from avow.prove.orders import Drawn, Fixed, Orders
from avow.prove.pairs import Pair, pairs_of
from avow.prove.phase import Bench, Budget
from avow.prove.rig import Rig, Shape, rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.story import who
from avow.prove.telling import ACCEPTED, answer_of, line_told, step_told, told_as
from avow.store.trials import trial

ORDERS_MAX: Final = 60
"""How many orders of one pair are tried at most; one that has more is sampled."""
UNPRUNED: Final = 3
"""How many orders drawn by chance, with nothing left out, each pair is cross-checked against."""
EACH_OF_TRIPLE: Final = 6
COPIES: Final = "one-request-twice"
"""The fault of which both acts are one request, under one key."""

LOCKS_FIRST: Final = "locks-first"
"""The fault of which the engines lock before they look."""

PAIRS, TWICE, LOCKED, CHECKED, TRIPLES = (
    "two acts at once", "one request sent twice at once", "two at once that lock first",
    "two at once, any order", "three acts at once",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    """One execution of a race. whole: it wasn't cut short."""

    broken: list[Break]
    shape: Shape
    ops: tuple[Op, ...]
    order: tuple[int, ...]
    told: tuple[Done, ...]
    whole: bool


async def run_race(on: Rig, pair: Pair, choose: Choose) -> Ran:
    """Run acts at once, in a chosen order, and judge what that has left behind."""
    await on.start(pair.path)
    execution, admin = on.execution, on.database.admin
    dones = [await execution.ready(act) for act in pair.acts]
    if pair.copies:
        dones[1].request, dones[1].place = dones[0].request, dones[0].place
    works = [
        (act.entity, execution.id_of(act.ref), work_name(act))
        for act in pair.acts
        if act.kind in ("outcome", "time")
    ]
    if works:
        await trial.hold_but(admin, works)
    step = Lockstep(on.system, admin, len(dones))
    whole = await run_at_once(
        step,
        partial(on.node, locks_first=pair.locks_first),
        [partial(execution.take_turns, done=done) for done in dones],
        choose,
    )
    if works:
        await trial.let_go(admin)
    if not whole:
        return Ran([], (), tuple(step.ops), tuple(step.order), tuple(dones), whole)
    found, shape = await on.judged()
    found += _faults(step, dones)
    if pair.copies:
        found += _one_answer(dones)
    return Ran(found, shape, tuple(step.ops), tuple(step.order), tuple(dones), whole)


def _faults(step: Lockstep, dones: Sequence[Done]) -> Iterator[Break]:
    """Nothing but an answer may come of a command."""
    for place, done in enumerate(dones):
        where, error = f"{done.act.entity}.{done.act.command}", step.error(place)
        if error is not None:
            yield Break("P3 replayable", f"{where} ended with {type(error).__name__}.", str(error)[:200])
        elif done.told is not None and done.told.code in ("internal-error", "contention"):
            yield Break(
                "P3 replayable", f"{where} was answered {done.told.code}.", "Two at once are ordinary."
            )


def _one_answer(dones: Sequence[Done]) -> Iterator[Break]:
    one, other = dones[0].told, dones[1].told
    if one is None or other is None or one.code in ("not-found", "input-invalid"):
        return
    mine, other_s = (replace(told, replayed=False) for told in (one, other))
    if mine != other_s:
        where = f"{dones[0].act.entity}.{dones[0].act.command}"
        yield Break(REPLAYABLE, f"{where} was sent twice under one key, and answered in two ways.", _ONE_KEY)


_ONE_KEY = "Of two copies of a request, the second waits for the first and is answered the same."


class Race:
    """The phase."""

    name, share, quick = "race", 4.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Every pair in every order, the shortest paths first; then triples, by chance."""
        return await Races(await bench.shared(rig), bench, budget).run()

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Run one order again."""
        on = await bench.shared(rig)
        ran = await run_schedule(on, schedule)
        return None if ran is None or not ran.broken else finding_of(on, schedule, ran.broken[0], ran)


@dataclass(slots=True)
class _Pairs:
    """How many pairs were tried to the end, and how many weren't."""

    whole: int = 0
    short: int = 0


class Races:
    """One run of the phase."""

    def __init__(self, on: Rig, bench: Bench, budget: Budget) -> None:
        self.on, self.bench, self.budget = on, bench, budget
        self._campaign = Campaign(budget, self._broken, self._tell)
        self._pairs = dict[str, _Pairs]()
        self._ran = dict[Schedule, Ran]()

    async def run(self) -> PhaseReport:
        pairs = list(pairs_of(self.on.declared, self.bench.coverage))
        pairs.sort(key=lambda pair: not self.bench.touches(pair.acts))
        left = list[Pair]()
        with self.budget.only(0.7):
            for place, pair in enumerate(pairs):
                if self.budget.spent:
                    left = pairs[place:]
                    break
                await self._exhaust(pair, len(pairs) - place - 1)
        different = [pair for pair in pairs if not pair.copies]
        with self.budget.only(0.5):
            for pair in different:
                if all(act.kind == "command" for act in pair.acts) and not self.budget.spent:
                    await self._orders(LOCKED, replace(pair, locks_first=True), 0)
        with self.budget.only(0.7 if left else 1.0):
            await self._triples(different)
        while left and not self.budget.spent:
            await self._exhaust(left.pop(0), len(left))
        return PhaseReport(
            self._tallies(left), tuple(self._campaign.findings), (*_NOT_TRIED, *self._not_tried(left))
        )

    async def _orders(self, fault: str, pair: Pair, left: int) -> set[Shape] | None:
        """Every order that says anything new: what they come to; None where there was no time for all."""
        orders, shapes, tried = Orders(), set[Shape](), 0
        while orders.more and not self.budget.spent and tried < ORDERS_MAX:
            ran = await run_race(self.on, pair, orders.choose)
            orders.ran(ran.ops)
            tried += ran.whole
            shapes.add(_blurred(ran.shape))
            await self._note(fault, pair, ran, left)
        short = orders.more or orders.strayed > 0 or _is_of_workers(pair)
        count = self._pairs_of(fault)
        count.short += short
        count.whole += not short
        return None if short else shapes

    async def _exhaust(self, pair: Pair, left: int) -> None:
        """Every order of a pair that says anything new, then a few with nothing left out."""
        shapes = await self._orders(TWICE if pair.copies else PAIRS, pair, left)
        if shapes is None:
            return
        for turn in range(0 if pair.copies else UNPRUNED):
            if self.budget.spent:
                return
            drawn = Drawn(self.bench.tape(f"race/{pair.name}/{len(pair.path)}/{turn}"))
            ran = await run_race(self.on, pair, drawn.choose)
            if not ran.broken and _blurred(ran.shape) not in shapes:
                ran.broken.append(_unsound(pair))
            await self._note(CHECKED, pair, ran, left)

    async def _triples(self, pairs: Sequence[Pair]) -> None:
        """Pairs with a third act, in orders drawn by chance."""
        tape = self.bench.tape("race/triples")
        self._pairs_of(TRIPLES)
        while pairs and not self.budget.spent and self._campaign.tried[TRIPLES] < len(pairs) * EACH_OF_TRIPLE:
            pair = pairs[tape.draw(len(pairs))]
            third = pair.acts[tape.draw(2)]
            if is_creation(self.on.system, third):
                third = replace(third, record=max(act.record for act in pair.acts) + 1)
            triple = Pair(pair.path, (*pair.acts, third))
            await self._note(TRIPLES, triple, await run_race(self.on, triple, Drawn(tape).choose), 0)

    async def _note(self, fault: str, pair: Pair, ran: Ran, left: int) -> None:
        self._pairs_of(fault)
        if not ran.whole:
            return
        schedule = schedule_of(pair, ran.order)
        if ran.broken:
            self._ran[schedule] = ran
        await self._campaign.note(fault, schedule, ran.broken, left or None)

    async def _broken(self, schedule: Schedule) -> Sequence[Break]:
        ran = await run_schedule(self.on, schedule)
        if ran is None:
            return ()
        self._ran[schedule] = ran
        return ran.broken

    def _tell(self, schedule: Schedule, broke: Break) -> Finding:
        return finding_of(self.on, schedule, broke, self._ran[schedule])

    def _pairs_of(self, fault: str) -> _Pairs:
        return self._pairs.setdefault(fault, _Pairs())

    def _tallies(self, left: Sequence[Pair]) -> tuple[Tally, ...]:
        found = list[Tally]()
        for fault, count in self._pairs.items():
            reach = EXHAUSTED
            if fault == TRIPLES:
                reach = sampled("orders drawn by chance")
            elif fault == CHECKED:
                reach = sampled(f"{UNPRUNED} orders of each pair, nothing pruned")
            elif count.short or left:
                reach = sampled(f"{count.whole} exhausted")
            pairs = count.whole + count.short
            fault_ = f"{fault} ({pairs} pairs)" if pairs else fault
            tried, broke = self._campaign.tried[fault], self._campaign.broke[fault]
            found.append(Tally(fault_, tried, tried - broke, broke, reach))
        return tuple(found)

    def _not_tried(self, left: Sequence[Pair]) -> Iterator[str]:
        if left:
            named = ", ".join(islice(dict.fromkeys(pair.name for pair in left), 3))
            yield f"{len(left)} pairs at once, among them {named}: the time was over."


def _is_of_workers(pair: Pair) -> bool:
    """Whether workers do all of it: one of them may take several at once, in an order that nobody holds."""
    return all(act.kind in ("outcome", "time") for act in pair.acts)


def _blurred(shape: Shape) -> Shape:
    """What it has come to, whichever record was made first."""
    return tuple(tuple(sorted((str(one[0]).split()[0], *one[1:]) for one in part)) for part in shape)


def _unsound(pair: Pair) -> Break:
    said = f"{pair.name} came to something that no order with fewer switches came to."
    return Break("footprints", said, "What the statements touch is more than their footprints say.")


def schedule_of(pair: Pair, order: Sequence[int]) -> Schedule:
    """A race as a schedule."""
    acts = (*pair.path, *pair.acts)
    kinds = [COPIES] * pair.copies + [LOCKS_FIRST] * pair.locks_first
    faults = tuple(Fault(kind, len(pair.path)) for kind in kinds)
    return Schedule(acts, together=len(pair.acts), faults=faults, order=tuple(order))


async def run_schedule(on: Rig, schedule: Schedule) -> Ran | None:
    """Run a schedule of this phase; None where it is none."""
    count = schedule.together
    if count < 2 or count > len(schedule.acts):
        return None
    kinds = {fault.kind for fault in schedule.faults}
    pair = Pair(schedule.acts[:-count], schedule.acts[-count:], COPIES in kinds, LOCKS_FIRST in kinds)
    return await run_race(on, pair, Fixed(schedule.order).choose)


def finding_of(on: Rig, schedule: Schedule, broke: Break, ran: Ran) -> Finding:
    """What broke, as a story: who sends what, in which order."""
    acts, path = schedule.acts[-schedule.together :], schedule.acts[: -schedule.together]
    lines = [line_told(on.declared, act, ACCEPTED) for act in path]
    last = {op.lane: place for place, op in enumerate(ran.ops)}
    for place, op in enumerate(ran.ops):
        act = acts[op.lane]
        told = ran.told[op.lane].told
        ends = place == last[op.lane] and told is not None
        answer = answer_of(told) if ends else ""
        lines.append(
            Line(
                _lane_name(act, op.lane),
                step_told(act.command, op.name),
                answer,
                op.name == "commit",
                str(act.ref),
            )
        )
    return told_as("race", on.declared, schedule, broke, lines, about=acts[0])


def _lane_name(act: Act, lane: int) -> str:
    return f"{who(act)} {'ABCDEFG'[lane]}"


_NOT_TRIED = (
    "Races within a statement of the server.",
    "The order of what one worker does at once: of two times or calls, not every order is held.",
    "Commands that share a process: records that an engine remembers, and round trips that it shares.",
)
