"""Leases of what is being done, held from a thread of their own.

A function that blocks the event loop doesn't lose its lease, and one that never returns does: past its hard
deadline it isn't held any longer, and another worker takes over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from avow.errors import EnvironmentFault
from avow.store import driver
from avow.store.pool import KEPT_PLANS, connect
from avow.store.queue import Work, keep

LEASE_S = 15.0
"""How long something taken stays with a worker that isn't heard of any more."""
HOLD_EVERY_S = LEASE_S / 3
"""How often leases are held for longer; what is done sooner than that is never written again."""

_log = logging.getLogger("avow.engine")


class Leases:
    """The leases of one process."""

    def __init__(self, url: str, lease_s: float = LEASE_S, every_s: float = HOLD_EVERY_S) -> None:
        self._url, self._lease_s, self._every_s = url, lease_s, every_s
        self._held = dict[int, tuple[int, float]]()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to hold leases."""
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._thread.start()

    def hold(self, work: Work, most_s: float) -> None:
        """Hold the lease of a work, for `most_s` at most."""
        self._held[work.work] = (work.fence, time.monotonic() + most_s)

    def let_go(self, work: Work) -> None:
        """Hold it no longer."""
        self._held.pop(work.work, None)

    def stop(self) -> None:
        """Hold nothing any more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(2 * self._every_s)

    def _run(self) -> None:
        asyncio.run(self._hold_all())

    async def _hold_all(self) -> None:
        connection: driver.Connection | None = None
        while not await asyncio.to_thread(self._ended.wait, self._every_s):
            now = time.monotonic()
            held = [(work, fence) for work, (fence, until) in list(self._held.items()) if until > now]
            if not held:
                continue
            try:
                if connection is None or connection.is_closed():
                    connection = await connect(self._url, KEPT_PLANS, answer_s=self._lease_s)
                await keep(connection, held, self._lease_s)
            except (EnvironmentFault, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
                _log.warning("leases were not held: %s", type(error).__name__)
        if connection is not None:
            await connection.close()
