"""A worker inside of a process that serves: woken by what is committed there, ended with it."""

from __future__ import annotations

import asyncio

from avow.engine.execute import Engine
from avow.engine.publishing import Telling
from avow.engine.worker import OpenHttp, Worker
from avow.model.system import System
from avow.store.pool import Pool

CONNECTIONS_MAX = 2
"""Its own connections, so that taking work doesn't wait behind requests."""


class WorkInside:
    """A worker on a running event loop, from `start` to `close`."""

    def __init__(
        self, system: System, engine: Engine, url: str, http: OpenHttp, telling: Telling | None = None
    ) -> None:
        self._telling = telling
        self._system, self._engine, self._url, self._http = system, engine, url, http
        self._pool = Pool(url, CONNECTIONS_MAX)
        self.worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self.worker = Worker(self._system, self._engine, self._pool, self._url, self._http, self._telling)
        self._engine.when_work = self.worker.wake
        self._running = asyncio.create_task(self.worker.run())

    async def close(self) -> None:
        """Take nothing any more, end what has begun, within a bound, and let go of the database."""
        if self.worker is not None and self._running is not None:
            self.worker.stop()
            await self._running
        await self._pool.close()
