"""A server process, seen from its parent: it serves on the parent's socket, and ends with the parent."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

from avow.errors import EnvironmentFault

READY_S_MAX: Final = 30
END_S_MAX: Final = 15
"""How long a process has to answer the requests under way; longer than it gives itself."""


class Child:
    """One `avow.cli.server_process`, started and ended as often as its parent wants.

    mode: `development` or `production`, and `idle`, as that process takes it.
    """

    def __init__(
        self, target: str, listening: socket.socket, environment: Mapping[str, str], *mode: str
    ) -> None:
        self._target, self._listening, self._mode = target, listening, mode
        self._environment = dict(environment)
        self._process: Any = None

    async def start(self) -> None:
        """Start it, and wait until it accepts requests. Raises EnvironmentFault where it doesn't."""
        number = self._listening.fileno()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "avow.cli.server_process", self._target, str(number), *self._mode,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=[number],
            env=self._environment, start_new_session=True,
        )  # fmt: skip
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), READY_S_MAX)
        except TimeoutError:
            line = b""
        if line != b"ready\n":
            await self.stop()
            raise EnvironmentFault("server-failed", "the server did not start", "See the message above.")

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: requests under way are answered first, within a bound."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), END_S_MAX)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
