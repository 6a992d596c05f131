"""The door of a server for tests on a stage: what a provider tells comes over HTTP, signed, as in earnest."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from avow.api.app import Application
from avow.api.authentication import Trust
from avow.api.protocol import serve_config
from avow.api.serving import listen, url_of
from avow.store.trials import trial
from avow.testing import Provider, Stage

SECRET_BYTES = 32
RETRIES_S = (0.05,)
"""When a provider tells again what wasn't taken: soon, and not for long."""


@asynccontextmanager
async def door(stage: Stage, **senders: Provider) -> AsyncGenerator[str]:
    """Serve the stage's system, and let each of these providers send its events to it as the sender named.

    The clock and the work stay the stage's. Gives the address.
    """
    listening = listen("127.0.0.1", 0)
    known = dict[str, dict[str, list[str]]]()
    for name, provider in senders.items():
        where = f"{url_of(listening)}/events/{name}"
        known[name] = {
            "main": [await asyncio.to_thread(provider.send_webhooks_to, where, retries_s=RETRIES_S)]
        }
    secret = secrets.token_bytes(SECRET_BYTES)
    app = Application(stage.system, stage.url, secret, Trust(), senders=known, works=False)
    server = _Server(serve_config(app, lifespan="off"))
    await trial.start_clock(stage.admin)  # no server starts on a clock that stands still
    await app.start()
    await trial.stop_clock(stage.admin, stage.now)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield url_of(listening)
    finally:
        server.should_exit = True
        await serving
        await app.close()
        listening.close()


class _Server(uvicorn.Server):
    """A server beside others in one process: signals aren't its own."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
