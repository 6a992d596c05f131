"""HTTP for one call: the function gets an answer, or an exception that says how the call ended.

What separates "certainly not done" from "nobody knows" is one moment: when the first byte of the request may
have left. It is seen here, at the connection, and not guessed from the kind of failure.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import httpcore2
import httpx2

from avow.engine.outside.addresses import Resolve, resolve
from avow.engine.outside.connections import CONNECT_S_MAX, connection_pool, default_tls
from avow.engine.outside.destination import Destination, Origin, origin_of
from avow.engine.outside.response import Response, body_of, cleared, demand_outcome, headers_of
from avow.engine.outside.trace import traceparent_below
from avow.model.effect import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX
from avow.model.outcome import NotDone, RequestTooLarge, Unclear

POOLS_MAX = 256
"""How many destinations keep connections at once; the one that was used longest ago gives way."""

USER_AGENT = f"avow/{version('avow')}"

READING = frozenset({"GET", "HEAD"})
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})
_SENDING = "http11.send_request_headers.started"

_ANYWHERE = Destination("anywhere")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a request's body may be, and an answer's; None: nobody reads that, and the status says all."""

    request_bytes_max: int = REQUEST_BYTES_MAX
    answer_bytes_max: int | None = ANSWER_BYTES_MAX


LIMITS = Limits()

Sent = list[bool]
"""Not empty as soon as a byte of the request may have left."""


class _Pool:
    """The connections of one destination, and how many requests are using them."""

    def __init__(self, destination: Destination, resolver: Resolve, ssl_context: ssl.SSLContext) -> None:
        self._private: Origin | None = destination.origin
        self._is_private = destination.allow_private
        self.connections = connection_pool(resolver, self._may_be_private, ssl_context)
        self.in_use = 0

    def _may_be_private(self, host: str, port: int) -> bool:
        return self._is_private and (self._private is None or self._private[1:] == (host, port))


class Outside:
    """The connections of this process to the outside; belongs to one event loop.

    Destinations that differ in anything, credentials too, share no connection.
    """

    def __init__(
        self,
        *,
        resolver: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._resolver, self._ssl_context, self._now = resolver, ssl_context, now
        self._pools = OrderedDict[object, _Pool]()

    def http(
        self,
        destination: Destination | None = None,
        *,
        key: str,
        deadline: float,
        traceparent: str | None = None,
        limits: Limits = LIMITS,
    ) -> Http:
        """The client of one call.

        destination: None for a URL of somebody else's choice, such as a subscriber's; it must be public.
        key:         the call's Idempotency-Key, the same on each attempt.
        deadline:    when the call must have ended, on the clock of `time.monotonic()`.
        traceparent: the trace that the call belongs to (W3C).
        limits:      how long requests and answers may be.
        """
        return Http(self, destination or _ANYWHERE, key, deadline, traceparent, limits)

    async def aclose(self) -> None:
        """Close every connection. What is still under way ends as if it were cut."""
        while self._pools:
            await self._pools.popitem()[1].connections.aclose()

    async def send(
        self,
        destination: Destination,
        request: httpx2.Request,
        content: bytes,
        deadline: float,
        *,
        idempotent: bool,
        answer_bytes_max: int | None = ANSWER_BYTES_MAX,
    ) -> Response:
        """One request and its answer. Raises NotDone, Unclear or AddressRefused, without what was sent."""
        at = f"{request.method} to {destination.name}"
        sent: Sent = []
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise NotDone(f"{at} had no time left")
        pool = await self._pool(destination)
        pool.in_use += 1
        try:
            async with asyncio.timeout(left_s):
                return await self._exchange(
                    pool, request, content, left_s, sent, at, idempotent, answer_bytes_max
                )
        except (TimeoutError, httpcore2.TimeoutException):
            raise what_it_means(f"{at} wasn't answered in time", sent, idempotent) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as failure:
            said = f"{at} failed: {type(failure).__name__}"
            raise what_it_means(said, sent, idempotent) from None
        finally:
            pool.in_use -= 1

    async def _exchange(
        self,
        pool: _Pool,
        request: httpx2.Request,
        content: bytes,
        left_s: float,
        sent: Sent,
        at: str,
        idempotent: bool,
        most: int | None,
    ) -> Response:
        async def watch(event: str, _: Mapping[str, Any]) -> None:
            if event == _SENDING:
                sent.append(True)

        limits = {"connect": min(left_s, CONNECT_S_MAX), "pool": left_s, "read": left_s, "write": left_s}
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        async with pool.connections.stream(
            request.method,
            url,
            headers=request.headers.raw,
            content=content,
            extensions={"timeout": limits, "trace": watch},
        ) as answer:
            headers = headers_of(answer)
            demand_outcome(answer.status, headers, idempotent=idempotent, now=self._now(), at=at)
            body = await (cleared(answer) if most is None else body_of(answer, headers, at, most))
            return Response(answer.status, headers, body)

    async def _pool(self, destination: Destination) -> _Pool:
        key = (destination, tuple(sorted(destination.headers.items())))
        pool = self._pools.get(key)
        if pool is None:
            pool = _Pool(destination, self._resolver, self._ssl_context or default_tls())
            self._pools[key] = pool
        self._pools.move_to_end(key)
        if len(self._pools) > POOLS_MAX:
            await self._close_one_idle()
        return pool

    async def _close_one_idle(self) -> None:
        newest = next(reversed(self._pools))
        idle = next((key for key, pool in self._pools.items() if not pool.in_use and key != newest), None)
        if idle is not None:
            await self._pools.pop(idle).connections.aclose()


class Http:
    """The client that an effect's function gets, bound to one call.

    Each request carries the call's Idempotency-Key unless it only reads, and may take the time that is left
    of the call. A function that writes twice to one service gives the second request a key of its own.
    """

    def __init__(
        self, outside: Outside, destination: Destination, key: str, deadline: float,
        traceparent: str | None, limits: Limits = LIMITS,
    ) -> None:  # fmt: skip
        self._outside, self._destination = outside, destination
        self._key, self._traceparent = key, traceparent
        self._limits, self._wrote = limits, False
        self.deadline = deadline

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        idempotent: bool | None = None,
    ) -> Response:
        """The answer, unless it leaves the outcome open.

        idempotent: whether the request may be repeated whatever became of it; by default GET and HEAD are.
        Raises NotDone where it certainly wasn't done or may be repeated, Unclear where nobody can know,
        RequestTooLarge where it is longer than may be sent, AddressRefused where the URL leads to where it
        must not, and ValueError for a request that can't be.
        """
        if not _METHOD.fullmatch(method) or method == "CONNECT":
            raise ValueError("the method of a request is a word in capitals, and not CONNECT")
        if json is not None and content is not None:
            raise ValueError("a request has json or content, and not both")
        request = httpx2.Request(
            method,
            target := self._destination.url(url),
            params=None if params is None else {**dict(target.params), **params},
            headers=self._headers(method, target, headers or {}),
            content=content,
            json=json,
        )
        repeats = method in READING if idempotent is None else idempotent
        body = request.read()
        self._demand_room(len(body), f"{method} to {self._destination.name}")
        self._wrote = self._wrote or method not in READING
        return await self._outside.send(
            self._destination, request, body, self.deadline, idempotent=repeats,
            answer_bytes_max=self._limits.answer_bytes_max,
        )  # fmt: skip

    def _demand_room(self, length: int, at: str) -> None:
        """Refuse what is too long to be sent; a definite no unless a part of the call was sent before."""
        if length <= self._limits.request_bytes_max:
            return
        said = f"{at} would be {length} bytes long, more than {self._limits.request_bytes_max}"
        raise Unclear(said, answered=True) if self._wrote else RequestTooLarge(said)

    async def get(self, url: str, **options: Any) -> Response:
        """`request("GET", ...)`."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> Response:
        """`request("POST", ...)`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Any) -> Response:
        """`request("PUT", ...)`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Any) -> Response:
        """`request("PATCH", ...)`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Any) -> Response:
        """`request("DELETE", ...)`."""
        return await self.request("DELETE", url, **options)

    def _headers(self, method: str, url: httpx2.URL, given: Mapping[str, str]) -> httpx2.Headers:
        """The caller's headers over the destination's over ours. Raises ValueError, without a value."""
        for name, value in given.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise ValueError("a header of the request has characters that no header can have")
            if name.lower() in _FRAMING:
                raise ValueError(f"the header {name.lower()} is not the caller's to set")
        headers = httpx2.Headers({"accept-encoding": "identity", "user-agent": USER_AGENT})
        if method not in READING:
            headers["idempotency-key"] = self._key
        if self._traceparent is not None:
            headers["traceparent"] = traceparent_below(self._traceparent)
        if origin_of(url) == self._destination.origin:
            headers.update(self._destination.headers)
        headers.update(given)
        return headers


def what_it_means(said: str, sent: Sent, idempotent: bool) -> NotDone | Unclear:
    """What a failure means: nothing left, or it may be repeated; or it may have been carried out."""
    return NotDone(said) if idempotent or not sent else Unclear(said)
