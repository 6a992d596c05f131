"""What is to be done later, as workers see it: taken under a lease, kept, given back.

Settling it is no business of this module: that is a command, committed with everything that it changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from avow.model.effect import Effect
from avow.model.system import System
from avow.model.trigger import EVENTS
from avow.store.driver import Connection, hear
from avow.store.pool import ANSWER_S_MAX, Pool, connect
from avow.store.statements import text

TIMES = ""
"""The destination of what goes nowhere: times that come."""
DELIVERIES = "deliver/"
"""What the destinations of deliveries begin with; the id of their subscription follows."""
DELIVERIES_AT_ONCE = 8
"""How many deliveries of one subscription are under way, in all workers."""
DETAIL_LENGTH_MAX = 1_000

CHANNEL = "avow_work"
"""Where processes that commit work notify those that do it."""

_TAKE, _KEEP, _CHECKPOINT, _GIVE_BACK, _PARK, _PARK_AGAIN, _NOTIFY, _STANDS = (
    text("queue.sql", name)
    for name in ("take", "keep", "checkpoint", "give_back", "park", "park_again", "notify", "stands")
)


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work, taken by this process until its lease ends.

    name:    the effect to be called, or the transition whose time has come. version: the record's, at which
             it was asked for. key, generation: what all attempts of one call have in common.
    fence:   the number of this taking; whoever settles or gives back has to name it.
    attempt: how often it has been taken. unclear: whether an earlier attempt may have been carried out.
    request: the id of the request that asked for it.
    topic, given: of an event that came too early, what it waits for, and what it says.
    progress: the last checkpoint of an earlier attempt, as JSON. taken_at: now.
    """

    work: int
    tenant: str
    kind: str
    id: UUID
    name: str
    version: int
    key: UUID
    generation: int
    due: datetime
    fence: int
    attempt: int
    unclear: bool
    request: str
    destination: str
    topic: str
    given: str | None
    progress: str | None
    taken_at: datetime


class Queue:
    """The work of one system, of all tenants."""

    def __init__(self, system: System, pool: Pool) -> None:
        self._pool = pool
        effects = [effect for entity in system.entities.values() for effect in entity.effects.values()]
        self._limits = {effect.destination: _limits(effect.destination, effects) for effect in effects}
        self._limits[TIMES] = (None, None)
        if system.senders:
            self._limits[EVENTS] = (None, None)

    @property
    def destinations(self) -> Collection[str]:
        """Every destination of this system's calls, TIMES, and EVENTS where there are any."""
        return self._limits.keys()

    async def take(self, destinations: Sequence[str], lease_s: float, most: int) -> list[Work]:
        """Take up to `most` of what is ready, of each destination in its turn, for as long as the lease."""
        limits = [self._limits.get(name, (None, DELIVERIES_AT_ONCE)) for name in destinations]
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(
                _TAKE, list(destinations), [rate for rate, _ in limits], [count for _, count in limits],
                round(lease_s * 1_000), most,
            )  # fmt: skip
        return [Work(*row) for row in rows]

    async def give_back(
        self, work: Work, outcome: str, detail: str, *, pause_s: float | None = None,
        stuck: str | None = None, unclear: bool = False, again: bool = False, task: str | None = None,
    ) -> bool:  # fmt: skip
        """Give back what wasn't settled: to be tried again after a pause, or stuck until a person has looked
        at it; with neither, it isn't done any more. task: who is asked for what is stuck, as JSON; None: the
        operators. False: it was the caller's no longer.
        """
        pause_ms = None if pause_s is None else round(pause_s * 1_000)
        async with self._pool.borrow() as connection:
            return await connection.fetchval(
                _GIVE_BACK, work.work, work.fence, outcome, detail[:DETAIL_LENGTH_MAX], pause_ms, stuck,
                unclear, again, task,
            )  # fmt: skip

    async def checkpoint(self, work: Work, progress: str) -> bool:
        """Keep how far a call has come, as JSON. False: it was the caller's no longer."""
        async with self._pool.borrow() as connection:
            return await connection.fetchval(_CHECKPOINT, work.work, work.fence, progress)

    async def park(self, event: Parked) -> bool:
        """Keep an event that came too early, or that a person has to look at. False: it is kept already."""
        async with self._pool.borrow() as connection:
            return await connection.fetchval(
                _PARK, event.tenant, event.kind, event.id, event.name, event.topic, event.given,
                event.request, round(event.for_s * 1_000), event.stuck, None,
            )  # fmt: skip

    async def park_again(self, work: Work, topic: str, given: str, pause_s: float) -> bool:
        """Give back an event that still came too early. False: it was the caller's no longer."""
        async with self._pool.borrow() as connection:
            return await connection.fetchval(
                _PARK_AGAIN, work.work, work.fence, topic, given, round(pause_s * 1_000)
            )


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that is to be kept.

    id:    made of everything that makes it this event. name: the command that it gives.
    topic: the record that it waits for. given: what it says, as JSON. for_s: how long it may wait.
    stuck: where it waits for a person and not for its record, why.
    """

    tenant: str
    kind: str
    id: UUID
    name: str
    topic: str
    given: str
    request: str
    for_s: float
    stuck: str | None = None


async def keep(connection: Connection, held: Collection[tuple[int, int]], lease_s: float) -> set[int]:
    """Hold leases for longer: of works, each with its fence; gives back those that are still the caller's."""
    works, fences = [work for work, _ in held], [fence for _, fence in held]
    rows = await connection.fetch(_KEEP, works, fences, round(lease_s * 1_000))
    return {row[0] for row in rows}


async def notify(pool: Pool) -> None:
    """Tell the workers of other processes that there is something to be done now."""
    async with pool.borrow() as connection:
        await connection.fetchval(_NOTIFY, CHANNEL)


async def listen(url: str, heard: Callable[[], None], check_every_s: float) -> None:
    """Call `heard` for each such notice, until the connection is lost. Raises what that raises."""
    connection = await connect(url, answer_s=ANSWER_S_MAX)
    try:
        await hear(connection, CHANNEL, heard)
        while not connection.is_closed():
            await asyncio.sleep(check_every_s)
            await connection.fetchval(_STANDS)
    finally:
        connection.terminate()


def _limits(destination: str, effects: Sequence[Effect]) -> tuple[float | None, int | None]:
    """The strictest limits that the effects of one destination declare."""
    own = [effect for effect in effects if effect.destination == destination]
    rates = [effect.rate_per_s for effect in own if effect.rate_per_s is not None]
    counts = [effect.concurrency for effect in own if effect.concurrency is not None]
    return min(rates, default=None), min(counts, default=None)
