"""Several server processes on one listening socket, and the parent that keeps them there.

The parent serves nothing itself. It starts each process again that dies, at a bounded pace; where they keep
dying it gives up and says so. On SIGTERM and SIGINT it ends them all, and they end when it is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from avow.cli import output
from avow.cli.child import Child
from avow.errors import EnvironmentFault

PAUSE_S: Final = 0.2
"""How long the first restart in a row waits; each further one waits so much longer."""
DEATHS_MAX: Final = 5
"""So many deaths in a row, each less than STEADY_S after a start, and all is given up."""
STEADY_S: Final = 10.0


class Workers:
    """`count` processes that serve a target in production; `ready` is called once all accept requests.

    works: whether they do the application's work, too.
    """

    def __init__(
        self, target: str, listening: socket.socket, count: int, ready: Callable[[], None], works: bool
    ) -> None:
        mode = ("production",) if works else ("production", "idle")
        self._children = [Child(target, listening, os.environ, *mode) for _ in range(count)]
        self._ready = ready
        self._hasty_deaths = 0

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Raises EnvironmentFault where no process can be kept running."""
        loop, ending = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ending.set)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._serve()),
            asyncio.create_task(ending.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(child.stop() for child in self._children))

    async def _serve(self) -> None:
        await asyncio.gather(*(child.start() for child in self._children))
        self._ready()
        keeping = [asyncio.create_task(self._keep(child)) for child in self._children]
        try:
            await asyncio.gather(*keeping)
        finally:
            for task in keeping:  # where one gives up, the others start nothing again
                task.cancel()

    async def _keep(self, child: Child) -> None:
        """Start a process again each time it dies."""
        clock, began_s = asyncio.get_running_loop().time, float("-inf")
        while True:
            code = await child.wait()
            self._hasty_deaths = self._hasty_deaths + 1 if clock() - began_s < STEADY_S else 1
            if self._hasty_deaths >= DEATHS_MAX:
                detail = f"the server processes keep dying, the last one with {code}"
                raise EnvironmentFault("server-failed", detail, "See the messages above.")
            output.talk(f"a server process ended with {code}; starting it again")
            await asyncio.sleep(PAUSE_S * self._hasty_deaths)
            began_s = clock()
            try:
                await child.start()
            except EnvironmentFault as fault:
                output.talk(fault.detail)
