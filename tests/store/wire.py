"""A proxy between a pool and the server: it counts what is sent, and cuts where a test says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

SSL_REQUEST_BYTES = 8
COMMIT = b"avow.commit"


class Wire:
    """What went over it. cut: where to cut the next commit; then it is None again.

    "request": before the server has it. "reply": once the server has answered, before the client has that.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.counted = Counter[str]()
        self.cut: str | None = None
        self.cuts = 0
        self._tasks = set[asyncio.Task[None]]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        there, back = await asyncio.open_connection(self._host, self._port)
        link = _Link(self, reader, writer, there, back)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        both = [asyncio.create_task(link.forward()), asyncio.create_task(link.backward())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for end in (writer, back):
                end.transport.abort()
            if task is not None:
                self._tasks.discard(task)

    async def close(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Link:
    """One connection through the wire."""

    def __init__(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        there: asyncio.StreamReader, back: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        self.wire, self.reader, self.writer, self.there, self.back = wire, reader, writer, there, back
        self.commits = set[bytes]()
        self.cut_reply = False

    async def forward(self) -> None:
        """Client to server, message by message."""
        await self._startup()
        while True:
            head = await self.reader.readexactly(5)
            body = await self.reader.readexactly(int.from_bytes(head[1:]) - 4)
            kind = chr(head[0])
            self.wire.counted[kind] += 1
            if self._is_commit(kind, body):
                self.wire.counted["commit"] += 1
                if self.wire.cut is not None:
                    where, self.wire.cut = self.wire.cut, None
                    self.wire.cuts += 1
                    if where == "request":
                        return
                    self.cut_reply = True
            self.back.write(head + body)
            if kind in "SQH":
                await self.back.drain()

    def _is_commit(self, kind: str, body: bytes) -> bool:
        if kind == "P" and COMMIT in body:
            self.commits.add(body[: body.index(0)])
        return kind == "B" and body.split(b"\x00")[1] in self.commits

    async def _startup(self) -> None:
        while True:
            length = await self.reader.readexactly(4)
            body = await self.reader.readexactly(int.from_bytes(length) - 4)
            self.back.write(length + body)
            if int.from_bytes(length) != SSL_REQUEST_BYTES:
                return

    async def backward(self) -> None:
        """Server to client; with `cut_reply`, nothing of the commit's answer arrives."""
        while data := await self.there.read(65_536):
            if self.cut_reply:
                while not data.endswith(b"Z\x00\x00\x00\x05I"):
                    data += await self.there.read(65_536)
                return
            self.writer.write(data)
            await self.writer.drain()


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Wire, str]]:
    """A wire to the server of a url, and the url that leads through it."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    try:
        yield wire, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    finally:
        server.close()
        await wire.close()
