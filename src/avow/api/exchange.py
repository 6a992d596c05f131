"""One request and its response, between ASGI's messages and our own values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from avow.api import problems
from avow.api.headers import Headers, content_length, negotiate
from avow.api.ingress import demand_no_query
from avow.api.routes import Route
from avow.errors import ProblemError, reject
from avow.model.actor import Actor, anonymous

BODY_BYTES_MAX = 1_048_576
BODY_S_MAX = 20.0
"""How long a body may take to arrive; no connection to the database is held meanwhile."""


class Exchange:
    """One request while it is being answered."""

    def __init__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], request_id: str
    ) -> None:
        self.request_id = request_id
        self.method: str = scope["method"]
        self.root_path: str = scope.get("root_path", "").rstrip("/")
        self.path = _path(scope, self.root_path)
        self.query: bytes = scope.get("query_string", b"")
        self.headers = Headers(scope["headers"])
        self.actor: Actor = anonymous("")
        self.record: UUID | None = None
        self._route: Route | None = None
        self._receive = receive

    @property
    def route(self) -> Route:
        """The route that the request takes; set once it is known."""
        if self._route is None:
            raise LookupError("the request has no route yet")
        return self._route

    @route.setter
    def route(self, route: Route) -> None:
        self._route = route

    def demand_framing(self) -> None:
        """Refuse, before anything is read, a body that is too long and an answer nobody wants."""
        length = content_length(self.headers)
        if length is not None and length > BODY_BYTES_MAX:
            raise reject("body-too-large", limit_bytes=BODY_BYTES_MAX)
        negotiate(self.headers)

    def demand_no_query(self) -> None:
        """Refuse any query parameter."""
        demand_no_query(self.query)

    def prefers_json(self) -> bool:
        """Whether a page for people is wanted as JSON."""
        return negotiate(self.headers, ("text/plain", "application/json")) == "application/json"

    async def body(self) -> bytes:
        """The whole body. Raises `body-too-large`, `request-timeout`; ConnectionError if the client left."""
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


def _path(scope: Mapping[str, Any], root_path: str) -> str:
    """The raw path below the mount."""
    raw: bytes | None = scope.get("raw_path")
    path = scope["path"] if raw is None else raw.split(b"?")[0].decode("latin-1")
    return path[len(root_path) :] if root_path and path.startswith(root_path + "/") else path


@dataclass(slots=True)
class Response:
    """One answer. `headers` are text; `raw_headers` are sent as they are."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Response:
        """A JSON document."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, body, {"content-type": "application/json", **headers})

    @classmethod
    def of_problem(cls, exchange: Exchange, error: ProblemError) -> Response:
        """A problem document."""
        answer = problems.answer_error(error, exchange.request_id, exchange.root_path)
        return cls(answer.status, answer.body, raw_headers=answer.headers)

    async def send(self, exchange: Exchange, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Send it; HEAD gets the headers alone."""
        sent = dict(self.headers)
        if self.body and not self.raw_headers:
            sent["content-length"] = str(len(self.body))
        if not self.raw_headers:
            sent.setdefault("cache-control", "no-store")
        held = {name for name, _ in self.raw_headers}
        if b"x-request-id" not in held:
            sent["x-request-id"] = exchange.request_id
        lines = [*self.raw_headers, *(problems.encode_header(name, value) for name, value in sent.items())]
        await send({"type": "http.response.start", "status": self.status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else self.body})
