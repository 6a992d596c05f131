"""The inbox over HTTP: a page of tasks, and what is done with one other than doing it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from avow.api import cursor
from avow.api.commands import fingerprint
from avow.api.exchange import PRIVATE, VARY_LINE, Exchange, Response
from avow.api.headers import idempotency_key
from avow.api.ingress import TaskQuery, read_members, read_task_query
from avow.api.problems import no_credential
from avow.api.routes import Operation
from avow.engine.inbox import Filter, Inbox, Intent
from avow.model import types as kinds
from avow.model.actor import Actor
from avow.model.types import Member, Value

REASON_LENGTH_MAX: Final = 1_000

_REASON: Final = Member("reason", kinds.Text(REASON_LENGTH_MAX), optional=True)
MEMBERS: Final[Mapping[Operation, tuple[Member, ...]]] = {
    Operation.CLAIM: (_REASON,),
    Operation.RELEASE: (_REASON,),
    Operation.DELEGATE: (Member("to", kinds.SubjectType()), _REASON),
    Operation.FOLLOW_UP: (Member("at", kinds.DateTimeType(), optional=True), _REASON),
}
"""What the body of each act may hold."""


class TaskDesk:
    """Answers requests about tasks. `cursor_key` seals the cursors of pages."""

    def __init__(self, inbox: Inbox, cursor_key: bytes) -> None:
        self._inbox, self._cursor_key = inbox, cursor_key
        self._entities = {entity.name: entity for entity in inbox.entities}

    async def page(self, exchange: Exchange) -> Response:
        """A page of the tasks that stand in the actor's inboxes."""
        actor = _somebody(exchange)
        query = read_task_query(self._entities, exchange.query)
        bound = _bound_to(actor, query)
        entity = None if query.entity is None else self._entities[query.entity]
        wanted = Filter(query.role, entity, query.mine, query.overdue)
        after = None if query.page.cursor is None else self._open(query.page.cursor, bound)
        found = await self._inbox.page(actor, wanted, after, query.page.limit)
        for item in found.items:
            item["path"] = exchange.root_path + item["path"]
        page: dict[str, Any] = {"items": found.items}
        if found.after is not None:
            due, task = found.after
            page["next"] = cursor.encode({"due": due, "task": str(task)}, self._cursor_key, bound)
        return Response.json(page, (VARY_LINE,), PRIVATE)

    def acting(self, operation: Operation) -> Callable[[Exchange], Awaitable[Response]]:
        """What answers requests for one kind of act."""

        async def answer(exchange: Exchange) -> Response:
            return await self._act(exchange, operation)

        return answer

    async def _act(self, exchange: Exchange, operation: Operation) -> Response:
        actor = _somebody(exchange)
        exchange.demand_no_query()
        key = idempotency_key(exchange.headers)
        if exchange.record is None:
            raise LookupError("a task is named by its id")
        body = await exchange.json()
        given = read_members(MEMBERS[operation], body)
        to, at = given.get("to"), given.get("at")
        intent = Intent(
            operation.value, exchange.record, actor, key, fingerprint(exchange.record, body),
            exchange.request_id, _text(given.get("reason")), None if to is None else str(to),
            at if isinstance(at, datetime) else None,
        )  # fmt: skip
        return Response.of_reply(await self._inbox.act(intent))

    def _open(self, text: str, bound: bytes) -> tuple[str, UUID]:
        held = cursor.decode(text, [self._cursor_key], bound)
        return str(held["due"]), UUID(str(held["task"]))


def _somebody(exchange: Exchange) -> Actor:
    if not exchange.actor.authenticated:
        raise no_credential()
    return exchange.actor


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _bound_to(actor: Actor, query: TaskQuery) -> bytes:
    """What a cursor belongs to: tenant and filter."""
    told = ["tasks", actor.tenant, query.role, query.entity, query.mine, query.overdue]
    return json.dumps(told).encode()
