"""A worker inside of a process that serves: woken by what is committed there, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from avow.engine.execute import Engine
from avow.engine.outside import Destination
from avow.engine.workers.clients import Clients
from avow.engine.workers.notices import Listener
from avow.engine.workers.publishing import Telling
from avow.engine.workers.worker import Worker
from avow.model.system import System
from avow.store.pool import Pool

CONNECTIONS_MAX = 2
"""Its own connections, so that taking work doesn't wait behind requests."""


class WorkInside:
    """A worker on a running event loop, from `start` to `close`.

    listens: whether notices of other processes wake it, too.
    """

    def __init__(
        self, system: System, engine: Engine, url: str, destinations: Mapping[str, Destination],
        telling: Telling | None = None, *, listens: bool = False,
    ) -> None:  # fmt: skip
        self._system, self._engine, self._url = system, engine, url
        self._clients, self._telling = Clients(destinations), telling
        self._pool = Pool(url, CONNECTIONS_MAX)
        self._listener = Listener(url, self._heard) if listens else None
        self.worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self.worker = Worker(
            self._system, self._engine, self._pool, self._url, self._clients.open, self._telling
        )
        self._engine.when_work = self.worker.wake
        self._running = asyncio.create_task(self.worker.run())
        if self._listener is not None:
            self._listener.start()

    async def close(self) -> None:
        """Take nothing any more, end what has begun, within a bound, and let go of the database."""
        if self._listener is not None:
            await self._listener.close()
        if self.worker is not None and self._running is not None:
            self.worker.stop()
            await self._running
        await self._clients.aclose()
        await self._pool.close()

    def _heard(self) -> None:
        if self.worker is not None:
            self.worker.wake()
