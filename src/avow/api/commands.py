"""Commands over HTTP: from a request to the engine's command, and from its reply to a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from avow import canonical
from avow.api.authorization import RightToCall
from avow.api.entity_tag import etag_line, read_etag
from avow.api.exchange import JSON_LINE, PROBLEM_LINE, REPLAYED_LINE, Exchange, Response
from avow.api.headers import idempotency_key, if_match, if_none_match
from avow.api.ingress import InputReader, read_command_query
from avow.api.json_text import JsonValue
from avow.api.problems import encode_header
from avow.api.routes import Route, record_path
from avow.engine.execute import Engine, Reply, Request
from avow.errors import ProblemError, reject
from avow.model.entity import Entity
from avow.model.types import Value

_TYPE = b'{"type":"/'
NO_INPUT: Final[Mapping[str, Value]] = {}
NO_VERSION = -1
"""An expected version that no record has: a condition that can't be met."""


class Command:
    """Answers the POSTs of one route."""

    def __init__(self, route: Route, entity: Entity, engine: Engine) -> None:
        transition = route.transition
        self._entity, self._command, self._engine = entity, transition.command, engine
        self._inputs = InputReader(transition)
        self._right = RightToCall([t.by for t in route.transitions], f"{entity.name}.{transition.command}")

    async def answer(self, exchange: Exchange) -> Response:
        """Execute the command of a request, or replay its answer."""
        self._right.demand(exchange.actor)
        dry_run = bool(exchange.query) and read_command_query(exchange.query)
        key = idempotency_key(exchange.headers)
        conditional = b"if-match" in exchange.headers or b"if-none-match" in exchange.headers
        expected_version = _expected_version(exchange) if conditional else None
        body = await exchange.json()
        request = Request(
            self._entity.name, self._command, exchange.record, NO_INPUT, exchange.actor, key,
            fingerprint(exchange.record, body), exchange.request_id, expected_version,
        )  # fmt: skip
        if dry_run:
            return await self._rehearse(exchange, request, body)
        try:
            request.input = self._values(request, body)
        except ProblemError:
            # The declaration may have changed since the key was first used: its answer still stands.
            known = await self._engine.known(request)
            if known is None:
                raise
            return self._respond(exchange, known)
        return self._respond(exchange, await self._engine.execute(request))

    async def _rehearse(self, exchange: Exchange, request: Request, body: JsonValue) -> Response:
        """What the request would be answered with: its key's answer if it has one, or what is decided now."""
        known = await self._engine.known(request)
        if known is not None:
            return self._respond(exchange, known)
        request.input, request.dry_run = self._values(request, body), True
        reply = await self._engine.execute(request)
        if reply.problem is not None:
            return self._respond(exchange, reply)
        return Response(200, reply.body, (JSON_LINE,))

    def _values(self, request: Request, body: JsonValue) -> dict[str, Value]:
        """The typed arguments. Refuses what no decision has to be made for."""
        values = self._inputs.read(body)
        if request.record is None and request.expected_version is not None:
            raise reject("precondition-failed", "What is about to be created has no version yet.")
        return values

    def _respond(self, exchange: Exchange, reply: Reply) -> Response:
        if reply.problem is not None:
            raise ProblemError(reply.problem)
        replayed = (REPLAYED_LINE,) if reply.replayed else ()
        if reply.status >= 400:
            body = _below(exchange.root_path, reply.body)
            return Response(reply.status, body, (PROBLEM_LINE, *replayed))
        lines = [JSON_LINE, *replayed]
        if reply.record is not None and reply.version is not None:
            lines.append(etag_line(reply.record, reply.version))
            if reply.status == 201:
                place = exchange.root_path + record_path(self._entity, reply.record)
                lines.append(encode_header("location", place))
        return Response(reply.status, reply.body, lines)


def _below(root_path: str, problem: bytes) -> bytes:
    """A kept problem with the address of its type below the mount; it is kept without a prefix."""
    return problem.replace(_TYPE, _TYPE[:-1] + root_path.encode("ascii") + b"/", 1) if root_path else problem


def _expected_version(exchange: Exchange) -> int | None:
    """The version that the conditions of a request name; NO_VERSION where they can't be met."""
    wanted, refused = if_match(exchange.headers), if_none_match(exchange.headers)
    exists = exchange.record is not None
    if refused is not None and not refused.any:
        raise reject("header-invalid", "If-None-Match is * or nothing here; a version is named by If-Match.")
    if refused is not None and exists:
        return NO_VERSION
    if wanted is None or (wanted.any and exists):
        return None
    tags = [read_etag(tag) for tag in wanted.strong]
    versions = {tag[1] for tag in tags if tag is not None and tag[0] == exchange.record}
    if len(versions) > 1:
        raise reject("header-invalid", "If-Match names several versions of the record.")
    return versions.pop() if versions else NO_VERSION


def fingerprint(record: UUID | None, body: JsonValue) -> bytes:
    """What makes a request the same again: its record and its body, however that is spelled."""
    return canonical.digest(_same([str(record), body]).encode())


def _exact(number: object) -> dict[str, str]:
    """A number that isn't an integer; the same digits are the same number."""
    return {"number": str(number)}


_same: Final = canonical.compact(ensure_ascii=True, sort_keys=True, default=_exact)
"""Kept keys hold digests of what this writes: what it writes never changes."""
