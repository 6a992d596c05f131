"""A real uvicorn with a trivial application, and a client that speaks in raw bytes.

Fixtures: `client` (a fresh connection), `application` (what that connection's requests brought it), `hasty`
(a client of a server that doesn't wait long). `serving(limits)` makes further servers.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from avow.api.protocol import WireLimits, serve_config

WAIT_S = 60.0
LARGE_PIECES = 64
LIMITS = WireLimits(discard_timeout_s=0.5, url_bytes_max=1024, headers_bytes_max=4096)
HEAD_S = (0.7, 5.0, 50.0)
HASTY = WireLimits(header_timeout_s=HEAD_S[0], discard_timeout_s=0.5)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SERVED = "/served"
"""What is asked to see that a server serves others: it may come from the port of a client that was reset."""
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@dataclass
class Application:
    """A trivial ASGI application; the path says how it behaves.

    It notes what the connection from port `watched` asks: what an earlier test left running stays out.
    """

    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    watched: int = 0
    large_ended: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        watched = scope["client"][1] == self.watched and scope["path"] != SERVED
        if watched:
            self.paths.append(scope["path"])
            self.headers.append(scope["headers"])
        if scope["path"] == "/fail":
            raise RuntimeError("a secret")
        if scope["path"] not in ("/early", "/late"):
            body, more = b"", True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message["body"]
                more = message["more_body"]
            if watched:
                self.bodies.append(body)
        text = scope["path"].encode()
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.body", "body": text})
            return
        if scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(LARGE_PIECES):
                await send({"type": "http.response.body", "body": b"x" * 1024 * 1024, "more_body": True})
            self.large_ended.set()
            return
        start = [(b"content-length", b"%d" % len(text)), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": text})


@contextmanager
def serving(limits: WireLimits) -> Iterator[tuple[int, Application]]:
    """A server under these limits: its port and its application."""
    application = Application()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(serve_config(application, limits, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1], application
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        listener.close()


@pytest.fixture(scope="module")
def wire_server() -> Iterator[tuple[int, Application]]:
    with serving(LIMITS) as served:
        yield served


@pytest.fixture(name="application")
def fixture_application(wire_server: tuple[int, Application]) -> Application:
    application = wire_server[1]
    application.watched = 0  # before anything is cleared, or else a late request of the last test comes in
    for seen in (application.paths, application.bodies, application.headers):
        seen.clear()
    return application


@dataclass
class Response:
    """One parsed response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The code of the problem; fails unless it is a whole problem document that asks to be closed."""
        assert self.headers["content-type"] == "application/problem+json"
        document = json.loads(self.body)
        assert document["status"] == self.status
        assert document["request_id"] == self.headers["x-request-id"]
        assert self.headers["connection"] == "close"
        assert "server" not in self.headers
        return document["type"].removeprefix("/problems/")


class Client:
    """A socket that sends raw bytes and reads responses; reads fail the test after `WAIT_S`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self._unread = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def try_(self, data: bytes) -> Response | None:
        """Send it and read one response; None if the server closed instead."""
        try:
            return self.send(data).response()
        except (EOFError, ConnectionError):
            return None

    def end_sending(self) -> None:
        """Tell the server that nothing more comes."""
        self.socket.shutdown(socket.SHUT_WR)

    def response(self) -> Response:
        """Read one response; EOFError if the server closed instead."""
        while b"\r\n\r\n" not in self._unread:
            self._read()
        head, _, rest = self._unread.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(rest) < length:
            self._read()
            rest = self._unread.partition(b"\r\n\r\n")[2]
        self._unread = rest[length:]
        return Response(int(status.split()[1]), headers, rest[:length])

    def is_closed(self) -> bool:
        """Wait for the server to close; true if it sent nothing more before.

        Another connection is served before this returns, so that a request which the server took from
        this one by mistake has reached the application by then.
        """
        try:
            closed = not self._unread and self.socket.recv(1) == b""
        except ConnectionResetError:
            closed = True
        while not _is_served(self.port):
            continue  # it was too slow for a server that doesn't wait long
        return closed

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._unread += data


def _is_served(port: int) -> bool:
    with Client(port) as client:
        return client.try_(GET.replace(b" / ", f" {SERVED} ".encode())) is not None


@pytest.fixture(name="client")
def fixture_client(wire_server: tuple[int, Application], application: Application) -> Iterator[Client]:
    with Client(wire_server[0]) as client:
        application.watched = client.socket.getsockname()[1]
        yield client


@contextmanager
def answered(raw: bytes, status: int = 200, **limits: float) -> Iterator[tuple[Client, Response, float]]:
    """A client that was answered once by a server that waits no longer for a head, its answer, and how long.

    A busy machine is given as much time as it needs to send what it begins with.
    """
    for head_s in HEAD_S:
        made = WireLimits(header_timeout_s=head_s, **limits)
        with serving(made) as (port, _), Client(port) as client:
            response = client.try_(raw)
            if response is not None and response.status == status:
                yield client, response, head_s
                return
    raise TimeoutError(f"nothing was sent within {HEAD_S[-1]} s")


@pytest.fixture(scope="module", name="hasty_port")
def fixture_hasty_port() -> Iterator[int]:
    with serving(HASTY) as (port, _):
        yield port


@pytest.fixture(name="hasty")
def fixture_hasty(hasty_port: int) -> Iterator[Client]:
    """A client of a server that does not wait long for a head."""
    with Client(hasty_port) as client:
        yield client
