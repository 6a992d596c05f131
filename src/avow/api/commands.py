"""Commands over HTTP: from a request to the engine's command, and from its reply to a response."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from avow import canonical
from avow.api import json_text
from avow.api.entity_tag import Condition, etag, read_etag
from avow.api.exchange import Exchange, Response
from avow.api.headers import demand_json_body, idempotency_key, if_match, if_none_match
from avow.api.ingress import read_command_query, read_input
from avow.api.problems import no_credential
from avow.api.routes import Route, record_path
from avow.engine.execute import Engine, Reply, Request
from avow.errors import Problem, ProblemError, reject
from avow.kernel.policy import never_may
from avow.model.expression import render

NO_VERSION = -1
"""An expected version that no record has: a condition that can't be met."""


class Commands:
    """Answers every POST."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, exchange: Exchange) -> Response:
        """Execute the command of a request, or replay its answer."""
        route = exchange.route
        dry_run = read_command_query(exchange.query)
        length_known_zero = exchange.headers.one(b"content-length") == b"0"
        bare = length_known_zero or _has_no_body(exchange)
        if not bare:
            demand_json_body(exchange.headers)
        demand_right_to_call(exchange, route)
        key = idempotency_key(exchange.headers)
        if key is None and not dry_run:
            raise reject("idempotency-key-missing")
        raw = b"" if bare else await exchange.body()
        body = None if bare else json_text.loads(raw)
        request = Request(
            entity=_entity(route),
            command=route.transition.command,
            record=exchange.record,
            input={},
            actor=exchange.actor,
            key=key,
            fingerprint=_fingerprint(exchange.record, body),
            request_id=exchange.request_id,
            expected_version=_expected_version(exchange),
            dry_run=dry_run,
        )
        try:
            values = read_input(route.transition, body)
        except ProblemError:
            # The declaration may have changed since the key was first used: its answer still stands.
            known = None if dry_run else await self._engine.known(request)
            if known is None:
                raise
            return self._respond(exchange, known)
        return self._respond(exchange, await self._engine.execute(request.with_input(values)))

    def _respond(self, exchange: Exchange, reply: Reply) -> Response:
        if reply.problem is not None:
            raise ProblemError(reply.problem)
        failed = reply.status >= 400
        headers = {"content-type": "application/problem+json" if failed else "application/json"}
        if reply.replayed:
            headers["idempotency-replayed"] = "true"
        if not failed and reply.record is not None and reply.version is not None:
            headers["etag"] = etag(reply.record, reply.version)
            if reply.status == 201 and exchange.route.entity is not None:
                headers["location"] = exchange.root_path + record_path(exchange.route.entity, reply.record)
        return Response(reply.status, reply.body, headers)


def demand_right_to_call(exchange: Exchange, route: Route) -> None:
    """Refuse an actor to whom no record could ever permit the command: 401 without a credential, else 403."""
    if not all(never_may(t.by, exchange.actor) for t in route.transitions):
        return
    if not exchange.actor.authenticated:
        raise no_credential()
    rule = f"{_entity(route)}.{route.transition.name}"
    detail = f"{rule} is allowed to: {render(route.transition.by)}."
    raise ProblemError(Problem("forbidden", detail, {"rule": rule}))


def _entity(route: Route) -> str:
    if route.entity is None:
        raise LookupError("a command has an entity")
    return route.entity.name


def _has_no_body(exchange: Exchange) -> bool:
    """Neither a length nor chunks were announced: there is no body (RFC 9112, 6.3)."""
    headers = exchange.headers
    return headers.joined(b"content-length") is None and headers.joined(b"transfer-encoding") is None


def _expected_version(exchange: Exchange) -> int | None:
    """The version that If-Match names; one that no record has where it can't match."""
    wanted, refused = if_match(exchange.headers), if_none_match(exchange.headers)
    if refused is not None and refused.any and exchange.record is not None:
        return NO_VERSION
    if wanted is None or (wanted.any and exchange.record is not None):
        return None
    versions = [] if exchange.record is None else _versions(wanted, exchange.record)
    return max(versions, default=NO_VERSION)


def _versions(condition: Condition, record: UUID) -> list[int]:
    tags = [read_etag(tag) for tag in condition.strong]
    return [tag[1] for tag in tags if tag is not None and tag[0] == record]


def _fingerprint(record: UUID | None, body: Any) -> bytes:
    """What makes a request the same again: its record and its body, however that is spelled."""
    text = json.dumps([str(record), body], sort_keys=True, separators=(",", ":"), default=_exact)
    return canonical.digest(text.encode())


def _exact(number: object) -> dict[str, str]:
    """A number that isn't an integer; the same digits are the same number."""
    return {"number": str(number)}
