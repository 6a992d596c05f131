"""An HTTP server that takes deliveries and answers as it is told: statuses in order, then 204."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from avow.store.queue import DELIVERIES_AT_ONCE


class Receiver:
    """What came, in order: path, headers with names in lower case, and body."""

    def __init__(self) -> None:
        self.came = list[tuple[str, dict[str, str], bytes]]()
        self.answers = list[int]()
        self.retry_after: str | None = None
        self.at_once = self.most_at_once = 0
        self.hold: asyncio.Event | None = None
        self.body, self.body_length, self.coding = b"", 0, "identity"
        self.url = ""

    @property
    def events(self) -> list[Any]:
        """What came, as JSON."""
        return [json.loads(body) for _, _, body in self.came]

    async def is_full(self) -> bool | None:
        """Whether as many are under way at once as one subscription may have."""
        return self.at_once >= DELIVERIES_AT_ONCE or None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:]) if n}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.came.append((head[0].split()[1], headers, body))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        if self.hold is not None:
            await self.hold.wait()
        self.at_once -= 1
        status = self.answers.pop(0) if self.answers else 204
        more = f"location: {self.url}elsewhere\r\n" if 300 <= status < 400 else ""
        more += "" if self.retry_after is None or status < 300 else f"retry-after: {self.retry_after}\r\n"
        more += f"content-encoding: {self.coding}\r\ncontent-length: {self.body_length or len(self.body)}\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{more}connection: close\r\n\r\n".encode() + self.body)
        with suppress(ConnectionError):  # nobody has to read all of it
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on an address of this machine."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    receiver.url = f"http://{host}:{port}/"
    async with server:
        yield receiver
