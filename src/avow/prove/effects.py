"""Effects: the outside misbehaves in each call, and people interfere while one is under way.

From each state that waits for a call, everything is done that follows by itself, with one thing going wrong,
then with two. In the end each run is done, undone, or waits for a person; what was carried out outside is
known to its record; and nothing was carried out twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product, zip_longest
from typing import Final, cast

from avow.kernel.plan import plans_of
from avow.prove.act import Act, Path
from avow.prove.campaign import Campaign
from avow.prove.finding import Finding, Line, PhaseReport
from avow.prove.oracle import Break
from avow.prove.outside import CALL_FAULTS, Attempt, CallFault, Moment
from avow.prove.phase import Bench, Budget
from avow.prove.replay import commands_of
from avow.prove.rig import Rig, rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.story import line_of
from avow.prove.telling import ACCEPTED, line_told, told_as
from avow.store.trials import trial
from avow.store.trials.picture import Picture

MOMENTS: Final[tuple[Moment, ...]] = ("arrival", "reply")

ONE, OVERTAKEN, MEANWHILE, TWO = (
    "a call goes wrong",
    "a worker is taken for dead during a call",
    "somebody acts during a call",
    "two calls go wrong",
)
_SAID: Final[dict[str, str]] = {
    "reply-lost": "does it, and the reply is lost",
    "long-silence": "does it, and answers nothing for a long time",
    "cut-before-work": "is cut off before anything is done",
    "done-late": "does it so late that a lookup finds nothing yet",
    "declined": "declines",
    "not-reached": "can't be reached",
    "overtaken-arrival": "is asked, and meanwhile another worker takes the work",
    "overtaken-reply": "has done it, and meanwhile another worker takes the work",
    "meanwhile-arrival": "is asked, and meanwhile",
    "meanwhile-reply": "has done it, and meanwhile",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a run. asked: the attempts in their order. visited: the states that records were in."""

    broken: tuple[Break, ...]
    asked: tuple[Attempt, ...]
    visited: frozenset[tuple[str, str]]


class Effects:
    """The phase."""

    name, share, quick = "effects", 4.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Let each call go wrong in each way, as far as the budget goes."""
        return await _Run(await bench.shared(rig), budget).run(bench)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        on = await bench.shared(rig)
        ran = await run_schedule(on, schedule)
        return finding_of(on, schedule, ran.broken[0]) if ran.broken else None


class _Run:
    """One run of the phase."""

    def __init__(self, on: Rig, budget: Budget) -> None:
        self._on, self._budget = on, budget
        self._campaign = Campaign(budget, self._broken, partial(finding_of, on))

    async def _broken(self, schedule: Schedule) -> tuple[Break, ...]:
        return (await run_schedule(self._on, schedule)).broken

    async def run(self, bench: Bench) -> PhaseReport:
        roots = await self._roots(bench)
        acts, attempt = list(_interferences(self._on, bench)), self._campaign.attempt
        with self._budget.only(0.5):
            for schedule in by_turns(_one(root, usual.asked) for root, usual in roots):
                await attempt(ONE, schedule)
        with self._budget.only(0.4):
            for schedule in by_turns(_overtaken(root, usual.asked) for root, usual in roots):
                await attempt(OVERTAKEN, schedule)
        with self._budget.only(0.6):
            for schedule in by_turns(_meanwhile(root, usual.asked, acts) for root, usual in roots):
                await attempt(MEANWHILE, schedule)
        for schedule in by_turns(_one(root, usual.asked) for root, usual in roots):
            await self._second(schedule.acts, schedule.faults[0])
        faults, findings = (ONE, OVERTAKEN, MEANWHILE, TWO), tuple(self._campaign.findings)
        return PhaseReport(self._campaign.tallies(faults), findings, tuple(self._not_tried(roots)))

    async def _roots(self, bench: Bench) -> list[tuple[Path, Ran]]:
        """Where runs begin: paths to states that wait for a call, as few as lead through all of them."""
        plans = self._on.declared.derived(plans_of)
        found, visited = list[tuple[Path, Ran]](), set[tuple[str, str]]()
        waiting = [
            (where, path) for where, path in bench.coverage.states.items()
            if plans[where[0]].states[where[1]].effects
        ]  # fmt: skip
        for where, path in sorted(waiting, key=lambda one: (_outcomes(one[1]), len(one[1]))):
            if where in visited or self._budget.spent:
                continue
            ran = await run_schedule(self._on, Schedule(path))
            visited |= ran.visited
            found.append((path, ran))
            if ran.broken:
                await self._campaign.report(Schedule(path), ran.broken[0])
        return found

    async def _second(self, root: Path, first: Fault) -> None:
        """After one fault, every other one at every call from there on."""
        if self._budget.spent:
            self._campaign.cut_short(TWO)
            return
        usual = await run_schedule(self._on, Schedule(root, faults=(first,)))
        attempt = first.kind.partition(":")[2], first.at
        later = usual.asked[usual.asked.index(attempt) + 1 :] if attempt in usual.asked else ()
        for second in _single(root, later):
            await self._campaign.attempt(TWO, Schedule(root, faults=(first, second)))

    def _not_tried(self, roots: Sequence[tuple[Path, Ran]]) -> Iterator[str]:
        if not roots:
            return
        yield "Three calls of one run going wrong in different ways."
        asked = {name for _, ran in roots for name, _ in ran.asked}
        every = {name for entity in self._on.declared.entities.values() for name in entity.effects}
        if silent := ", ".join(sorted(every - asked)):
            yield f"Calls that no run came to without a fault: {silent}."


def _outcomes(path: Path) -> int:
    return sum(act.kind == "outcome" for act in path)


def _single(root: Path, attempts: Sequence[Attempt]) -> Iterator[Fault]:
    """Each thing that can go wrong with each of these attempts, the most telling first."""
    for kind, (effect, number) in product(CALL_FAULTS, attempts):
        yield Fault(f"{kind}:{effect}", len(root) - 1, number)


def _one(root: Path, attempts: Sequence[Attempt]) -> Iterator[Schedule]:
    return (Schedule(root, faults=(fault,)) for fault in _single(root, attempts))


def _overtaken(root: Path, attempts: Sequence[Attempt]) -> Iterator[Schedule]:
    for moment, (effect, number) in product(MOMENTS, attempts):
        yield Schedule(root, faults=(Fault(f"overtaken-{moment}:{effect}", len(root) - 1, number),))


def _meanwhile(root: Path, attempts: Sequence[Attempt], acts: Sequence[Act]) -> Iterator[Schedule]:
    for (effect, number), act, moment in product(attempts, acts, MOMENTS):
        fault = Fault(f"meanwhile-{moment}:{effect}", len(root), number)
        yield Schedule((*root, act), faults=(fault,))


def by_turns(each: Iterable[Iterator[Schedule]]) -> Iterator[Schedule]:
    """The first one of each, then the second one of each: a budget that ends soon has come to all of them."""
    return (one for turn in zip_longest(*each) for one in turn if one is not None)


def _interferences(on: Rig, bench: Bench) -> Iterator[Act]:
    """The commands and events by which a state that waits for a call is left, and those that it refuses."""
    plans, seen = on.declared.derived(plans_of), set[tuple[str, str]]()
    for (name, transition), path in bench.coverage.transitions.items():
        declared = on.declared.entities[name].transitions[transition]
        waits = any(plans[name].states[source].effects for source in declared.sources)
        if path and waits and path[-1].kind in ("command", "event") and (name, path[-1].command) not in seen:
            seen.add((name, path[-1].command))
            yield path[-1]


# --- one run ----------------------------------------------------------------------------------------


async def run_schedule(on: Rig, schedule: Schedule) -> Ran:
    """Do what a schedule says, then all that follows by itself; and judge it."""
    meanwhile = {fault.act: fault for fault in schedule.faults if fault.kind.startswith("meanwhile-")}
    await on.start(tuple(act for place, act in enumerate(schedule.acts) if place not in meanwhile))
    for fault in schedule.faults:
        _arrange(on, schedule, fault)
    on.exchange.outside.attempts.clear()
    asked_before = len(on.exchange.outside.asked)
    picture = await on.end()
    asked = _numbered([name for _, name, _ in on.exchange.outside.asked[asked_before:]])
    return Ran(tuple(on.judge_end(picture)), asked, _visited(picture))


def _numbered(names: Sequence[str]) -> tuple[Attempt, ...]:
    counts, found = Counter[str](), list[Attempt]()
    for name in names:
        found.append((name, counts[name]))
        counts[name] += 1
    return tuple(found)


def _visited(picture: Picture) -> frozenset[tuple[str, str]]:
    entries = (entry for command in commands_of(picture) for entry in command)
    return frozenset((entry.logged.kind, entry.header["to"]) for entry in entries)


def _arrange(on: Rig, schedule: Schedule, fault: Fault) -> None:
    """Let something go wrong, or happen, in one attempt."""
    outside, (kind, _, effect) = on.exchange.outside, fault.kind.partition(":")
    what, _, moment = kind.partition("-")
    attempt = effect, fault.at
    happening: Callable[[], Awaitable[None]]
    match what:
        case "overtaken":
            happening = partial(_overtake, on)
        case "meanwhile":
            happening = partial(_interfere, on, schedule.acts[fault.act])
        case _:
            outside.faults[attempt] = cast("CallFault", kind)
            return
    outside.meanwhile[attempt, cast("Moment", moment)] = happening


async def _overtake(on: Rig) -> None:
    """The lease ends while the call is under way, and another worker does the same work."""
    await trial.make_all_ready(on.database.admin)
    await on.in_a_process(lambda node: node.worker.step())


async def _interfere(on: Rig, act: Act) -> None:
    """Somebody gives a command, or a sender tells of an event."""
    await on.in_a_process(lambda node: on.execution.perform(node, act))


def finding_of(on: Rig, schedule: Schedule, broke: Break) -> Finding:
    """What broke, as a story."""
    meanwhile = {fault.act for fault in schedule.faults if fault.kind.startswith("meanwhile-")}
    lines = [
        line_told(on.declared, a, ACCEPTED) for place, a in enumerate(schedule.acts) if place not in meanwhile
    ]
    for fault in schedule.faults:
        kind, _, effect = fault.kind.partition(":")
        often = f" (attempt {fault.at + 1})" if fault.at else ""
        lines.append(Line("the outside", f"{_SAID[kind]}{often}", "", True, effect))
        if fault.act in meanwhile:
            lines.append(line_of(on.declared, schedule.acts[fault.act], "", matters=True))
    return told_as("effects", on.declared, schedule, broke, lines)
