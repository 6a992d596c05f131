"""One HTTP/1.1 connection, which carries one request after the other, each to exactly one answer.

llhttp (by httptools) reads what is answered. What it doesn't take for HTTP, what comes unasked and what ends
too early closes the connection: no answer is ever given to another request than its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

HEAD_BYTES_MAX = 65_536
"""How long the head of an answer may be, with those that only announce it (1xx)."""

_ANNOUNCED = range(100, 200)
_VERSIONS = ("1.0", "1.1")


class Broken(Exception):
    """The exchange ended before the head of an answer was there."""


@dataclass(slots=True)
class Answer:
    """What came back. whole: to its end, as far as it was to be read. too_long: longer than it may be."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytearray = field(default_factory=bytearray)
    whole: bool = False
    too_long: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How far an answer is read. wants_body: whether one of this status is. bytes_max: of the body."""

    wants_body: Callable[[int], bool]
    bytes_max: int


class Connection(asyncio.Protocol):
    """Made by the event loop, for one origin. lost: called once when it is closed, by whomever."""

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reading: Reading | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._headers = list[tuple[bytes, bytes]]()
        self._head_bytes, self._until_end = 0, False
        self._is_clean = True  # nothing of an earlier answer is still to come
        self._is_spoiled = False  # something came that nobody had asked for
        self.expiry: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return (
            transport is not None
            and self._is_clean
            and not self._is_spoiled
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        )

    async def exchange(self, request: bytes, reading: Reading) -> Answer:
        """Send a request and read its answer. Raises Broken; closed where it ends otherwise than whole."""
        transport = self._transport
        if transport is None or not self.usable:
            raise Broken("closed")
        self._reading, self._answer, self._is_clean = reading, None, False
        self._headers, self._head_bytes = [], 0
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            transport.write(request)
            return await self._waiting
        finally:
            self._waiting = None
            if not self.usable:
                transport.abort()

    def close(self) -> None:
        """Close it; what is under way is cut."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and self._until_end and exc is None:
            self._answer.whole = True
        self._break("cut")
        self._transport, self._is_clean = None, False
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            self.close()  # nobody has asked
            return
        if self._answer is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break("not HTTP")
        if self._answer is None and self._head_bytes > HEAD_BYTES_MAX:
            self._break("a head without an end")

    def on_message_begin(self) -> None:
        self._is_spoiled = self._is_spoiled or self._answer is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status, reading = self._parser.get_status_code(), self._reading
        if self._answer is not None or reading is None:
            return
        if status in _ANNOUNCED:
            self._headers = []
            return
        if self._parser.get_http_version() not in _VERSIONS:
            self._break("another version of HTTP")
            return
        self._answer = Answer(status, self._headers)
        named = {name.lower() for name, _ in self._headers}
        self._until_end = not named & {b"content-length", b"transfer-encoding"}
        if not reading.wants_body(status):
            self._answer.whole = True
            self._give()

    def on_body(self, body: bytes) -> None:
        answer, reading = self._answer, self._reading
        if answer is None or reading is None or answer.whole:
            return
        answer.content += body
        if len(answer.content) > reading.bytes_max:
            answer.too_long = True
            self._break("too long")

    def on_message_complete(self) -> None:
        if self._answer is not None:
            self._is_clean = self._parser.should_keep_alive()
            self._answer.whole = True
            self._give()

    def _give(self) -> None:
        """Hand the answer over, as far as it has come."""
        if self._waiting is not None and self._answer is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _break(self, reason: str) -> None:
        """Nothing more will be read."""
        self._is_clean = False
        self._give()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Broken(reason))
