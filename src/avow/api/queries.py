"""Reads over HTTP: one record, a page of records, a record's history, and why it is as it is."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from avow.api import cursor
from avow.api.authorization import demand_right_to_call
from avow.api.cursor import CursorValue
from avow.api.entity_tag import etag
from avow.api.exchange import Exchange, Response
from avow.api.headers import if_none_match
from avow.api.ingress import ListQuery, read_history_query, read_list_query, read_why_query
from avow.declare.loads import read_loads
from avow.engine.explain import history, why
from avow.errors import reject
from avow.kernel.command import Record
from avow.kernel.draft import Pool
from avow.kernel.policy import readable_fields
from avow.kernel.view import represent, seen_by
from avow.model.actor import Actor
from avow.model.system import System
from avow.store.loading import plan_record
from avow.store.reads import Listing, Reads

_PRIVATE = {"cache-control": "private, no-cache", "vary": "Authorization"}
"""A client may keep it for itself, and has to ask each time whether it is still current."""


class Queries:
    """Answers every GET of a record. `cursor_key` seals the cursors of lists."""

    def __init__(self, system: System, reads: Reads, cursor_key: bytes) -> None:
        self._system, self._reads, self._cursor_key = system, reads, cursor_key
        entities = system.entities
        self._plans = {e.name: plan_record(system, e, read_loads(e, entities)) for e in entities.values()}

    async def record(self, exchange: Exchange) -> Response:
        """One record, as the actor sees it."""
        wanted = _demand_reader(exchange)
        exchange.demand_no_query()
        unchanged = if_none_match(exchange.headers)
        entity, actor = exchange.entity, exchange.actor
        loaded = await self._reads.load(self._plans[entity.name], actor.tenant, wanted)
        record = loaded.records.get((entity.name, wanted))
        if record is None:
            raise reject("not-found")
        shown = seen_by(self._system, record, actor, loaded.now, loaded.records)
        if shown is None:
            raise reject("not-found")
        tag = etag(record.id, record.version)
        if unchanged is not None and unchanged.matches_weak(tag):
            return Response(304, headers={**_PRIVATE, "etag": tag})
        return Response.json(shown, {**_PRIVATE, "etag": tag})

    async def page(self, exchange: Exchange) -> Response:
        """A page of the records that the actor may read."""
        _demand_right_to_read(exchange)
        entity, actor = exchange.entity, exchange.actor
        query = read_list_query(entity, exchange.query)
        bound = _bound_to(exchange, query)
        after = self._open(query.page.cursor, bound)
        listing = Listing(
            query.filters, query.state, None if after is None else UUID(str(after)), query.page.limit
        )
        page = await self._reads.page(entity, actor, listing)
        items = [self._listed(record, actor, page.now) for record in page.records]
        return self._page_of(items, str(page.records[-1].id) if page.more else None, bound)

    def _listed(self, record: Record, actor: Actor, now: datetime) -> dict[str, Any]:
        """A record of a page: the page's own filter has settled that the actor may know it."""
        pool = Pool(self._system, actor, now, {record.key: record}, {})
        entity = self._system.entities[record.entity]
        return represent(self._system, record, readable_fields(entity, pool, record))

    async def history(self, exchange: Exchange) -> Response:
        """The entries of a record's history that the actor may see."""
        wanted = _demand_reader(exchange)
        page = read_history_query(exchange.query)
        actor = exchange.actor
        bound = f"history {json.dumps(actor.tenant)} {wanted}".encode()
        after = int(self._open(page.cursor, bound) or 0)
        found = await history(
            self._system, self._reads, actor, exchange.entity, wanted, after, page.limit + 1
        )
        if found is None:
            raise reject("not-found")
        items = found[: page.limit]
        return self._page_of(items, items[-1]["version"] if len(found) > page.limit else None, bound)

    async def why(self, exchange: Exchange) -> Response:
        """Why a record, or one field of it, is as it is (or was at a time)."""
        wanted = _demand_reader(exchange)
        query = read_why_query(exchange.entity, exchange.query)
        found = await why(
            self._system, self._reads, exchange.actor, exchange.entity, wanted, query.field, query.at
        )
        if found is None:
            raise reject("not-found")
        return Response.json(found, _PRIVATE)

    def _open(self, text: str | None, bound: bytes) -> CursorValue:
        return None if text is None else cursor.decode(text, [self._cursor_key], bound).get("after")

    def _page_of(self, items: list[dict[str, Any]], after: CursorValue, bound: bytes) -> Response:
        """A page; `after` is where the next one goes on, None on the last one."""
        page: dict[str, Any] = {"items": items}
        if after is not None:
            page["next"] = cursor.encode({"after": after}, self._cursor_key, bound)
        return Response.json(page, _PRIVATE)


def _demand_right_to_read(exchange: Exchange) -> None:
    entity = exchange.entity
    demand_right_to_call(exchange.actor, [entity.read], f"Reading {entity.plural}")


def _demand_reader(exchange: Exchange) -> UUID:
    """The id of the record that is to be read, for an actor who might read some record of its kind."""
    _demand_right_to_read(exchange)
    if exchange.record is None:
        raise LookupError("a record is read by its id")
    return exchange.record


def _bound_to(exchange: Exchange, query: ListQuery) -> bytes:
    """What a list's cursor belongs to: tenant, entity and filter."""
    entity = exchange.entity
    filters = {name: entity.fields[name].type.dump(value) for name, value in query.filters.items()}
    return json.dumps([exchange.actor.tenant, entity.name, query.state, filters], sort_keys=True).encode()
