"""A tiny real server that does one thing to each request, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Heard:
    """What one server was sent."""

    port: int
    requests: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def headers(self, number: int = -1) -> dict[str, str]:
        lines = self.requests[number].decode("latin-1").split("\r\n\r\n", 1)[0].split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    def start(self, number: int = -1) -> str:
        return self.requests[number].decode("latin-1").split("\r\n", 1)[0]


def answering(status: int, body: bytes = b"{}", *headers: str, length: int | None = None) -> Behave:
    """Answers so; with a longer length than the body, the answer is cut."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        lines = [
            f"HTTP/1.1 {status} X",
            f"content-length: {len(body) if length is None else length}",
            *headers,
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        if length is not None:
            writer.close()

    return behave


async def cutting(writer: asyncio.StreamWriter) -> None:
    """Hangs up without a word."""
    writer.close()


async def babbling(writer: asyncio.StreamWriter) -> None:
    """Answers with what isn't HTTP."""
    writer.write(b"hello?\r\n\r\n")
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def serving(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncIterator[Heard]:
    """The server, until the block ends; what still stalls then is cut."""
    tasks = set[asyncio.Task[None]]()
    heard = Heard(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                size = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                heard.requests.append(head + await reader.readexactly(size))
                heard.arrived.set()
                await behave(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()
        left = list(tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
