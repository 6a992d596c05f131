"""Commands over HTTP: from a request to the engine's command, and from its reply to a response."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

from avow import canonical
from avow.api.authorization import demand_right_to_call
from avow.api.entity_tag import etag, read_etag
from avow.api.exchange import Exchange, Response
from avow.api.headers import idempotency_key, if_match, if_none_match
from avow.api.ingress import read_command_query, read_input
from avow.api.json_text import JsonValue
from avow.api.problems import MEDIA_TYPE
from avow.api.routes import record_path
from avow.engine.execute import Engine, Reply, Request
from avow.errors import ProblemError, reject

_TYPE = b'{"type":"/'
NO_VERSION = -1
"""An expected version that no record has: a condition that can't be met."""


class Commands:
    """Answers every POST."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, exchange: Exchange) -> Response:
        """Execute the command of a request, or replay its answer."""
        transition = exchange.route.transition
        policies = [t.by for t in exchange.route.transitions]
        demand_right_to_call(exchange.actor, policies, f"{exchange.entity.name}.{transition.command}")
        dry_run = read_command_query(exchange.query)
        key = idempotency_key(exchange.headers)
        if key is None:
            raise reject("idempotency-key-missing")
        expected_version = _expected_version(exchange)
        body = await exchange.json()
        request = Request(
            entity=exchange.entity.name,
            command=transition.command,
            record=exchange.record,
            input={},
            actor=exchange.actor,
            key=key,
            fingerprint=_fingerprint(exchange.record, body),
            request_id=exchange.request_id,
            expected_version=expected_version,
        )
        answer = self._rehearse if dry_run else self._execute
        return await answer(exchange, request, body)

    async def _execute(self, exchange: Exchange, request: Request, body: JsonValue) -> Response:
        try:
            typed = _with_input(exchange, request, body)
        except ProblemError:
            # The declaration may have changed since the key was first used: its answer still stands.
            known = await self._engine.known(request)
            if known is None:
                raise
            return _respond(exchange, known)
        return _respond(exchange, await self._engine.execute(typed))

    async def _rehearse(self, exchange: Exchange, request: Request, body: JsonValue) -> Response:
        """What the request would be answered with: its key's answer if it has one, or what is decided now."""
        known = await self._engine.known(request)
        if known is not None:
            return _respond(exchange, known)
        reply = await self._engine.execute(replace(_with_input(exchange, request, body), dry_run=True))
        if reply.problem is not None:
            return _respond(exchange, reply)
        return Response(200, reply.body, {"content-type": "application/json"})


def _with_input(exchange: Exchange, request: Request, body: JsonValue) -> Request:
    """The request with its typed arguments. Refuses what no decision has to be made for."""
    values = read_input(exchange.route.transition, body)
    if request.record is None and request.expected_version is not None:
        raise reject("precondition-failed", "What is about to be created has no version yet.")
    return request.with_input(values)


def _respond(exchange: Exchange, reply: Reply) -> Response:
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    replayed = {"idempotency-replayed": "true"} if reply.replayed else {}
    if reply.status >= 400:
        body = _below(exchange.root_path, reply.body)
        return Response(reply.status, body, {"content-type": MEDIA_TYPE, **replayed})
    headers = {"content-type": "application/json", **replayed}
    if reply.record is not None and reply.version is not None:
        headers["etag"] = etag(reply.record, reply.version)
        if reply.status == 201:
            headers["location"] = exchange.root_path + record_path(exchange.entity, reply.record)
    return Response(reply.status, reply.body, headers)


def _below(root_path: str, problem: bytes) -> bytes:
    """A kept problem with the address of its type below the mount; it is kept without a prefix."""
    return problem.replace(_TYPE, _TYPE[:-1] + root_path.encode("ascii") + b"/", 1) if root_path else problem


def _expected_version(exchange: Exchange) -> int | None:
    """The version that the conditions of a request name; NO_VERSION where they can't be met."""
    wanted, refused = if_match(exchange.headers), if_none_match(exchange.headers)
    exists = exchange.record is not None
    if refused is not None and refused.any and exists:
        return NO_VERSION
    if wanted is None or (wanted.any and exists):
        return None
    tags = [read_etag(tag) for tag in wanted.strong]
    versions = {tag[1] for tag in tags if tag is not None and tag[0] == exchange.record}
    if len(versions) > 1:
        raise reject("header-invalid", "If-Match names several versions of the record.")
    return versions.pop() if versions else NO_VERSION


def _fingerprint(record: UUID | None, body: JsonValue) -> bytes:
    """What makes a request the same again: its record and its body, however that is spelled."""
    text = json.dumps([str(record), body], sort_keys=True, separators=(",", ":"), default=_exact)
    return canonical.digest(text.encode())


def _exact(number: object) -> dict[str, str]:
    """A number that isn't an integer; the same digits are the same number."""
    return {"number": str(number)}
