"""Messages: events from senders that come again, too early, too late, or in another order.

Whatever comes twice is applied once; what comes early is kept until its record can take it, or is refused by
declaration; nothing that comes late overwrites what has happened since.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from avow.prove.act import Act, Path, is_creation
from avow.prove.campaign import Campaign
from avow.prove.finding import Finding, Line, PhaseReport
from avow.prove.oracle import REPLAYABLE, Break
from avow.prove.phase import Bench, Budget
from avow.prove.rig import Rig, rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.telling import ACCEPTED, line_told, told_as

AGAIN, MOVED = "an event is told three times", "an event comes at another time"
TOLD_AGAIN: Final = "told-again"


class Messages:
    """The phase."""

    name, share, quick = "messages", 1.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Tell every event again, and at every other time of its path."""
        if not bench.system.senders:
            return PhaseReport()
        on = await bench.shared(rig)
        campaign = Campaign(budget, partial(run_schedule, on), partial(finding_of, on))
        paths = [p for p in bench.coverage.transitions.values() if any(act.kind == "event" for act in p)]
        for path in paths:
            for place, act in enumerate(path):
                if act.kind == "event":
                    await campaign.attempt(AGAIN, Schedule(path, faults=(Fault(TOLD_AGAIN, place),)))
        for schedule in dict.fromkeys(moved for path in paths for moved in _moved(on, path)):
            await campaign.attempt(MOVED, schedule)
        return PhaseReport(
            campaign.tallies((AGAIN, MOVED)), tuple(campaign.findings), ("Two events that move at once.",)
        )

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one schedule again."""
        on = await bench.shared(rig)
        broken = await run_schedule(on, schedule)
        return finding_of(on, schedule, broken[0]) if broken else None


def _moved(on: Rig, path: Path) -> Iterator[Schedule]:
    """The path with one event at another place: never before its record is there."""
    for place, act in enumerate(path):
        if act.kind != "event" or is_creation(on.declared, act):
            continue
        rest = path[:place] + path[place + 1 :]
        first = next((n for n, one in enumerate(path) if _makes(on, one, act)), place) + 1
        for to in range(first, len(path)):
            if to != place:
                yield Schedule((*rest[:to], act, *rest[to:]))


def _makes(on: Rig, one: Act, act: Act) -> bool:
    return one.ref == act.ref and is_creation(on.declared, one)


async def run_schedule(on: Rig, schedule: Schedule) -> list[Break]:
    """Do what a schedule says, then all that follows by itself: what broke."""
    again = [fault.act for fault in schedule.faults if fault.kind == TOLD_AGAIN]
    if not again:
        return await _run(on, schedule.acts, ())
    broken = await _run(on, schedule.acts, ())
    once = on.shape(await on.database.picture())
    broken = broken or await _run(on, schedule.acts, again)
    if not broken and on.shape(await on.database.picture()) != once:
        said = "An event that was told three times came to something else than the same told once."
        return [Break(REPLAYABLE, said, "A message is known by its sender's id, in the same transaction.")]
    return broken


async def _run(on: Rig, acts: Path, again: tuple[int, ...] | list[int]) -> list[Break]:
    await on.execution.start(None, on.usual)
    for place, act in enumerate(acts):
        done = await on.execution.ready(act)
        for _ in range(3 if place in again else 1):
            await on.in_a_process(lambda node, done=done: on.execution.carry_out(node, done))
    return on.judge_end(await on.end())


def finding_of(on: Rig, schedule: Schedule, broke: Break) -> Finding:
    """What broke, as a story."""
    again = {fault.act for fault in schedule.faults}
    lines = list[Line]()
    for place, act in enumerate(schedule.acts):
        lines.append(line_told(on.declared, act, ACCEPTED, matters=act.kind == "event"))
        if place in again:
            lines.append(
                Line("sender", f"{act.command}, the same message twice more", "", True, str(act.ref))
            )
    return told_as("messages", on.declared, schedule, broke, lines)
