"""Deadlines: a time comes once and never early, also after a long downtime, and where somebody is quicker.

At each state that waits for a time, the clock is set just before it, to it, and far beyond it; and whoever
could act there acts when the time has come and no worker has seen it yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from avow.kernel.plan import plans_of
from avow.model.trigger import OnTime
from avow.prove.act import Act
from avow.prove.campaign import Campaign
from avow.prove.finding import Finding, Line, PhaseReport
from avow.prove.oracle import Break
from avow.prove.phase import Bench, Budget
from avow.prove.replay import commands_of
from avow.prove.rig import Rig, rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.story import line_of
from avow.prove.telling import ACCEPTED, line_told, told_as
from avow.store.trials.picture import Picture, Waiting

ON_TIME: Final = "P9 on time"
MOMENT: Final = timedelta(milliseconds=1)
DOWNTIME: Final = timedelta(days=3_660)

EARLY, DUE, DOWN, BEATEN = (
    "just before a time comes",
    "a time comes",
    "nobody works for ten years",
    "somebody acts when a time has come",
)
KINDS: Final = {"just-before": EARLY, "due": DUE, "long-after": DOWN, "beaten": BEATEN}
_SAID: Final = {
    "just-before": "is 1 ms before the time that is waited for, and workers look",
    "due": "is at the time that is waited for, and workers look",
    "long-after": "is ten years on; nobody has worked meanwhile, and workers look",
    "beaten": "is at the time that is waited for; before any worker looks,",
}


class Deadlines:
    """The phase."""

    name, share, quick = "time", 1.5, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Set the clock before, at and far beyond each time that is waited for."""
        on = await bench.shared(rig)
        campaign = Campaign(budget, partial(run_schedule, on), partial(finding_of, on))
        plans = bench.system.derived(plans_of)
        waiting = [
            (entity, state, path) for (entity, state), path in bench.coverage.states.items()
            if plans[entity].states[state].alarms
        ]  # fmt: skip
        for kind in ("just-before", "due", "long-after"):
            for _, _, path in waiting:
                await campaign.attempt(KINDS[kind], Schedule(path, faults=(Fault(kind, len(path) - 1),)))
        for entity, state, path in waiting:
            for act in _acts_in(bench, entity, state):
                await campaign.attempt(BEATEN, Schedule((*path, act), faults=(Fault("beaten", len(path)),)))
        not_tried = ("A database whose own clock goes back.",) if waiting else ()
        return PhaseReport(campaign.tallies(tuple(KINDS.values())), tuple(campaign.findings), not_tried)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        on = await bench.shared(rig)
        broken = await run_schedule(on, schedule)
        return finding_of(on, schedule, broken[0]) if broken else None


def _acts_in(bench: Bench, entity: str, state: str) -> Iterator[Act]:
    """What people and senders can do in a state."""
    seen = set[str]()
    for (of, name), path in bench.coverage.transitions.items():
        declared = bench.system.entities[of].transitions[name]
        if not path or of != entity or state not in declared.sources:
            continue
        act = path[-1]
        if act.kind in ("command", "event") and act.command not in seen:
            seen.add(act.command)
            yield replace(act, later_s=0.0)


def _meanwhile(schedule: Schedule) -> Act | None:
    """Whoever acts when the time has come, before a worker sees it."""
    fault = schedule.faults[0]
    return schedule.acts[fault.act] if fault.kind == "beaten" and fault.act < len(schedule.acts) else None


async def run_schedule(on: Rig, schedule: Schedule) -> list[Break]:
    """Do what a schedule says: what broke."""
    if not schedule.faults:
        return []
    fault = schedule.faults[0]
    meanwhile = _meanwhile(schedule)
    path = schedule.acts if meanwhile is None else schedule.acts[: fault.act]
    await on.start(path)
    before = await on.database.picture()
    due = sorted(times_of(before), key=lambda work: work.due)
    if not due:
        return []
    await on.database.set_clock(_moment(fault.kind, due, on.database.now))
    if meanwhile is not None:
        await on.perform(meanwhile)
    after = await on.end()
    return [*_timely(on, before, after), *on.judge_end(after)]


def _moment(kind: str, due: Sequence[Waiting], now: datetime) -> datetime:
    match kind:
        case "just-before":
            return max(due[0].due - MOMENT, now)
        case "long-after":
            return max(due[-1].due, now) + DOWNTIME
        case _:
            return due[0].due


def times_of(picture: Picture) -> list[Waiting]:
    """The times that are waited for and haven't come."""
    return [work for work in picture.work if not work.destination and work.stuck is None]


def _timely(on: Rig, before: Picture, after: Picture) -> Iterator[Break]:
    """What was due has come, once; what wasn't hasn't."""
    now = on.database.now
    came = Counter[tuple[str, str]]()
    for command in commands_of(after)[len(commands_of(before)) :]:
        first = command[0]
        came[first.logged.id, str(first.header["transition"])] += 1
    entities = on.declared.entities
    for work in times_of(before):
        place = entities[work.kind].transitions[work.name].place
        often = came[work.id, work.name]
        if work.due > now and often:
            yield Break(ON_TIME, f"{work.kind}.{work.name} came before its time.", _EARLY, place)
        if often > 1 and not _repeats(on, work):
            yield Break(ON_TIME, f"{work.kind}.{work.name} came {often} times.", _ONCE, place)
    yield from _overdue(on, before, after)


def _overdue(on: Rig, before: Picture, after: Picture) -> Iterator[Break]:
    """What is due by now and hasn't come: it was neither taken nor, where its guard didn't hold, passed."""
    was_due = {(work.id, work.name): work.due for work in times_of(before)}
    passed = Counter((one.id, one.name) for one in after.attempts if one.outcome == "passed")
    passed.subtract((one.id, one.name) for one in before.attempts if one.outcome == "passed")
    for work in times_of(after):
        mine = work.id, work.name
        transition = on.declared.entities[work.kind].transitions[work.name]
        again = isinstance(transition.trigger, OnTime) and transition.trigger.again
        # One that comes again and again has years to catch up with: it must have begun to.
        goes_on = again and work.due > was_due.get(mine, work.due)
        if work.due <= on.database.now and not goes_on and passed[mine] <= 0:
            said = f"{work.kind}.{work.name} is due, and never comes."
            yield Break(ON_TIME, said, _COMES, transition.place)


def _repeats(on: Rig, work: Waiting) -> bool:
    """Whether the record can come to wait for the same time anew: by repetition, or through its states."""
    entity = on.declared.entities[work.kind]
    transition = entity.transitions[work.name]
    return transition.target in transition.sources or not entity.states[transition.target].final


_EARLY = "A time is compared with the database's clock, and is never taken before it."
_ONCE = "A time that has come is settled in the transaction of its transition."
_COMES = "Whoever works takes every time that has come, however long ago that was."


def finding_of(on: Rig, schedule: Schedule, broke: Break) -> Finding:
    """What broke, as a story."""
    fault = schedule.faults[0]
    meanwhile = _meanwhile(schedule)
    path = schedule.acts if meanwhile is None else schedule.acts[: fault.act]
    lines = [line_told(on.declared, act, ACCEPTED) for act in path]
    lines.append(Line("the clock", _SAID[fault.kind], matters=True))
    if meanwhile is not None:
        lines.append(line_of(on.declared, meanwhile, "", matters=True))
    return told_as("time", on.declared, schedule, broke, lines)
