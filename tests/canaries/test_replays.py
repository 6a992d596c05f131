"""A schedule that is done again comes to the same, to the statement and the call: broken or not.

`./test canaries -k replays --replays 100` does so with every planted defect and every schedule of effects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest

from avow.prove import effects
from avow.prove.crash import Subject, crash, look_at, once
from avow.prove.databases import Databases
from avow.prove.defect import Defect
from avow.prove.defects import DEFECTS
from avow.prove.effects import MOMENTS
from avow.prove.orders import Orders
from avow.prove.outside import CALL_FAULTS
from avow.prove.race import run_race, run_schedule, schedule_of
from avow.prove.rig import Rig
from avow.prove.schedule import Fault, Schedule
from avow.prove.selftest import BOUGHT, CANCEL, PATHS, RACES, rig_with

pytestmark = pytest.mark.anyio

IN_SUITE = ("stale cache", "key per attempt", "unclear is failed")
"""Of races, of crashes and of effects one each: they need no database of their own."""
BY_EFFECTS = ("unclear is failed", "undo without a key", "call key per attempt", "done before it is made")


class Replay(NamedTuple):
    """A schedule, and how it is done: what it came to, with all that can be told of the way there."""

    name: str
    broken: bool
    again: Callable[[], Awaitable[Hashable]]


def effects_schedules() -> list[Schedule]:
    """Each thing that can go wrong with a call; another worker, or somebody who cancels, meanwhile."""
    place = len(BOUGHT)
    single = [Schedule(BOUGHT, faults=(Fault(f"{kind}:charge", place - 1),)) for kind in CALL_FAULTS]
    overtaken = [
        Schedule(BOUGHT, faults=(Fault(f"overtaken-{moment}:charge", place - 1),)) for moment in MOMENTS
    ]
    meanwhile = [
        Schedule((*BOUGHT, CANCEL), faults=(Fault(f"meanwhile-{moment}:charge", place),))
        for moment in MOMENTS
    ]
    return [*single, *overtaken, *meanwhile]


async def effects_again(on: Rig, schedule: Schedule) -> Hashable:
    ran = await effects.run_schedule(on, schedule)
    shape = on.shape(await on.database.picture())
    return tuple(one.sentence for one in ran.broken), ran.asked, tuple(sorted(ran.visited)), shape


async def race_again(on: Rig, schedule: Schedule) -> Hashable:
    ran = await run_schedule(on, schedule)
    assert ran is not None
    return tuple(b.sentence for b in ran.broken), tuple(op.name for op in ran.ops), ran.order, ran.shape


async def crash_again(on: Rig, subject: Subject, faults: tuple[Fault, ...]) -> Hashable:
    broken = await crash(on, subject, faults)
    return tuple(one.sentence for one in broken), on.shape(await on.database.picture())


async def by_race(on: Rig) -> AsyncIterator[Replay]:
    for pair in (*RACES, *(replace(pair, locks_first=True) for pair in RACES if not pair.copies)):
        orders = Orders()
        while orders.more:
            ran = await run_race(on, pair, orders.choose)
            orders.ran(ran.ops)
            if ran.whole:
                schedule = schedule_of(pair, ran.order)
                yield Replay(f"race {pair.name}", bool(ran.broken), partial(race_again, on, schedule))


async def by_crash(on: Rig) -> AsyncIterator[Replay]:
    for path in (BOUGHT, PATHS[0], PATHS[2]):
        subject = await look_at(on, path[:-1], path[-1])
        for faults in once(subject) if subject else ():
            broken = bool(await crash(on, subject, faults)) if subject else False
            yield Replay(f"crash {faults}", broken, partial(crash_again, on, subject, faults))


async def by_effects(on: Rig) -> AsyncIterator[Replay]:
    for schedule in effects_schedules():
        broken = bool((await effects.run_schedule(on, schedule)).broken)
        yield Replay(f"effects {schedule.faults}", broken, partial(effects_again, on, schedule))


Search = Callable[[Rig], AsyncIterator[Replay]]


def searches_of(defect: Defect) -> list[Search]:
    """Where schedules are looked for that a defect breaks."""
    by: dict[str, Search] = {"race": by_race, "crash": by_crash}
    found = [by[defect.by]] if defect.by in by else []
    return [*found, by_effects] if defect.name in BY_EFFECTS else found


async def first_broken(search: Search, on: Rig) -> Replay:
    async for replay in search(on):
        if replay.broken:
            return replay
    raise AssertionError(f"{search.__name__} breaks nothing")


async def ends_of(replay: Replay, times: int) -> set[Hashable]:
    return {await replay.again() for _ in range(times)}


async def test_what_a_planted_defect_breaks_is_broken_in_the_same_way_each_time(
    own: Databases, replays: int, thorough: bool
) -> None:
    differing = list[tuple[str, str, set[Hashable]]]()
    replayed = set[str]()
    for defect in (one for one in DEFECTS if thorough or one.name in IN_SUITE):
        for search in searches_of(defect):
            on = await rig_with(own, defect)
            found = await first_broken(search, on)
            ends = await ends_of(found, replays)
            replayed.add(search.__name__)
            if len(ends) != 1:
                differing.append((defect.name, found.name, ends))
            if defect.alters:
                await on.database.close()
    assert differing == []
    assert replayed == {"by_race", "by_crash", "by_effects"}


async def test_a_schedule_of_effects_comes_to_the_same_each_time(
    on: Rig, replays: int, thorough: bool
) -> None:
    differing = list[tuple[str, set[Hashable]]]()
    every = [found async for found in by_effects(on)]
    assert [one.name for one in every if one.broken] == []
    for replay in every if thorough else (every[0], every[-4], every[-1]):
        ends = await ends_of(replay, replays)
        if len(ends) != 1:
            differing.append((replay.name, ends))
    assert differing == []
