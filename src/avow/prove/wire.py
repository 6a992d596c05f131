"""The wire: a proxy between a client and a PostgreSQL server, on which one thing goes wrong at one place.

It knows the protocol's framing (version 3: a letter, a length, a body), and the names of our own statements.
Nothing but `fail` changes what passes, except that neither side is offered TLS.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from avow.store.statements import name_of

WireFault: TypeAlias = Literal["cut-on-the-way", "wire-reply-lost", "cut-within", "stalled", "struck"]
"""What goes wrong with one statement.

cut-on-the-way:  the server never has it.
wire-reply-lost: the server has carried it out, and nothing of its answer arrives.
cut-within:      half of the answer arrives, mostly up to the middle of a message.
stalled:         the answer doesn't come, and nothing is cut.
struck:          it is carried out, and before its transaction ends `strike` happens to the server.
"""

Strike: TypeAlias = Callable[[int], Awaitable[None]]
"""What happens to a server's process, given its id."""

_log = logging.getLogger(__name__)

_SSL_REQUEST, _CANCEL_REQUEST = 80_877_103, 80_877_102
_NO_TLS: Final = b"N"
_FLUSH: Final = b"H\x00\x00\x00\x04"
_SENDS: Final = "SQHcfpX"
"""Messages with which a client ends what it has to say for now."""
_RESULT: Final = frozenset("CEIsTn")
"""Messages that end the answer to an Execute or a Describe."""


@dataclass(frozen=True, slots=True)
class _Planned:
    fault: WireFault
    at: int | None
    of: str | None
    strike: Strike | None

    def means(self, place: int, name: str) -> bool:
        return place == self.at or name == self.of


class Wire:
    """What went over it, on all its connections.

    counted: messages by letter, and statements by name. ran: the names of statements in their order, without
    what the driver asks for itself. failed: how many have gone wrong.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._planned: _Planned | None = None
        self._served = dict[asyncio.Task[None], asyncio.StreamWriter]()
        self.counted = Counter[str]()
        self.ran = list[str]()
        self.failed = 0

    def fail(
        self, fault: WireFault, at: int | None = None, *, of: str | None = None, strike: Strike | None = None
    ) -> None:
        """Let one statement go wrong: the one of this place from 0, or the next one of this name."""
        self._planned = _Planned(fault, at, of, strike)

    def take(self, name: str) -> _Planned | None:
        """Note a statement; what is to go wrong with it, which then goes wrong no more."""
        place, planned = len(self.ran), self._planned
        self.ran.append(name)
        if planned is None or not planned.means(place, name):
            return None
        self._planned = None
        self.failed += 1
        return planned

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, until either side ends it."""
        task = asyncio.create_task(self._pass(reader, writer))
        self._served[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        writer = self._served.pop(task)  # a name for it: Python 3.13 warns of one that is let go of open
        writer.transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.info("a connection on the wire ended with %s", type(error).__name__)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        link = _Link(self, reader, writer, there, back)
        both = [asyncio.create_task(link.forward()), asyncio.create_task(link.backward())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def close(self) -> None:
        """End every connection."""
        tasks = list(self._served)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Link:
    """One connection through the wire. process: the server's; 0 before it has said so."""

    def __init__(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        there: asyncio.StreamReader, back: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        self._wire, self._reader, self._writer = wire, reader, writer
        self._there, self._back = there, back
        self._process = 0
        self._prepared = dict[bytes, str]()
        self._failing: WireFault | None = None
        self._held = bytearray()
        self._result, self._undisturbed = asyncio.Event(), asyncio.Event()
        self._undisturbed.set()

    async def forward(self) -> None:
        """Client to server, statement by statement, until one is cut on its way."""
        await self._start()
        said, running = bytearray(), ""
        while True:
            kind, message = await _message(self._reader)
            said += message
            self._wire.counted[kind] += 1
            running = self._runs(kind, message) or running
            if kind not in _SENDS:
                continue
            planned = self._wire.take(running) if running else None
            if planned is not None and planned.fault == "cut-on-the-way":
                return
            if planned is not None and planned.strike is not None:
                await self._struck(bytes(said), kind, planned.strike)
            else:
                self._failing = None if planned is None else planned.fault
                self._back.write(said)
            await self._back.drain()
            said, running = bytearray(), ""

    def _runs(self, kind: str, message: bytes) -> str:
        """The name of the statement that a message runs; a bare one is its own name."""
        match kind:
            case "P":
                statement, sql, *_ = message[5:].split(b"\x00")
                self._prepared[statement] = name_of(sql.decode())
                return ""
            case "B":
                name = self._prepared.get(message[5:].split(b"\x00")[1], "")
                self._wire.counted.update([name] if name else [])
                return name
            case "Q":
                return message[5:-1].decode().rstrip(";").lower()
            case _:
                return ""

    async def _struck(self, said: bytes, last: str, strike: Strike) -> None:
        """Let the server do it, and then strike before it ends its transaction, or before a simple Query.

        The client hears of it once it is over.
        """
        if last == "S":
            self._result.clear()
            self._back.write(said[:-5] + _FLUSH)
            await self._result.wait()
        self._undisturbed.clear()
        try:
            await strike(self._process)
        finally:
            self._undisturbed.set()
        self._back.write(said[-5:] if last == "S" else said)

    async def _start(self) -> None:
        """Whatever precedes the first message: no TLS between us and either side, so that it can be read."""
        while True:
            length = await self._reader.readexactly(4)
            body = await self._reader.readexactly(int.from_bytes(length) - 4)
            if int.from_bytes(body[:4]) == _SSL_REQUEST:
                self._writer.write(_NO_TLS)
                continue
            self._back.write(length + body)
            if int.from_bytes(body[:4]) == _CANCEL_REQUEST:
                await self._back.drain()
            return

    async def backward(self) -> None:
        """Server to client, message by message, until an answer is cut."""
        with suppress(asyncio.IncompleteReadError):
            while True:
                kind, message = await _message(self._there)
                self._note(kind, message)
                await self._undisturbed.wait()
                if self._failing is None:
                    self._writer.write(message)
                    if kind == "Z":
                        await self._writer.drain()
                    continue
                self._held += message
                if kind == "Z" and not await self._hold_back(self._failing):
                    return
        await self._undisturbed.wait()

    def _note(self, kind: str, message: bytes) -> None:
        if kind == "K":
            self._process = int.from_bytes(message[5:9])
        if kind in _RESULT:
            self._result.set()

    async def _hold_back(self, fault: WireFault) -> bool:
        """What becomes of a whole answer that goes wrong; whether the connection goes on."""
        if fault == "cut-within":
            self._writer.write(bytes(self._held[: max(len(self._held) // 2, 1)]))
            await self._writer.drain()
            self._writer.close()
            with suppress(ConnectionError):
                await self._writer.wait_closed()
        return fault == "stalled"


async def _message(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = await reader.readexactly(5)
    return chr(head[0]), head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Wire, str]]:
    """A wire to the server of a url, and the url that leads through it."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    try:
        yield wire, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    finally:
        server.close()
        await wire.close()
        await server.wait_closed()
