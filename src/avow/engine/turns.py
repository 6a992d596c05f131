"""Commands of one process on one record take turns, before anything is loaded.

What would overtake each other in the database waits here instead, in the order it came, holding no
connection. It must never be what a promise rests on: other processes don't know of these turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Sequence
from functools import partial

from avow.errors import reject

WAITING_MAX = 1_000
"""How many may wait for one turn."""


class Turns:
    """Locks by name; each is there only while somebody has it."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

        self.of = partial(Turn, self._waiting)
        """The turn of every name at once; the names are in an order that all callers share."""


class Turn:
    """A context in which nobody else has a turn of the same name.

    Entering it raises ProblemError `busy` where too many wait.
    """

    __slots__ = ("_names", "_taken", "_waiting")

    def __init__(
        self, waiting: dict[Hashable, deque[asyncio.Future[None]]], names: Sequence[Hashable]
    ) -> None:
        self._waiting, self._names, self._taken = waiting, names, 0

    async def __aenter__(self) -> None:
        try:
            for name in self._names:
                if name in self._waiting:
                    await self._wait(name)
                else:
                    self._waiting[name] = deque()
                self._taken += 1
        except BaseException:
            self._pass_on()
            raise

    async def __aexit__(self, *failure: object) -> None:
        self._pass_on()

    async def _wait(self, name: Hashable) -> None:
        waiting = self._waiting[name]
        if len(waiting) >= WAITING_MAX:
            raise reject("busy", "Too many requests are waiting for one record.")
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._taken += 1  # it was given to us in the same moment
            raise

    def _pass_on(self) -> None:
        for name in self._names[: self._taken]:
            waiting = self._waiting[name]
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break
            else:
                del self._waiting[name]
