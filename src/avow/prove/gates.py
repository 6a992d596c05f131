"""Gates: what stands in the way of a process's statements, to note them or to end the process at one.

A process that ends is told so by an exception that nothing catches, as nothing outlives a real one; what
the server does with the open transaction of a lost connection is done here at once. The driver's connection
is kept for the next process.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal, TypeAlias

from avow.store.trials.watched import COMMIT, Send, Statement, Watched

Mode: TypeAlias = Literal["cut-before-send", "sent-without-reply", "reply-lost"]
"""Where a process ends at a statement: before it is sent; when it is sent, and the server has yet to carry it
out, which it does once everybody has gone on; when it was carried out, and its answer hasn't arrived."""
MODES: Final[tuple[Mode, ...]] = ("cut-before-send", "sent-without-reply", "reply-lost")


class Died(asyncio.CancelledError):
    """The process has ended here."""


class Noting:
    """Lets everything through, and notes the names of the statements."""

    def __init__(self) -> None:
        self.names = list[str]()

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        self.names.append(statement.name)
        return await send()


class Cut:
    """Ends the process at one statement, counted from 0.

    of: the name of the statements that are counted; all of them unless given.
    late: what arrives at the server when the process is gone. names: the statements until then.
    """

    def __init__(self, at: int, mode: Mode, of: str = "") -> None:
        self._at, self._mode, self._of = at, mode, of
        self.dead = False
        self.late: Send | None = None
        self.names = list[str]()

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        if self.dead:
            raise Died
        self.names.append(statement.name)
        counted = sum(self._of in ("", name) for name in self.names)
        if counted <= self._at or self._of not in ("", statement.name):
            return await send()
        self.dead = True
        try:
            await self._last(session, statement, send)
        finally:
            await session.roll_back()
        raise Died

    async def _last(self, session: Watched, statement: Statement, send: Send) -> None:
        """What becomes of the statement at which the process ends."""
        alone = not session.is_in_transaction() and statement.name != COMMIT
        if self._mode == "sent-without-reply" and alone:
            self.late = send
        elif self._mode != "cut-before-send":
            await send()


async def until_death(work: Any, gate: Cut) -> Any:
    """What a process comes to; None where it has ended on the way."""
    try:
        return await asyncio.ensure_future(work)
    except asyncio.CancelledError:
        if not gate.dead:
            raise
        return None
