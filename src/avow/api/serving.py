"""Serving the application: one process, one listening socket, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
import uvloop

from avow.api.protocol import serve_config
from avow.errors import EnvironmentFault

BACKLOG = 2048
SHUTDOWN_S_MAX = 10
GARBAGE_OBJECTS = 20_000
"""How many more objects than before there have to be for the collector to look."""


def listen(host: str, port: int) -> socket.socket:
    """Bind the listening socket. Raises EnvironmentFault where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        detail = f"can't listen on {host} port {port}: {error}"
        raise EnvironmentFault(
            "address-unavailable", detail, "Choose another with --port; 0 takes a free one."
        ) from None
    listening.set_inheritable(True)
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def serve(app: Any, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once requests are accepted.

    Raises what the application raised while it started.
    """
    config = serve_config(app, lifespan="off", timeout_graceful_shutdown=SHUTDOWN_S_MAX)
    server = _Server(config)

    async def run() -> None:
        await app.start()
        _settle_memory()
        server.when_ready = ready
        try:
            await server.serve(sockets=[listening])
        finally:
            await app.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _settle_memory() -> None:
    """What there is at the start stays: let the collector look at what requests leave behind, less often.

    A request leaves next to nothing in circles; to look each few hundred objects costs more than it frees.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)


class _Server(uvicorn.Server):
    """uvicorn's server, telling when it is ready and leaving the exit code to us."""

    when_ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """End on the usual signals without raising them again afterwards: a wished end is a success."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
