"""Lock step: several processes whose statements go out one at a time, in an order that somebody chooses.

After each statement everybody is waited for, until each of them has its next statement in hand, has come to
its end, or waits for a lock in the database, which the database is asked about.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from avow.model.system import System
from avow.prove.footprint import EVERYTHING, Footprint, of_statement
from avow.prove.node import Node
from avow.store.driver import Connection
from avow.store.trials import trial
from avow.store.trials.watched import BEGIN, COMMIT, ROLLBACK, Send, Statement, Watched

LOOK_S: Final = 0.006
"""How long a statement may take before the database is asked whether it waits for a lock."""
STEPS_MAX: Final = 400
_PATIENT = 21
"""The place among the parameters of avow.commit that says how long it waits for locks."""


@dataclass(frozen=True, slots=True)
class Op:
    """One statement of one lane, and what it touched."""

    lane: int
    name: str
    footprint: Footprint


Choose = Callable[[int, tuple[int, ...], Sequence[Op]], int]
"""Which lane goes on: told the number of the step, the lanes that can, and what has happened so far."""


Work = Callable[[Node], Coroutine[Any, Any, Any]]
"""What a process does."""


class CutShort(Exception):
    """Nothing new would come of going on."""


class Lane:
    """The gate of one process: each statement waits here for its turn."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self._waiting = deque[tuple[Statement, asyncio.Future[None]]]()
        self._open = False
        self.running: Watched | None = None
        self.given: Statement | None = None
        self.task: asyncio.Task[Any] | None = None
        self.last: tuple[Statement, Any] | None = None

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        if self._open:
            return await send()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, turn))
        self._changed.set()
        await turn
        self.running, self.given = session, statement
        answer = None
        try:
            answer = await send()
            return answer
        finally:
            self.running = None
            self.last = statement, answer
            self._changed.set()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin what the process does."""
        self.task = asyncio.ensure_future(work)
        self.task.add_done_callback(lambda _: self._changed.set())

    @property
    def impatient(self) -> bool:
        """Whether its statement doesn't wait for locks for long: it is as good as on its way."""
        return self.given is not None and self.given.name == "commit" and not self.given.parameters[_PATIENT]

    @property
    def ended(self) -> bool:
        """Whether the process has come to its end."""
        return self.task is not None and self.task.done()

    @property
    def ready(self) -> bool:
        """Whether it has its next statement in hand."""
        return bool(self._waiting) and self.running is None and not self.ended

    def go(self) -> None:
        """Let the next statement out."""
        _, turn = self._waiting.popleft()
        self.last = None
        turn.set_result(None)

    def release(self) -> None:
        """Let everything out from now on."""
        self._open = True
        while self._waiting:
            turn = self._waiting.popleft()[1]
            if not turn.done():
                turn.set_result(None)


class Lockstep:
    """Lanes on one database. admin: a connection that looks at the others.

    sessions: the server's processes of all of them. ops, order: what has happened so far.
    """

    def __init__(self, system: System, admin: Connection, count: int) -> None:
        self._system, self._admin = system, admin
        self.sessions: Callable[[], list[int]] = list
        self._changed = asyncio.Event()
        self.lanes = [Lane(self._changed) for _ in range(count)]
        self.ops = list[Op]()
        self.order = list[int]()
        self._transactions = dict[int, Footprint]()

    async def run(self, works: Sequence[Coroutine[Any, Any, Any]], choose: Choose) -> bool:
        """Run them all to their ends; whether that was worth it: False where it was cut short."""
        for lane, work in zip(self.lanes, works, strict=True):
            lane.start(work)
        whole = True
        try:
            await self._settle()
            for step in range(STEPS_MAX):
                able = tuple(place for place, lane in enumerate(self.lanes) if lane.ready)
                if not able:
                    if all(lane.ended for lane in self.lanes):
                        break
                    await self._settle(patient=True)
                    continue
                await self._go(choose(step, able, self.ops))
        except CutShort:
            whole = False
        finally:
            for lane in self.lanes:
                lane.release()
            await asyncio.gather(*(lane.task for lane in self.lanes if lane.task), return_exceptions=True)
        return whole

    def error(self, place: int) -> BaseException | None:
        """The exception with which a process has ended; None where it has come to an answer."""
        task = self.lanes[place].task
        return None if task is None or task.cancelled() else task.exception()

    async def _go(self, place: int) -> None:
        lane = self.lanes[place]
        was_blocked = self._blocked()
        lane.go()
        await self._settle()
        footprint = EVERYTHING if lane.last is None else self._footprint(place, *lane.last)
        if was_blocked or self._blocked():
            footprint = EVERYTHING
        self.order.append(place)
        self.ops.append(Op(place, lane.given.name if lane.given else "", footprint))

    def _footprint(self, place: int, statement: Statement, answer: Any) -> Footprint:
        """What a statement has touched; the end of a transaction touches what all of it has."""
        touched = of_statement(self._system, statement, answer)
        if statement.name == BEGIN:
            self._transactions[place] = touched
        elif statement.name in (COMMIT, ROLLBACK):
            whole = self._transactions.pop(place, EVERYTHING)
            return Footprint(writes=whole.reads | whole.writes, everything=whole.everything)
        elif place in self._transactions:
            self._transactions[place] |= touched
        return touched

    def _blocked(self) -> bool:
        return any(lane.running is not None for lane in self.lanes)

    async def _settle(self, *, patient: bool = False) -> None:
        """Until everybody is ready, has ended, or is known to be blocked. patient: not to stay blocked."""
        while True:
            self._changed.clear()
            open_ = [lane for lane in self.lanes if not lane.ready and not lane.ended]
            if not open_ or (patient and any(lane.ready for lane in self.lanes)):
                return
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                if not patient and await self._all_blocked(open_):
                    return

    async def _all_blocked(self, lanes: Sequence[Lane]) -> bool:
        running = [lane.running for lane in self.lanes if lane.running is not None]
        others = [lane for lane in self.lanes if lane not in lanes]
        if len(running) < len(lanes) or not others:
            return False
        for lane in lanes:
            if lane.running is None or lane.impatient:
                return False
            if not await trial.is_blocked(self._admin, lane.running.process, self.sessions()):
                return False
        return True


async def run_at_once(
    step: Lockstep, opens: Callable[[Lane], Node], works: Sequence[Work], choose: Choose
) -> bool:
    """Let a process of its own do each work, all of them at once, in lock step; whether to the end.

    opens: makes the process that stands behind a lane.
    """
    nodes = [opens(lane) for lane in step.lanes]
    step.sessions = lambda: [session.process for node in nodes for session in node.sessions]
    whole = await step.run([work(node) for work, node in zip(works, nodes, strict=True)], choose)
    for node in nodes:
        await node.close()
    return whole
