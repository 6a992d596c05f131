"""Shrinking: from a schedule that fails to a smaller one that fails the same way.

Deterministic: acts are dropped first, then faults, then context switches are taken out, and that again until
nothing more goes. What still fails is asked of whoever found the schedule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Final

from avow.prove.schedule import Schedule

ATTEMPTS_MAX: Final = 400
"""How many smaller schedules are tried at most."""

Fails = Callable[[Schedule], Awaitable[bool]]
"""Whether a schedule still breaks the same promise. One that can't be run at all doesn't."""


async def shrink(schedule: Schedule, fails: Fails, attempts_max: int = ATTEMPTS_MAX) -> Schedule:
    """The smallest schedule on the way down from this one that still fails."""
    seen, left = {schedule}, attempts_max
    while True:
        for smaller in smaller_than(schedule):
            if smaller in seen:
                continue
            seen.add(smaller)
            if left == 0:
                return schedule
            left -= 1
            if await fails(smaller):
                schedule = smaller
                break
        else:
            return schedule


def smaller_than(schedule: Schedule) -> Iterator[Schedule]:
    """Every schedule that is one thing smaller, in the order in which they are tried."""
    yield from _without_acts(schedule)
    for at in range(len(schedule.faults)):
        yield replace(schedule, faults=schedule.faults[:at] + schedule.faults[at + 1 :])
    yield from _with_fewer_switches(schedule)


def _without_acts(schedule: Schedule) -> Iterator[Schedule]:
    """Without a run of acts before those that run at once: long runs first, late ones first."""
    count = len(schedule.acts) - schedule.together
    size = count
    while size:
        for start in range(count - size, -1, -1):
            yield _cut(schedule, start, start + size)
        size //= 2


def _cut(schedule: Schedule, start: int, end: int) -> Schedule:
    """Without the acts from start to end; faults stay with the act that they belong to."""
    gone = end - start
    faults = (f for f in schedule.faults if not start <= f.act < end)
    moved = tuple(replace(f, act=f.act - gone) if f.act >= end else f for f in faults)
    return replace(schedule, acts=schedule.acts[:start] + schedule.acts[end:], faults=moved)


def _with_fewer_switches(schedule: Schedule) -> Iterator[Schedule]:
    """With one step of the order exchanged with the one before it, where that saves a switch; and shorter."""
    order = schedule.order
    if order:
        yield replace(schedule, order=order[:-1])
    for at in range(1, len(order)):
        swapped = (*order[: at - 1], order[at], order[at - 1], *order[at + 1 :])
        candidate = replace(schedule, order=swapped)
        if candidate.switches < schedule.switches:
            yield candidate
