"""One request and its response on the wire, between the protocol and the application.

An answer's head and body leave in one write, what the application fails to answer is answered with a
problem, and a response that starts before its request has ended closes the connection. It must never send a
header that holds a control character.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from avow.api import problems
from avow.errors import Problem

_CONTROLS: Final = bytes(code for code in (*range(32), 127) if code != ord("\t"))
_NAME: Final = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_NAMES_MAX: Final = 1_000
_NO_BODY: Final = (204, 304)

_log = logging.getLogger("uvicorn.error")


class Cycle:
    """One request and its response.

    keep_alive: whether the connection goes on after it. expects: whether the client waits for 100 Continue.
    on_response: called once the response is complete.

    The protocol brings the body as it comes, and says when it ends or will not end any more.
    """

    disconnected = False
    held_bytes = 0  # of the body, which the application hasn't asked for
    more_body = True
    response_started = False
    response_complete = False
    _chunked = False
    _discards = False
    _has_news = False  # something has come that the application hasn't been told
    _news: asyncio.Event | None = None  # for who waits for it; nearly nobody has to
    _head = b""
    _left = 0  # what the body is short of Content-Length

    def __init__(
        self, scope: dict[str, Any], transport: asyncio.Transport, flow: FlowControl,
        default_headers: Sequence[tuple[bytes, bytes]], keep_alive: bool, expects: bool,
        on_response: Callable[[], None],
    ) -> None:  # fmt: skip
        self.scope, self._transport, self._flow = scope, transport, flow
        self._default_headers, self._on_response = default_headers, on_response
        self.keep_alive, self._expects = keep_alive, expects
        self._parts: list[bytes] = []

    def bring(self, part: bytes) -> None:
        """Take a part of the body."""
        self._parts.append(part)
        self.held_bytes += len(part)
        self._has_news = True
        if self._news is not None:
            self._news.set()

    def end(self) -> None:
        """The body has come."""
        self.more_body = False
        self._has_news = True
        if self._news is not None:
            self._news.set()

    def disconnect(self) -> None:
        """Nothing more comes, and nothing can be sent."""
        self.disconnected = True
        if self._news is not None:
            self._news.set()

    async def run(self, app: Any) -> None:
        """Have the application answer; what it fails to answer is answered for it."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  an answer is owed, whatever went wrong
            _log.error("the application failed", exc_info=error)
            await self._answer_for_it()
        else:
            if not self.response_complete and not self.disconnected:
                _log.error("the application returned without a whole response")
                await self._answer_for_it()
        finally:
            self._on_response = _nothing

    async def _answer_for_it(self) -> None:
        """A problem, where no response has started yet; otherwise nothing but the end."""
        if self.response_started:
            self._transport.close()
            return
        request_id = secrets.token_hex(16)
        _log.error("request %s was answered with internal-error", request_id)
        problem = Problem("internal-error", "The server failed to answer.")
        await send_answer(problems.answer(problem, request_id, self.scope["root_path"]), self.send)

    async def receive(self) -> dict[str, Any]:
        """What comes next of the request. Who reads on after the head of its answer has sent that head."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        if self._expects and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects = False
        if not self.disconnected and not self.response_complete:
            if self._flow.read_paused:
                self._flow.resume_reading()
            if not self._has_news:
                await self._wait()
            self._has_news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self._parts, self.held_bytes = b"".join(self._parts), [], 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait(self) -> None:
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        await self._news.wait()

    async def send(self, message: Any) -> None:
        """Take one message of the application; the head waits for the first of the body, as ASGI asks."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != expected or self.response_complete:
            raise RuntimeError(f"the application sent {message['type']} out of order")
        if self.response_started:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            self._start(message["status"], message.get("headers", ()))

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines = [*self._default_headers, *headers]
        held = _checked(lines)
        length, coding = held.get(b"content-length"), held.get(b"transfer-encoding")
        if length is not None:
            self._left = int(length)
        elif coding is not None or not (self.scope["method"] == "HEAD" or status in _NO_BODY):
            self._chunked = True
            if coding is None:
                lines.append((b"transfer-encoding", b"chunked"))
        if self.more_body:
            # A response that starts before the whole request has come is the connection's last one.
            # A client that still waits for 100 Continue has sent no body that could be discarded.
            self._discards = not self._expects
            self.keep_alive = False
        connection = held.get(b"connection")
        if connection is not None and _closes(connection):
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append((b"connection", b"close"))
        self._head = STATUS_LINE[status] + _block(lines)
        self.response_started, self._expects = True, False

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._discards and self.more_body and not more:
            # Closed now, with bytes unread, the connection would be reset before the client has the answer.
            # on_response throws the rest of the body away first.
            self.keep_alive = True
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self._left, body = 0, b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if more else b"0\r\n\r\n"
        else:
            self._left -= len(body)
        if self._left < 0 or (self._left and not more):
            raise RuntimeError("the body is not as long as Content-Length says")
        self._transport.write(head + body if head else body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        if self._news is not None:
            self._news.set()
        if not self.keep_alive:
            self._transport.close()
        self._on_response()


def _nothing() -> None:
    """Nobody is to be told any more."""


async def busy(scope: Any, _receive: Any, send: Any) -> None:
    """The application of a server that has as many requests as it can hold."""
    problem = Problem("busy", "The server has as many requests as it can hold.")
    await send_answer(problems.answer(problem, secrets.token_hex(16), scope["root_path"]), send)


async def send_answer(answer: problems.Answer, send: Any) -> None:
    """Send a whole answer as an application does."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def _closes(connection: bytes) -> bool:
    return b"close" in [token.strip() for token in connection.lower().split(b",")]


_known_names: set[bytes] = set()


def _checked(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header lines by lower-case name. Refuses names that are no tokens."""
    held = dict(lines)
    if held.keys() <= _known_names:
        return held
    held = {name.lower(): value for name, value in lines}
    if not all(map(_NAME.fullmatch, held)):
        raise RuntimeError("a header's name is no token")
    if len(_known_names) < _NAMES_MAX:
        _known_names.update(held)
    return held


def _block(lines: list[tuple[bytes, bytes]]) -> bytes:
    """Header lines as they are sent, names checked; refuses control characters anywhere."""
    block = b"\r\n".join([*map(b": ".join, lines), b"", b""])
    # Each line has its CR and its LF, and so has the end; a control character beyond those stands in a value.
    if len(block) - len(block.translate(None, _CONTROLS)) != 2 * (len(lines) + 1):
        raise RuntimeError("a header holds a control character")
    return block
