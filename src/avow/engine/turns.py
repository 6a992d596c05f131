"""Commands of one process on one record take turns, before anything is loaded.

What would overtake each other in the database waits here instead, in the order it came, holding no
connection. It must never be what a promise rests on: other processes don't know of these turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import asynccontextmanager

from avow.errors import reject

WAITING_MAX = 1_000
"""How many may wait for one turn."""


class Turns:
    """Locks by name; each is there only while somebody has it."""

    def __init__(self) -> None:
        self._waiting = dict[Hashable, deque[asyncio.Future[None]]]()

    @asynccontextmanager
    async def of(self, names: Sequence[Hashable]) -> AsyncGenerator[None]:
        """Have the turn of every name at once.

        names: in an order that all callers share. Raises ProblemError `busy` where too many wait.
        """
        taken = 0
        try:
            for name in names:
                await self._take(name)
                taken += 1
            yield
        finally:
            for name in names[:taken]:
                self._pass_on(name)

    async def _take(self, name: Hashable) -> None:
        waiting = self._waiting.get(name)
        if waiting is None:
            self._waiting[name] = deque()
            return
        if len(waiting) >= WAITING_MAX:
            raise reject("busy", "Too many requests are waiting for one record.")
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on(name)  # it was given to us in the same moment
            raise

    def _pass_on(self, name: Hashable) -> None:
        waiting = self._waiting[name]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[name]
