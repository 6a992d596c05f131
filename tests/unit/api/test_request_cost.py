"""What one request costs on the HTTP side, from the bytes of a command to the bytes of its answer.

Counted in calls of Python functions, not in seconds, so that it is the same on every machine. Newer Pythons
make fewer of them. The engine answers at once here: its own cost is its own matter.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter
from types import FrameType
from typing import Any
from uuid import UUID

import pytest
import uvloop
from uvicorn.server import ServerState

from avow import Entity, State, create, field, read, role, system, transition
from avow.api.app import Application
from avow.api.authentication import DEVELOPMENT_ISSUER, Trust
from avow.api.bearer import development_token
from avow.api.protocol import serve_config
from avow.engine.execute import Engine, Reply, Request

CALLS_MAX = 91
"""Python calls of one command, body and answer included: 90, and three more where chance is drawn for ids.

Raise it only with a measurement that says why.
"""
REQUESTS = 20
SECRET = b"d" * 32
RECORD = UUID("018f0000-0000-7000-8000-000000000001")
BODY = b'{"id":"018f0000-0000-7000-8000-000000000001","version":7,"state":"open","balance":12}'
clerk = role("clerk")


class Account(Entity):
    """An account."""

    balance: int = field(default=0)
    visible = read(by=clerk)
    open = State(initial=True)
    closed = State(final=True)
    start = create(open, by=clerk)
    close = transition(open, to=closed, by=clerk)

    @transition(open, to=open, by=clerk)
    def deposit(self, amount: int) -> None:
        """Put money in."""
        self.balance += amount


class Wire(asyncio.Transport):
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written = list[bytes]()

    def write(self, data: Any) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""

    def close(self) -> None:
        """Nothing is open."""


class Calls:
    """Counts the Python functions that are called while it watches.

    No garbage is collected meanwhile: what other tests have left would be put away at their own cost.
    """

    def __init__(self) -> None:
        self.of = Counter[str]()

    def __enter__(self) -> Calls:
        gc.disable()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename != __file__:
            self.of[frame.f_code.co_qualname] += 1


def command(number: int, token: str) -> bytes:
    """One command as a client sends it."""
    lines = [
        f"POST /accounts/018f0000-0000-7000-8000-{number:012x}/deposit HTTP/1.1", "Host: 127.0.0.1:8000",
        f"Authorization: Bearer {token}", f"Idempotency-Key: 018f0000-0000-4000-8000-{number:012x}",
        "Content-Type: application/json", "Content-Length: 13", "", '{"amount": 1}',
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


async def serve(count: Calls) -> tuple[list[bytes], list[Request]]:
    """Send commands on one connection, the first before anything is counted: what was written and asked."""
    asked = list[Request]()

    async def execute(_engine: Engine, request: Request) -> Reply:
        asked.append(request)
        return Reply(200, BODY, RECORD, 7)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "execute", execute)
        app = Application(system("bank", Account), "", b"s" * 32, Trust(development_secret=SECRET))
        patch.setattr(app, "_started", True)
        config = serve_config(app, lifespan="off")
        config.load()
        make: Any = config.http_protocol_class
        protocol, wire = make(config=config, server_state=ServerState(), app_state={}), Wire()
        protocol.connection_made(wire)
        roles = frozenset({"clerk"})
        token = development_token(DEVELOPMENT_ISSUER, SECRET, "ann", roles, int(time.time()), 60, "main")
        await answer_to(protocol, wire, command(0, token))
        with count:
            for number in range(1, REQUESTS + 1):
                await answer_to(protocol, wire, command(number, token))
        protocol.connection_lost(ConnectionResetError())
    return wire.written, asked


async def answer_to(protocol: Any, wire: Wire, request: bytes) -> None:
    """Bring one request and let the loop run until it is answered."""
    written = len(wire.written)
    protocol.data_received(request)
    answering = list(protocol.tasks)
    if answering:
        await answering[0]
    assert len(wire.written) == written + 1, "an answer leaves in one write"


def test_a_command_costs_few_calls() -> None:
    calls = Calls()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        written, asked = runner.run(serve(calls))
    assert len(asked) == REQUESTS + 1
    assert all(b"HTTP/1.1 200 OK\r\n" in answer and answer.endswith(BODY) for answer in written)
    each = calls.of.total() / REQUESTS
    assert each <= CALLS_MAX, f"{each} calls, of which: {calls.of.most_common()}"


def test_a_token_is_not_verified_for_each_request() -> None:
    calls = Calls()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(calls))
    assert calls.of["verify"] == 0, "the counted requests follow one whose token was verified"
    assert calls.of["VerifiedTokens.find"] == REQUESTS
