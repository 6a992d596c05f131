"""Pieces of a verification in processes of their own, all in the snapshot of the connection that asked.

Each process has one connection; it is given plain data, and loads nothing of the application. One that dies
ends the verification, which then says nothing about what that one had under way.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from avow.engine.verify.logs import LogsSeen, Outside, verify_logs
from avow.engine.verify.records import Against, Piece, check_piece
from avow.errors import EnvironmentFault
from avow.evidence.finding import Finding
from avow.store.log.audit_scan import EntryScan, RowForm, Span, View, opened
from avow.store.pool import connect

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Given:
    """What each process is given at its start; `url` may hold a password, and is on no command line."""

    url: str
    view: View
    forms: Mapping[str, RowForm]
    against: Against


@dataclass(frozen=True, slots=True)
class LogsPiece:
    """What came of the logs."""

    seen: LogsSeen
    findings: list[Finding]


class Workers:
    """Runs pieces, as many at once as there are processes.

    Raises EnvironmentFault where one of them ended.
    """

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    async def logs(self, outside: Outside) -> LogsPiece:
        """The logs as a whole, in one process."""
        return await self._run(_logs, outside)

    async def piece(self, span: Span, until: float | None) -> Piece:
        """The records of one span. until: by the monotonic clock, which all processes share."""
        return await self._run(_piece, span, until)

    async def _run(self, work: Callable[..., Answer], *given: Any) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *given))
        except BrokenProcessPool:
            raise EnvironmentFault(
                "verification-cut-off",
                "a process of the verification ended before it was done",
                "Look for what ended it, as a lack of memory; then verify again.",
            ) from None


def can_share() -> bool:
    """Whether processes can wait for each other here: in some containers nothing is shared in memory."""
    try:
        get_context("spawn").Lock()
    except (OSError, ImportError):
        return False
    return True


@asynccontextmanager
async def workers(given: Given, processes: int) -> AsyncGenerator[Workers]:
    """So many processes, while the context lasts; what they have not begun by its end isn't done."""
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (given,))
    try:
        yield Workers(pool)
    finally:
        await asyncio.to_thread(pool.shutdown, cancel_futures=True)


class _Process:
    """What one of the processes keeps between its pieces."""

    def __init__(self, given: Given) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.against = given.against
        self.scan = self._runner.run(self._open(given))

    async def _open(self, given: Given) -> EntryScan:
        connection = await connect(given.url, {"application_name": "avow verify"})
        await self._stack.enter_async_context(opened(connection, given.view))
        return EntryScan(connection, given.forms, given.view)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Do it on the one connection."""
        return self._runner.run(work)


_processes = list[_Process]()
"""The one of this process, once it has begun."""


def _begin(given: Given) -> None:
    # Whoever stops it with Ctrl+C stops the first process, which ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _processes.append(_Process(given))


def _piece(span: Span, until: float | None) -> Piece:
    process = _processes[0]
    return process.run(check_piece(process.scan, process.against, span, until))


def _logs(outside: Outside) -> LogsPiece:
    findings = list[Finding]()
    seen = _processes[0].run(verify_logs(_processes[0].scan.logs, outside, findings.extend))
    return LogsPiece(seen, findings)
