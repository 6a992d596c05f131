"""Notices from processes that commit work to processes that do it: there is something to be done now.

A notice only saves time: workers look by themselves every so often, and one that is lost costs no more than
that. It is never sent in the transaction of a command, where it would make all of them commit one after the
other, but afterwards, on a connection of its own; and it stands for everything since the one before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from avow.errors import EnvironmentFault, ProblemError
from avow.store import driver
from avow.store.pool import Pool
from avow.store.queue import listen, notify

PAUSE_S = 0.02
"""At least so long between two notices of a process."""
CHECK_EVERY_S = 30.0
"""How often a connection that only listens is asked whether it still stands; how long until the next one."""

_log = logging.getLogger("avow.engine")


class Notifier:
    """Notifies, from `start` to `close`, the workers of other processes."""

    def __init__(self, url: str) -> None:
        # Nothing is lost with a notice: its transaction, which is empty, needn't be flushed.
        self._pool = Pool(url, 1, settings={"synchronous_commit": "off"})
        self._wanted = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def notify(self) -> None:
        """Something was committed that is to be done now."""
        self._wanted.set()

    def start(self) -> None:
        """Begin to notify."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Notify nobody any more."""
        await _end(self._running)
        await self._pool.close()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await notify(self._pool)
            except (ProblemError, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
                _log.warning("workers were not notified: %s", type(error).__name__)
            await asyncio.sleep(PAUSE_S)


class Listener:
    """Calls `heard`, from `start` to `close`, for each notice of another process."""

    def __init__(self, url: str, heard: Callable[[], None]) -> None:
        self._url, self._heard = url, heard
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Listen no more."""
        await _end(self._running)

    async def _run(self) -> None:
        while True:
            try:
                await listen(self._url, self._heard, CHECK_EVERY_S)
            except (EnvironmentFault, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
                _log.warning("notices of work are not heard: %s", type(error).__name__)
            await asyncio.sleep(CHECK_EVERY_S)


async def _end(running: asyncio.Task[None] | None) -> None:
    if running is not None:
        running.cancel()
        await asyncio.wait([running])
