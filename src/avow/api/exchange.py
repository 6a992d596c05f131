"""One request and its response, between ASGI's messages and our own values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote
from uuid import UUID

from avow import canonical
from avow.api import json_text, problems
from avow.api.deadline import TimeLimit
from avow.api.headers import Headers, content_length, demand_json_body, negotiate
from avow.api.ingress import demand_no_query
from avow.engine.request import Reply
from avow.errors import ProblemError, reject
from avow.model.actor import Actor

BODY_BYTES_MAX = 1_048_576
BODY_S_MAX = 20.0
"""How long a body may take to arrive; no connection to the database is held meanwhile."""

Line: TypeAlias = tuple[bytes, bytes]
"""One header line as ASGI has it: the name in lower case, and the value."""

JSON_LINE: Final[Line] = (b"content-type", b"application/json")
PROBLEM_LINE: Final[Line] = (b"content-type", problems.MEDIA_TYPE.encode("ascii"))
REPLAYED_LINE: Final[Line] = (b"idempotency-replayed", b"true")
VARY_LINE: Final[Line] = (b"vary", b"Authorization")
NO_STORE: Final[Line] = (b"cache-control", b"no-store")
PRIVATE: Final[Line] = (b"cache-control", b"private, no-cache")
"""A client may keep it for itself, and has to ask each time whether it is still current."""

_written: Final = canonical.compact()


class Exchange:
    """One request while it is being answered.

    path:     as it was sent, below the mount. root_path: the prefix of the mount, as it is sent.
    has_body: whether a body was announced (RFC 9112, section 6.3); one of no bytes is none.
    task:     the one that answers it.
    actor:    who asks, once that is known. record: the one that the path names; number: the work.
    """

    __slots__ = (
        "_body_limit", "_receive", "actor", "has_body", "headers", "method", "number", "path", "query",
        "record", "request_id", "root_path", "task",
    )  # fmt: skip

    def __init__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], request_id: str,
        nobody: Actor, task: asyncio.Task[Any], body_limit: TimeLimit,
    ) -> None:  # fmt: skip
        self.request_id = request_id
        self.method: str = scope["method"]
        self.root_path, self.path = _place(scope)
        self.query: bytes = scope.get("query_string", b"")
        self.headers = Headers(scope["headers"])
        self.has_body = False
        self.actor = nobody
        self.record: UUID | None = None
        self.number: int | None = None
        self.task = task
        self._receive, self._body_limit = receive, body_limit

    def demand_framing(self) -> None:
        """Refuse, before anything is read, a body that is too long and an answer nobody wants."""
        length = content_length(self.headers)
        if length is not None and length > BODY_BYTES_MAX:
            raise reject("body-too-large", limit_bytes=BODY_BYTES_MAX)
        self.has_body = bool(length) or b"transfer-encoding" in self.headers
        negotiate(self.headers)

    def demand_media_type(self) -> None:
        """Refuse a body that isn't JSON; where there is none, no type is needed."""
        if self.has_body:
            demand_json_body(self.headers)

    def demand_no_query(self) -> None:
        """Refuse any query parameter."""
        demand_no_query(self.query)

    def prefers_json(self) -> bool:
        """Whether a page for people is wanted as JSON."""
        return negotiate(self.headers, ("text/plain", "application/json")) == "application/json"

    async def json(self) -> json_text.JsonValue:
        """The JSON document in the body; without a body an object without members.

        Raises `json-invalid`, `body-too-large` and `request-timeout`.
        """
        return json_text.loads(await self.body()) if self.has_body else {}

    async def body(self) -> bytes:
        """The body, byte for byte. Raises `body-too-large` and `request-timeout`."""
        parts: list[bytes] = []
        size = 0
        try:
            with self._body_limit.span(self.task):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise reject("bad-request", "The body ended early.")
                    part = message.get("body", b"")
                    size += len(part)
                    if size > BODY_BYTES_MAX:
                        raise reject("body-too-large", limit_bytes=BODY_BYTES_MAX)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise reject("request-timeout", "The body did not arrive in time.") from None


def body_limit() -> TimeLimit:
    """The time that the bodies of an application's requests have."""
    return TimeLimit(BODY_S_MAX)


def _place(scope: Mapping[str, Any]) -> tuple[str, str]:
    """Prefix of the mount, and the raw path below it.

    A server gives the prefix decoded and the path also raw. The raw one counts, and the prefix is as
    many of its segments as it has, however they are spelled.
    """
    root: str = scope.get("root_path", "").rstrip("/")
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("latin-1")
    if not root:
        return "", path
    if not f"{scope['path']}/".startswith(f"{root}/"):
        return quote(root), path
    below = path.split("/")[root.count("/") + 1 :]
    return quote(root), f"/{'/'.join(below)}"


@dataclass(slots=True)
class Response:
    """One answer.

    lines:   headers; those that hold data were made by `problems.encode_header`.
    caching: the Cache-Control line; None: it is among `lines`, with all others there are.
    """

    status: int
    body: bytes = b""
    lines: Sequence[Line] = ()
    caching: Line | None = NO_STORE

    @classmethod
    def json(cls, value: Any, lines: Sequence[Line] = (), caching: Line = NO_STORE) -> Response:
        """A JSON document."""
        return cls(200, _written(value).encode(), (JSON_LINE, *lines), caching)

    @classmethod
    def of_reply(cls, reply: Reply) -> Response:
        """What the engine answers, as it is kept under the request's key."""
        return cls(reply.status, reply.body, (JSON_LINE, *((REPLAYED_LINE,) if reply.replayed else ())))

    @classmethod
    def of_problem(cls, exchange: Exchange, error: ProblemError) -> Response:
        """A problem document."""
        answer = problems.answer_error(error, exchange.request_id, exchange.root_path)
        return cls(answer.status, answer.body, answer.headers, None)

    def messages(self, exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
        """It as ASGI sends it, with what every answer carries; HEAD gets the headers alone."""
        lines = [*self.lines]
        if self.caching is not None:
            lines += (self.caching, (b"x-request-id", exchange.request_id.encode("ascii")))
            if self.body:
                lines.append((b"content-length", b"%d" % len(self.body)))
        body = b"" if exchange.method == "HEAD" else self.body
        return (
            {"type": "http.response.start", "status": self.status, "headers": lines},
            {"type": "http.response.body", "body": body},
        )
