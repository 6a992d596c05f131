"""One port on loopback that can be closed, so that connections are refused, and opened again as the same."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from avow.testing.provider.wire import Connections, Handler

LOOPBACK: Final = "127.0.0.1"


class Listening:
    """The port of one handler. It stays ours while it is closed: a second socket is bound to it."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        """Take the port. Raises OSError when another has it. port: 0 for any that is free."""
        self._connections = Connections(handler)
        self._server: asyncio.Server | None = None
        if port:
            _check_free(port)
        self._keeper = _bound(port)
        self.port: int = self._keeper.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://{LOOPBACK}:{self.port}"

    async def open(self) -> None:
        """Accept connections, if it doesn't already."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connections.accept, sock=_bound(self.port))

    async def close(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._connections.cut()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    return bound


def _check_free(port: int) -> None:
    """Two providers must not share a port: a shared one would let each answer at random."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
