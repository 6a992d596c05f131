"""One request and its response on the wire, between uvicorn's protocol and the application.

uvicorn's own cycle, with three things of ours: an answer's head and body leave in one write, what the
application fails to answer is answered with a problem, and a response that starts before its request has
ended closes the connection. It must never send a header that holds a control character.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from avow.api import problems
from avow.errors import Problem

_CONTROLS: Final = bytes(code for code in (*range(32), 127) if code != ord("\t"))
_NAME: Final = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_NAMES_MAX: Final = 1_000
_NO_BODY: Final = (204, 304)


class Cycle(RequestResponseCycle):
    """One request and its response."""

    _discards = False
    _head = b""

    async def send_500_response(self) -> None:
        """Answer for an application that failed to."""
        request_id = secrets.token_hex(16)
        self.logger.error("request %s was answered with internal-error", request_id)
        problem = Problem("internal-error", "The server failed to answer.")
        await send_answer(problems.answer(problem, request_id, self.scope["root_path"]), self.send)

    async def receive(self) -> Any:
        """What comes next of the request. Who reads on after the head of its answer has sent that head."""
        if self._head:
            self.transport.write(self._head)
            self._head = b""
        ended = self.response_complete or self.disconnected or not self.message_event.is_set()
        if ended or self.more_body or self.waiting_for_100_continue:
            return await super().receive()
        self.message_event.clear()  # all of the request is here, as nearly always: nobody has to wait
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """Take one message of the application; the head waits for the first of the body, as ASGI asks."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
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
        lines = [*self.default_headers, *headers]
        held = {name.lower(): value for name, value in lines}
        length, coding = held.get(b"content-length"), held.get(b"transfer-encoding")
        if length is not None:
            self.expected_content_length, self.chunked_encoding = int(length), False
        elif coding is not None or not (self.scope["method"] == "HEAD" or status in _NO_BODY):
            self.chunked_encoding = True
            if coding is None:
                lines.append((b"transfer-encoding", b"chunked"))
        if self.more_body:
            # A response that starts before the whole request has come is the connection's last one.
            # A client that still waits for 100 Continue has sent no body that could be discarded.
            self._discards = not self.waiting_for_100_continue
            self.keep_alive = False
        connection = held.get(b"connection")
        if connection is not None and _closes(connection):
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append((b"connection", b"close"))
        self._head = STATUS_LINE[status] + _block(lines, held)
        self.response_started, self.waiting_for_100_continue = True, False

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._discards and self.more_body and not more:
            # Left to uvicorn, the connection would close now, with bytes unread, and be reset before
            # the client has the answer. on_response_complete throws the rest of the body away first.
            self.keep_alive = True
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if more else b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            raise RuntimeError("the body is not as long as Content-Length says")
        self.transport.write(head + body if head else body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


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


_known_names = set[bytes]()


def _block(lines: list[tuple[bytes, bytes]], held: dict[bytes, bytes]) -> bytes:
    """Header lines as they are sent; refuses names that are no tokens, and control characters anywhere."""
    if not held.keys() <= _known_names:
        if not all(map(_NAME.fullmatch, held)):
            raise RuntimeError("a header's name is no token")
        if len(_known_names) < _NAMES_MAX:
            _known_names.update(held)
    block = b"".join([b"%b: %b\r\n" % line for line in lines])
    # Each line has its CR and its LF; whatever control character there is beyond those stands in a value.
    if len(block) - len(block.translate(None, _CONTROLS)) != 2 * len(lines):
        raise RuntimeError("a header holds a control character")
    return block + b"\r\n"
