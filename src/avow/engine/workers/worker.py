"""Takes what is to be done later, as far as there is room for it, and has it done (`doing`).

Any worker does any other's work once its lease has ended.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter

from avow.engine.execute import Engine
from avow.engine.workers.breaker import Breaker
from avow.engine.workers.doing import Doing, OpenHttp
from avow.engine.workers.leases import LEASE_S, Leases
from avow.engine.workers.places import may_take
from avow.engine.workers.publishing import Publishing, Telling
from avow.errors import ProblemError
from avow.model.system import System, asks, publishes
from avow.model.trigger import EVENTS
from avow.store import driver
from avow.store.inbox import advance
from avow.store.pool import Pool
from avow.store.queue import DELIVERIES, DELIVERIES_AT_ONCE, TIMES, Queue, Work
from avow.store.subscriptions import REPLAYS

TAKEN_MAX = 80
"""How much a process does at once."""
KEPT_FREE = 16
"""Of these, places that no call takes: so that no destination, however slow, holds up a time or an event."""
DELIVERIES_MAX = 32
"""Of these, at most so many deliveries: so that subscribers, however slow, don't hold up the calls."""
REPLAYS_MAX = 2
"""How many replays a process goes on with at once."""
POLL_S = 0.2
"""How long a worker rests when nothing is ready and nobody wakes it."""
RESTS_AFTER_FAULT_S = 1.0
ADVANCE_EVERY_S = 1.0
"""How often a worker looks for tasks that are due."""
DRAIN_S_MAX = 8.0
"""How long an ending worker waits for what it has begun; the rest is taken over when its leases end."""
INSIDE = (TIMES, EVENTS)
"""The destinations of what needs nobody outside."""

_log = logging.getLogger("avow.engine")


class Worker:
    """The work of one system in one process. `counts` tells how often what happened.

    telling: what is needed to tell subscribers of what is published; None: others do. breaker: when a
    destination is left alone; one of its own unless given.
    """

    def __init__(
        self, system: System, engine: Engine, pool: Pool, url: str, http: OpenHttp,
        telling: Telling | None = None, breaker: Breaker | None = None,
    ) -> None:  # fmt: skip
        self.counts = Counter[str]()
        self._pool, self._asks, self._advanced_at = pool, asks(system), 0.0
        self._queue, self._leases, self._breaker = Queue(system, pool), Leases(url), breaker or Breaker()
        self._publishing: Publishing | None = None
        if telling is not None and publishes(system):
            self._publishing = Publishing(system, pool, telling)
        self._doing = Doing(
            system, engine, pool, self._queue, self._leases, http, self._breaker, self._publishing,
            self.counts,
        )  # fmt: skip
        self._woken, self._ending = asyncio.Event(), False
        self._running, self._turn = dict[asyncio.Task[None], str](), 0

    def wake(self) -> None:
        """Look for work now: something was committed that is ready, or will be."""
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop` is called; then what has begun is brought to an end, within a bound."""
        self._leases.start()
        try:
            while not self._ending:
                self._woken.clear()
                if not await self._begin_some():
                    await self._rest(POLL_S)
        finally:
            await self._drain()
            if self._publishing is not None:
                await self._publishing.close()
            self._leases.stop()

    def stop(self) -> None:
        """Take nothing any more."""
        self._ending = True
        self._woken.set()

    async def step(self) -> int:
        """Do, once, everything that is ready now; how much that was. For tests, and for catching up.

        What was begun is waited for, whatever becomes of the rest.
        """
        begun = await self._begin()
        try:
            advanced = await advance(self._pool) if self._asks else 0
        finally:
            await asyncio.gather(*self._running)
        return begun + advanced

    async def _begin_some(self) -> int:
        try:
            await self._advance_tasks()
            return await self._begin()
        except (ProblemError, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
            _log.warning("nothing could be taken: %s", type(error).__name__)
            await self._rest(RESTS_AFTER_FAULT_S)
            return 0

    async def _advance_tasks(self) -> None:
        """Let tasks fall due, every so often: people don't mind a second."""
        now = asyncio.get_running_loop().time()
        if self._asks and now >= self._advanced_at + ADVANCE_EVERY_S:
            self._advanced_at = now
            self.counts["tasks"] += await advance(self._pool)

    async def _rest(self, most_s: float) -> None:
        try:
            async with asyncio.timeout(most_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _begin(self) -> int:
        """Take what is ready, as far as there is room, and begin to do it."""
        room = TAKEN_MAX - len(self._running)
        if room <= 0:
            return 0
        known = self._queue.destinations
        if room <= KEPT_FREE:
            return self._start(await self._queue.take([n for n in known if n in INSIDE], LEASE_S, room))
        told, begun = await self._deliverable()
        names = [name for name in [*known, *told] if self._breaker.closed(name)]
        doubtful = [name for name in names if self._breaker.half_open(name)]
        certain = [name for name in names if name not in doubtful]
        self._turn += 1
        first = self._turn % max(len(certain), 1)
        certain = certain[first:] + certain[:first]  # each has its turn to be the first, and to take all
        begun += await self._take_shared(certain, room - KEPT_FREE)
        for name in doubtful:
            if name not in self._running.values() and begun < room - KEPT_FREE:
                begun += self._start(await self._queue.take([name], LEASE_S, 1))
        return begun

    async def _take_shared(self, names: list[str], free: int) -> int:
        """Take what is ready, of no destination more than leaves places for others; how much that is.

        All are asked at once, each for as much as each of them may have: so again, as long as that was taken.
        """
        begun = 0
        while begun < free:
            has, left = Counter(self._running.values()), free - begun
            rooms = {name: left if name in INSIDE else may_take(left, has[name]) for name in names}
            asked = [name for name in names if rooms[name] > 0]
            if not asked:
                break
            most = min(rooms[name] for name in asked)
            begun += (taken := self._start(await self._queue.take(asked, LEASE_S, most)))
            if taken < most:
                break
        return begun

    async def _deliverable(self) -> tuple[list[str], int]:
        """Subscriptions to which something can be told now, as many as there is room for, any of them; and
        how many steps of replays were begun."""
        under_way = sum(name.startswith(DELIVERIES) for name in self._running.values())
        most = (DELIVERIES_MAX - under_way) // DELIVERIES_AT_ONCE
        if self._publishing is None or most <= 0:
            return [], 0
        found = await self._publishing.ready()
        ready = [name for name in found if not name.startswith(REPLAYS)]
        begun = self._replay([name for name in found if name.startswith(REPLAYS)], self._publishing)
        return (ready if len(ready) <= most else random.sample(ready, most)), begun

    def _replay(self, replays: list[str], publishing: Publishing) -> int:
        """Begin the next step of some replays, any of them, one of each; how many these are."""
        waiting = [name for name in replays if name not in self._running.values()]
        under_way = sum(name.startswith(REPLAYS) for name in self._running.values())
        chosen = random.sample(waiting, min(len(waiting), REPLAYS_MAX - under_way))
        for name in chosen:
            self._track(asyncio.create_task(self._go_on(name, publishing)), name)
        return len(chosen)

    async def _go_on(self, replay: str, publishing: Publishing) -> None:
        """A step that fails has not happened, and is tried again after a while."""
        try:
            await publishing.go_on(replay)
        except (ProblemError, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
            _log.warning("a replay was interrupted: %s", type(error).__name__)
            await asyncio.sleep(RESTS_AFTER_FAULT_S)

    def _start(self, taken: list[Work]) -> int:
        """Begin to do what was taken; how much that is."""
        for work in taken:
            self._track(asyncio.create_task(self._doing.do(work)), work.destination)
        return len(taken)

    def _track(self, task: asyncio.Task[None], destination: str) -> None:
        self._running[task] = destination
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._woken.set()  # there is room again

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_S_MAX)
        for task in self._running:
            task.cancel()
