"""Concurrent HTTP clients, each with one connection and one request at a time.

Plain asyncio and no library: at this rate a client library would take more of the machine than the server.
It must never send a request again by itself: that is the caller's decision.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

ANSWER_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def essence(self) -> tuple[int, str | None, bytes]:
        """What all answers of one key must agree in: status, ETag, body."""
        return self.status, self.headers.get("etag"), self.body


class Clients:
    """A fixed number of connections to one server, made when they are first used."""

    def __init__(self, url: str, count: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        for _ in range(count):
            self._free.put_nowait(_Connection(self._host, self._port))
        self._taking = asyncio.Lock()
        self.sent = 0

    def post(self, path: str, token: str, key: str, body: bytes = b"") -> bytes:
        """The bytes of one command."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nAuthorization: Bearer {token}\r\n"
            f'Idempotency-Key: "{key}"\r\nContent-Length: {len(body)}\r\n'
        )
        kind = "Content-Type: application/json\r\n" if body else ""
        return f"{head}{kind}\r\n".encode() + body

    async def send(self, request: bytes, copies: int) -> list[Answer | None]:
        """Send copies of one request in the same moment, each on a connection of its own.

        None stands for an answer that was lost: the request may have been executed or not.
        """
        async with self._taking:
            taken = [await self._free.get() for _ in range(copies)]
        self.sent += copies
        try:
            return await asyncio.gather(*(connection.exchange(request) for connection in taken))
        finally:
            for connection in taken:
                self._free.put_nowait(connection)

    async def close(self) -> None:
        """Close every connection; nothing may be under way."""
        while not self._free.empty():
            self._free.get_nowait().close()


class _Connection(asyncio.Protocol):
    """One connection, made again whenever it is found closed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer | None] | None = None

    async def exchange(self, request: bytes) -> Answer | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                if self._transport is None:
                    await loop.create_connection(lambda: self, *self._address)
                assert self._transport is not None
                self._waiting = loop.create_future()
                self._transport.write(request)
                return await self._waiting
        except (OSError, TimeoutError):
            self.close()
            return None
        finally:
            self._waiting = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._answer(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiting is None:
            raise ConnectionError("the server sent what nobody asked for")
        answer = _read(self._buffer)
        if answer is not None:
            self._buffer.clear()
            if answer.headers.get("connection") == "close":
                self.close()
            self._answer(answer)

    def _answer(self, answer: Answer | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)


def _read(buffer: bytearray) -> Answer | None:
    """The answer in the buffer; None while it isn't complete. All our answers have a Content-Length."""
    data = bytes(buffer)
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if len(body) < int(headers["content-length"]):
        return None
    return Answer(int(first.split(" ", 2)[1]), headers, body)
