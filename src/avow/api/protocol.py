"""uvicorn's HTTP/1.1 protocol, made strict: what fails below the application is a problem document too.

Refused here, before the application sees anything: bad framing, a missing or double Host, addresses
and headers over their limits, requests that arrive too slowly. After a refusal the connection is
closed. It must never answer a request out of order, and never let one part of a message be read as
another (trailers as headers, bytes after an upgrade as a request).

The body's size and its deadline belong to the application; if that answers before the whole body
has come, the rest is thrown away within a bound, so that the client can still read the answer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from avow.api import headers, problems
from avow.api.cycle import Cycle, busy
from avow.errors import Problem, ProblemError, reject

SERVED_VERSIONS: Final = ("1.0", "1.1")
# A header line costs its name, its value, and four bytes for colon, space, CR and LF.
HEADER_LINE_BYTES: Final = 4
# A number, which is found at once: bytes are looked for among bytes only after an error that nobody sees.
FRAGMENT: Final = ord("#")


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one connection may cost before the application is asked, and how many there may be.

    concurrency_max: how many requests the application may be answering at once; None: no limit.
    """

    url_bytes_max: int = 8 * 1024
    headers_bytes_max: int = 32 * 1024
    header_lines_max: int = 100
    header_timeout_s: float = 10.0
    keep_alive_timeout_s: int = 65
    write_timeout_s: float = 30.0
    discard_bytes_max: int = 1024 * 1024
    discard_timeout_s: float = 2.0
    connections_max: int = 900  # most systems allow a process 1024 open files
    concurrency_max: int | None = None


class StrictHttpProtocol(HttpToolsProtocol):
    """One connection. Make the class for a configuration with `protocol_class`."""

    limits: ClassVar[WireLimits] = WireLimits()
    app: Any
    cycle: Any  # a Cycle, once there has been a request: uvicorn has one of its own
    pipeline: Any  # of cycles with the applications that will answer them
    url: bytes

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.limit_concurrency = None  # its answer would be plain text; see _start
        self._in_head = True  # no body is expected next
        self._begun = False  # the first byte of a message has come, its last has not
        self._crossed_in_this_read = False  # a head or a message ended in the bytes just read
        self._head_bytes = 0  # in reads that brought nothing but an unfinished head
        self._header_bytes = 0
        self._discarded_bytes = 0
        self._deaf = False  # nothing more is read from this connection
        self._refusal: Problem | None = None
        self._idle_since_s: float | None = None  # nothing is asked and nothing owed since then
        self._idle_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._discard_timer: asyncio.TimerHandle | None = None

    # --- the connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections_max:
            self._refuse(Problem("busy", "The server has as many connections as it can hold."))
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        self.connections.discard(self)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnect()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser: Any = None  # it holds this protocol

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._idle_since_s = None
        self._crossed_in_this_read = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The bytes behind an upgrade would be in another protocol: answer, read no more, close.
            self._deaf = True
            self.cycle.keep_alive = False
        except httptools.HttpParserInvalidMethodError:
            self._refuse(Problem("method-unknown", "The method is not one of HTTP's."))
        except httptools.HttpParserError as error:
            cause = error.__context__
            malformed = Problem("bad-request", "The framing of the request is malformed.")
            self._refuse(cause.problem if isinstance(cause, ProblemError) else malformed)
        else:
            if self._in_head and (self._begun or not self._crossed_in_this_read):
                self._bound_unfinished_head(len(data))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_timer = _cancel(self._write_timer)

    # --- the parser's callbacks -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._deaf:
            raise reject("bad-request", "The connection is closing.")  # stops the parser; is never sent
        self.url, self.headers = b"", []
        self._begun = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self.limits.url_bytes_max:
            raise reject("uri-too-long", "The address is too long.", limit_bytes=self.limits.url_bytes_max)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self.headers.append((name.lower(), value))
            return
        # A trailer: uvicorn would put it among the headers that the application reads.
        self._header_bytes += len(name) + len(value) + HEADER_LINE_BYTES
        if self._header_bytes > self.limits.headers_bytes_max:
            raise self._headers_too_large()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._crossed_in_this_read = True
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer = _cancel(self._head_timer)
        parser = self.parser
        version, method = parser.get_http_version(), parser.get_method()
        if version not in SERVED_VERSIONS:
            raise reject("bad-request", "The HTTP version is not 1.0 or 1.1.")
        if method == b"CONNECT":
            raise reject("method-unknown", "CONNECT is not served.")
        expects = self._check_lines(version)
        keep_alive = version != "1.0" and parser.should_keep_alive()
        self._begin_cycle(self._scope(version, method), keep_alive, expects)

    def _check_lines(self, version: str) -> bool:
        """Refuse header lines that can't be served; whether the client waits for 100 Continue."""
        count = len(self.headers)
        self._header_bytes = sum(map(len, chain.from_iterable(self.headers))) + HEADER_LINE_BYTES * count
        if count > self.limits.header_lines_max or self._header_bytes > self.limits.headers_bytes_max:
            raise self._headers_too_large()
        lines = headers.Headers(self.headers)
        if version != "1.0" or b"host" in lines:
            headers.host(lines)
        coding = lines.joined(b"transfer-encoding") if b"transfer-encoding" in lines else None
        if coding is not None and coding.strip().lower() != b"chunked":
            raise reject("bad-request", "The only transfer coding that is read is chunked.")
        if coding is not None and version == "1.0":
            # Who is between may not know chunks, and see another message end there (RFC 9112, section 6.1).
            raise reject("bad-request", "HTTP/1.0 has no transfer codings.")
        expected = lines.joined(b"expect") if b"expect" in lines else None
        return expected is not None and expected.lower() == b"100-continue"

    def _scope(self, version: str, method: bytes) -> dict[str, Any]:
        """The request as ASGI has it."""
        url = httptools.parse_url(self.url)
        if FRAGMENT in self.url:
            raise reject("bad-request", "The address of a request has no fragment.")
        path = url.path.decode("ascii")
        return {
            "type": "http", "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version, "method": method.decode("ascii"), "scheme": self.scheme,
            "root_path": self.root_path, "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode("ascii") + url.path, "query_string": url.query or b"",
            "headers": self.headers, "server": self.server, "client": self.client,
            "state": self.app_state.copy(),
        }  # fmt: skip

    def _begin_cycle(self, scope: dict[str, Any], keep_alive: bool, expects: bool) -> None:
        """Start the application on the request, or let it wait for those before it on this connection."""
        earlier = self.cycle
        self.cycle = Cycle(
            scope, self.transport, self.flow, self.server_state.default_headers, keep_alive, expects,
            self.on_response_complete,
        )  # fmt: skip
        if earlier is None or earlier.response_complete:
            self._start(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self.limits.discard_bytes_max:
                self._close()
            return
        cycle.bring(body)
        if cycle.held_bytes > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._begun = False
        self._crossed_in_this_read = True
        cycle = self.cycle
        if cycle.response_complete:
            self._close()
            return
        cycle.end()

    # --- the application's answers --------------------------------------------------------------

    def _start(self, cycle: Cycle, app: Any) -> None:
        limit = self.limits.concurrency_max
        if limit is not None and len(self.tasks) >= limit:
            app = busy
        task = self.loop.create_task(cycle.run(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start(*self.pipeline.pop())
        else:
            self._idle_since_s = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._idle_is_over)
        if self._refusal is not None and self._idle():
            self._write_refusal(self._refusal)
        elif self.cycle.response_complete and self.cycle.more_body:
            self._idle_since_s = None
            self._discard_timer = self.loop.call_later(self.limits.discard_timeout_s, self._close)

    def _idle_is_over(self) -> None:
        """Close, if nothing was asked for long enough. One timer serves all of a connection's pauses."""
        self._idle_timer = None
        if self._idle_since_s is None:
            return
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._idle_is_over)
        else:
            self._close()

    # --- refusing -------------------------------------------------------------------------------

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem and close, but never before an answer that is still owed."""
        if self.transport.is_closing():
            return
        self._deaf = True
        self._head_timer = _cancel(self._head_timer)
        cycle = self.cycle
        if cycle is not None and cycle.more_body:
            self._abandon(cycle, problem)
        elif self._idle():
            self._write_refusal(problem)
        else:
            self._refusal = problem

    def _abandon(self, cycle: Cycle, problem: Problem) -> None:
        """The fault stands in the body of a request that the application may already be reading."""
        started, complete = cycle.response_started, cycle.response_complete
        cycle.disconnect()
        waiting = [entry for entry in self.pipeline if entry[0] is cycle]
        if waiting:
            self.pipeline.remove(waiting[0])
            cycle.response_complete = True
            self._refusal = problem
        elif started or complete:
            self._close()
        else:
            cycle.response_complete = True
            self._write_refusal(problem)

    def _idle(self) -> bool:
        cycle = self.cycle
        return not self.pipeline and (cycle is None or cycle.response_complete)

    def _write_refusal(self, problem: Problem) -> None:
        answer = problems.answer(problem, secrets.token_hex(16), self.root_path, {"connection": "close"})
        lines = [*self.server_state.default_headers, *answer.headers]
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        status_line = b"HTTP/1.1 %d \r\n" % answer.status
        # The length stays: it is that of what a GET would be answered with.
        body = b"" if self.parser.get_method() == b"HEAD" else answer.body
        self.transport.write(status_line + head + b"\r\n" + body)
        # What the client still sends is read and thrown away for a moment: closing with unread bytes
        # would reset the connection, and the client might never see the answer.
        self._idle_since_s = None
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._discard_timer = self.loop.call_later(self.limits.discard_timeout_s, self._close)

    def eof_received(self) -> None:
        """The client sends no more: nothing is left to be thrown away."""
        if self._discard_timer is not None:
            self._close()

    def _close(self) -> None:
        self._deaf = True
        self._stop_timers()
        self.transport.close()

    # --- bounds ---------------------------------------------------------------------------------

    def _bound_unfinished_head(self, received_bytes: int) -> None:
        if self._deaf:
            return
        # Whatever came, even a lone CR LF, has ended the pause between requests: this timer takes over.
        self._start_head_timer()
        if not self._crossed_in_this_read:
            self._head_bytes += received_bytes
        if self._head_bytes > self.limits.url_bytes_max + self.limits.headers_bytes_max:
            self._refuse(self._headers_too_large().problem)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.header_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._begun:
            self._refuse(Problem("request-timeout", "The head of the request did not arrive in time."))
        elif self._idle():
            self._close()

    def _headers_too_large(self) -> ProblemError:
        return reject(
            "headers-too-large", "The headers are too large.", limit_bytes=self.limits.headers_bytes_max
        )

    def _stop_timers(self) -> None:
        self._idle_timer = _cancel(self._idle_timer)
        self._head_timer = _cancel(self._head_timer)
        self._write_timer = _cancel(self._write_timer)
        self._discard_timer = _cancel(self._discard_timer)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def protocol_class(limits: WireLimits) -> type[StrictHttpProtocol]:
    """The protocol under these limits, as `uvicorn.Config(http=...)` wants it."""
    return type("StrictHttpProtocol", (StrictHttpProtocol,), {"limits": limits})


def serve_config(app: Callable[..., Any], limits: WireLimits | None = None, **settings: Any) -> Config:
    """uvicorn's configuration for the strict protocol; `settings` are further ones (host, port, ...).

    No Server header, a Date header; no access log, which would hold query strings; forwarded headers
    are believed from nobody; no WebSockets.
    """
    limits = limits or WireLimits()
    fixed: dict[str, Any] = {
        "http": protocol_class(limits),
        "ws": "none",
        "interface": "asgi3",
        "server_header": False,
        "date_header": True,
        "access_log": False,
        "proxy_headers": False,
        "log_config": None,
        "timeout_keep_alive": limits.keep_alive_timeout_s,
    }
    return Config(app, **(fixed | settings))
