"""One request and its response, between ASGI's messages and our own values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import UUID

from avow.api import json_text, problems
from avow.api.headers import Headers, content_length, demand_json_body, negotiate
from avow.api.ingress import demand_no_query
from avow.api.routes import Match, Route
from avow.errors import ProblemError, reject
from avow.model.actor import Actor, anonymous
from avow.model.entity import Entity

BODY_BYTES_MAX = 1_048_576
BODY_S_MAX = 20.0
"""How long a body may take to arrive; no connection to the database is held meanwhile."""


class Exchange:
    """One request while it is being answered.

    path:      as it was sent, below the mount. root_path: the prefix of the mount, as it is sent.
    has_body:  whether a body was announced (RFC 9112, section 6.3); one of no bytes is none.
    """

    def __init__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], request_id: str
    ) -> None:
        self.request_id = request_id
        self.method: str = scope["method"]
        self.root_path, self.path = _place(scope)
        self.query: bytes = scope.get("query_string", b"")
        self.headers = Headers(scope["headers"])
        self.has_body = False
        self.actor: Actor = anonymous("")
        self._taken: tuple[Route, Match] | None = None
        self._receive = receive

    def take(self, route: Route, match: Match) -> None:
        """The request takes this route."""
        self._taken = route, match

    @property
    def route(self) -> Route:
        """The route that the request has taken."""
        if self._taken is None:
            raise LookupError("the request has no route yet")
        return self._taken[0]

    @property
    def entity(self) -> Entity:
        """The entity whose records the request is about."""
        if self.route.entity is None:
            raise LookupError("a page of the server itself is about no entity")
        return self.route.entity

    @property
    def record(self) -> UUID | None:
        """The record that the path names; None for a list or a creation."""
        return None if self._taken is None else self._taken[1].id

    def demand_framing(self) -> None:
        """Refuse, before anything is read, a body that is too long and an answer nobody wants."""
        length = content_length(self.headers)
        if length is not None and length > BODY_BYTES_MAX:
            raise reject("body-too-large", limit_bytes=BODY_BYTES_MAX)
        self.has_body = bool(length) or self.headers.joined(b"transfer-encoding") is not None
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
        return json_text.loads(await self._body()) if self.has_body else {}

    async def _body(self) -> bytes:
        parts, size = list[bytes](), 0
        try:
            async with asyncio.timeout(BODY_S_MAX):
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


def _place(scope: Mapping[str, Any]) -> tuple[str, str]:
    """Prefix of the mount, and the raw path below it.

    A server gives the prefix decoded and the path also raw. The raw one counts, and the prefix is as
    many of its segments as it has, however they are spelled.
    """
    root: str = scope.get("root_path", "").rstrip("/")
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.split(b"?")[0].decode("latin-1")
    if not root or not f"{scope['path']}/".startswith(f"{root}/"):
        return quote(root), path
    below = path.split("/")[root.count("/") + 1 :]
    return quote(root), f"/{'/'.join(below)}"


@dataclass(slots=True)
class Response:
    """One answer. `headers` are text; `raw_headers` are sent as they are."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    @classmethod
    def json(cls, value: Any, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON document."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(200, body, {"content-type": "application/json", **(headers or {})})

    @classmethod
    def of_problem(cls, exchange: Exchange, error: ProblemError) -> Response:
        """A problem document."""
        answer = problems.answer_error(error, exchange.request_id, exchange.root_path)
        return cls(answer.status, answer.body, raw_headers=answer.headers)

    async def send(self, exchange: Exchange, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Send it, with what every answer carries; HEAD gets the headers alone."""
        lines = [*self.raw_headers, *(problems.encode_header(*header) for header in self.headers.items())]
        held = {name for name, _ in lines}
        common = {"x-request-id": exchange.request_id, "cache-control": "no-store"}
        if self.body:
            common["content-length"] = str(len(self.body))
        lines += [
            problems.encode_header(*header) for header in common.items() if header[0].encode() not in held
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else self.body})
