"""Reads over HTTP: one record, a page of records, a record's history, and why it is as it is."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from avow.api import cursor
from avow.api.entity_tag import etag
from avow.api.exchange import Exchange, Response
from avow.api.headers import if_none_match
from avow.api.ingress import ListQuery, read_history_query, read_list_query, read_why_query
from avow.api.problems import no_credential
from avow.declare.loads import read_loads
from avow.engine.explain import history, why
from avow.errors import ProblemError, reject
from avow.kernel.policy import never_may
from avow.kernel.view import represent, seen_by, visible_fields
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.loading import Loaded, plan_record
from avow.store.reads import Listing, Reads

_PRIVATE = {"cache-control": "private, no-cache", "vary": "Authorization"}


class Queries:
    """Answers every GET of a record. `cursor_key` seals the cursors of lists."""

    def __init__(self, system: System, reads: Reads, cursor_key: bytes) -> None:
        self._system, self._reads, self._cursor_key = system, reads, cursor_key
        entities = system.entities
        self._plans = {e.name: plan_record(system, e, read_loads(e, entities)) for e in entities.values()}

    async def now(self) -> None:
        """Ask the database for the time: it answers, or this raises."""
        await self._reads.now()

    async def record(self, exchange: Exchange) -> Response:
        """One record, as the actor sees it."""
        exchange.demand_no_query()
        entity = _entity(exchange)
        record_id = _demand_reader(exchange, entity)
        loaded = await self._load(exchange, entity, record_id)
        record = loaded.records[entity.name, record_id]
        shown = seen_by(self._system, record, exchange.actor, loaded.now, loaded.records)
        if shown is None:
            raise reject("not-found")
        tag = etag(record.id, record.version)
        unchanged = if_none_match(exchange.headers)
        if unchanged is not None and unchanged.matches_weak(tag):
            return Response(304, headers={**_PRIVATE, "etag": tag})
        response = Response.json(shown, etag=tag)
        response.headers |= _PRIVATE
        return response

    async def _load(self, exchange: Exchange, entity: Entity, record_id: UUID) -> Loaded:
        loaded = await self._reads.load(self._plans[entity.name], exchange.actor.tenant, record_id)
        if (entity.name, record_id) not in loaded.records:
            raise reject("not-found")
        return loaded

    async def page(self, exchange: Exchange) -> Response:
        """A page of the records that the actor may read."""
        entity = _entity(exchange)
        if not exchange.actor.authenticated and never_may(entity.read, exchange.actor):
            raise no_credential()
        query = read_list_query(entity, exchange.query)
        bound = _bound_to(exchange, entity, query)
        after = self._open(query.page.cursor, bound)
        listing = Listing(
            query.filters, query.state, None if after is None else UUID(str(after)), query.page.limit
        )
        page = await self._reads.page(entity, exchange.actor, listing)
        items = [
            represent(self._system, r, visible_fields(self._system, r, exchange.actor, page.now))
            for r in page.records
        ]
        response = Response.json(self._sealed(items, str(page.records[-1].id) if page.more else None, bound))
        response.headers |= _PRIVATE
        return response

    async def history(self, exchange: Exchange) -> Response:
        """The entries of a record's history that the actor may see."""
        entity = _entity(exchange)
        record_id = _demand_reader(exchange, entity)
        page = read_history_query(exchange.query)
        bound = f"history {exchange.actor.tenant} {record_id}".encode()
        after = self._open(page.cursor, bound)
        found = await history(
            self._system, self._reads, exchange.actor, entity, record_id, int(after or 0), page.limit + 1
        )
        if found is None:
            raise reject("not-found")
        items = found[: page.limit]
        last = items[-1]["version"] if len(found) > page.limit else None
        response = Response.json(self._sealed(items, last, bound))
        response.headers |= _PRIVATE
        return response

    async def why(self, exchange: Exchange) -> Response:
        """Why a record, or one field of it, is as it is (or was at a time)."""
        entity = _entity(exchange)
        record_id = _demand_reader(exchange, entity)
        query = read_why_query(entity, exchange.query)
        found = await why(self._system, self._reads, exchange.actor, entity, record_id, query.field, query.at)
        if found is None:
            raise reject("not-found")
        response = Response.json(found)
        response.headers |= _PRIVATE
        return response

    def _open(self, text: str | None, bound: bytes) -> Any:
        return None if text is None else cursor.decode(text, [self._cursor_key], bound).get("after")

    def _sealed(self, items: list[Any], after: Any, bound: bytes) -> dict[str, Any]:
        if after is None:
            return {"items": items}
        return {"items": items, "next": cursor.encode({"after": after}, self._cursor_key, bound)}


def _entity(exchange: Exchange) -> Entity:
    entity = exchange.route.entity
    if entity is None:
        raise LookupError("a read has an entity")
    return entity


def _demand_reader(exchange: Exchange, entity: Entity) -> UUID:
    """The record's id, unless nobody is asking and nobody may: then a credential is missing."""
    if not exchange.actor.authenticated and never_may(entity.read, exchange.actor):
        raise no_credential()
    if exchange.record is None:
        raise ProblemError(reject("not-found").problem)
    return exchange.record


def _bound_to(exchange: Exchange, entity: Entity, query: ListQuery) -> bytes:
    """What a list's cursor belongs to: tenant, entity, filter and order."""
    filters = {name: entity.fields[name].type.dump(value) for name, value in query.filters.items()}
    return json.dumps([exchange.actor.tenant, entity.name, query.state, filters], sort_keys=True).encode()
