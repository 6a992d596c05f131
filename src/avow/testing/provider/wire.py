"""HTTP/1.1 over a plain stream, so that it can be cut at any byte. Both ends: requests in, webhooks out."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

READ_BYTES: Final = 64 * 1024
BODY_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. body: what is sent as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def written(self) -> bytes:
        """The answer as it goes over the wire."""
        return written(self.status, json.dumps(self.body).encode(), self.headers)


def written(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """An answer with a body that says it is JSON, whatever it is."""
    lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode("latin-1") + body


class Connection:
    """One client's connection. It reads requests one after the other, and may be cut at any time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ready: deque[Request] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""
        self._headers: dict[str, str] = {}

    async def next(self) -> Request | None:
        """The next request; None when the client has gone or doesn't speak HTTP."""
        try:
            while not self._ready:
                data = await self._reader.read(READ_BYTES)
                if not data:
                    return None
                self._parser.feed_data(data)
        except (httptools.HttpParserError, ConnectionError):
            return None
        return self._ready.popleft()

    async def write(self, data: bytes) -> None:
        """Send bytes; a client that has gone doesn't matter. Not after the end: see `closed`."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self.cut()

    @property
    def closed(self) -> bool:
        """Whether it was ended on this side, so that nothing can be sent any more."""
        return self._writer.is_closing()

    async def gone(self) -> None:
        """Wait until the client gives up."""
        try:
            while await self._reader.read(READ_BYTES):
                pass
        except ConnectionError:
            return

    def cut(self) -> None:
        """End the connection at once, without a word."""
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection after what was written."""
        self._writer.close()

    # --- the parser's callbacks -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A new request begins."""
        self._url, self._body, self._headers = b"", b"", {}

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A piece of the body; one that is too long ends the connection."""
        self._body += body
        if len(self._body) > BODY_BYTES_MAX:
            raise ValueError("the body is too long")

    def on_message_complete(self) -> None:
        """The request is whole."""
        url = httptools.parse_url(self._url)
        query = dict(parse_qsl((url.query or b"").decode("ascii"), keep_blank_values=True))
        method = self._parser.get_method().decode("ascii")
        path = unquote(url.path.decode("ascii"))
        self._ready.append(Request(method, path, query, self._headers, self._body))


Handler = Callable[[Request, Connection], Awaitable[None]]


class Connections:
    """All clients of one port, each served by the same handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it goes."""
        task = asyncio.create_task(self._serve(Connection(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        self._open.add(connection)
        try:
            while request := await connection.next():
                await self._handler(request, connection)
        finally:
            self._open.discard(connection)
            connection.close()

    def cut(self) -> None:
        """Cut every connection; what was asked over it is carried on with."""
        for connection in self._open:
            connection.cut()


async def post(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> int | None:
    """POST to an http:// address; the status of its answer, or None when there was none in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _post(url, headers, body)
    except (OSError, TimeoutError, ValueError):
        return None


async def _post(url: str, headers: Mapping[str, str], body: bytes) -> int | None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = {"host": parts.netloc, "connection": "close", "content-length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await writer.drain()
        status_line = (await reader.readline()).split(b" ")
        await reader.read()  # to the end, so that the receiver isn't cut off within its answer
        return int(status_line[1]) if len(status_line) > 1 else None
    finally:
        writer.close()
