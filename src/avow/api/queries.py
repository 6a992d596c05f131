"""Reads over HTTP: one record, a page of records, a record's history, and why it is as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from avow.api import cursor
from avow.api.authorization import RightToCall
from avow.api.cursor import CursorValue
from avow.api.entity_tag import etag, etag_line
from avow.api.exchange import PRIVATE, VARY_LINE, Exchange, Response
from avow.api.headers import if_match, if_none_match
from avow.api.ingress import (
    ListQuery,
    read_history_query,
    read_list_query,
    read_private,
    read_record_query,
    read_why_query,
)
from avow.canonical import JsonValue
from avow.declare.loads import read_loads
from avow.engine.as_of import as_it_was, page_as_it_was, page_of_then
from avow.engine.execute import Engine
from avow.engine.explain import history, why
from avow.errors import reject
from avow.kernel.command import Record
from avow.kernel.draft import Pool
from avow.kernel.plan import plans_of
from avow.kernel.policy import may_read, readable_fields
from avow.kernel.view import represent
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.loading import plan_record
from avow.store.reads import NO_TIME, Listing, Reads


class Queries:
    """Answers the GETs of one entity's records. `cursor_key` seals the cursors of lists."""

    def __init__(
        self, system: System, reads: Reads, cursor_key: bytes, entity: Entity, engine: Engine
    ) -> None:
        self._system, self._reads, self._cursor_key, self._entity = system, reads, cursor_key, entity
        self._engine = engine
        self._plan = plan_record(system, entity, read_loads(entity, system.entities))
        self._right = RightToCall([entity.read], f"Reading {entity.plural}")
        self._open_fields = system.derived(plans_of)[entity.name].open

    async def record(self, exchange: Exchange) -> Response:
        """One record, as the actor sees it."""
        wanted = self._demand_reader(exchange)
        as_of = read_record_query(exchange.query)
        wanted_tag, unchanged = if_match(exchange.headers), if_none_match(exchange.headers)
        if as_of is not None and wanted_tag is not None:
            raise reject("precondition-failed", "A record as of a time has no tag.")
        if as_of is not None:
            return await self._record_as_of(exchange, wanted, as_of)
        loaded = await self._reads.load(self._plan, exchange.actor.tenant, wanted)
        record = loaded.records.get((self._entity.name, wanted))
        if record is None:
            raise reject("not-found")
        pool = Pool(self._system, exchange.actor, loaded.now, dict(loaded.records), {})
        if not may_read(pool, record):
            raise reject("not-found")
        tag = etag(record.id, record.version)
        if wanted_tag is not None and not wanted_tag.matches_strong(tag):
            raise reject("precondition-failed")
        line = etag_line(record.id, record.version)
        if unchanged is not None and unchanged.matches_weak(tag):
            return Response(304, lines=(VARY_LINE, line), caching=PRIVATE)
        return Response.json(self._shown(pool, record), (VARY_LINE, line), PRIVATE)

    async def _record_as_of(self, exchange: Exchange, wanted: UUID, as_of: datetime) -> Response:
        """One record as it could be known at a time."""
        reads = await self._reads.as_of(as_of)
        shown = await as_it_was(self._system, reads, exchange.actor, self._entity, wanted)
        if shown is None:
            raise reject("not-found")
        return Response.json(shown, (VARY_LINE,), PRIVATE)

    async def page(self, exchange: Exchange) -> Response:
        """A page of the records that the actor may read."""
        return await self._page(exchange, {})

    async def find(self, exchange: Exchange) -> Response:
        """The same of those records that have these private values, which no address may hold."""
        self._right.demand(exchange.actor)
        wanted = read_private(self._entity, await exchange.json())
        if read_list_query(self._entity, exchange.query).as_of is not None:
            raise reject("input-invalid", "What is private can't be searched as of a time.")
        return await self._page(exchange, wanted)

    async def _page(self, exchange: Exchange, private: Mapping[str, JsonValue]) -> Response:
        self._right.demand(exchange.actor)
        actor = exchange.actor
        query = read_list_query(self._entity, exchange.query)
        blind = {}
        if private:
            blind = await self._engine.vault.blind(actor.tenant, self._entity.name, private)
        bound = self._bound_to(actor, query, blind)
        after = self._open(query.page.cursor, bound)
        if query.as_of is not None:
            return await self._page_as_of(actor, query, None if after is None else UUID(str(after)), bound)
        listing = Listing(
            query.filters, query.state, None if after is None else UUID(str(after)), query.page.limit, blind
        )
        page = await self._reads.page(self._entity, actor, listing)
        # The page's own condition has settled that the actor may know each of them.
        items = [self._listed(actor, record, page.now) for record in page.records]
        return self._page_of(items, str(page.records[-1].id) if page.more else None, bound)

    async def _page_as_of(self, actor: Actor, query: ListQuery, after: UUID | None, bound: bytes) -> Response:
        """A page of the records as they could be known at a time, of those that the actor may read today.

        Those that have changed since are taken back. One that didn't fit the filters then is left out, so a
        page may end before it is full.
        """
        reads = await self._reads.as_of(query.as_of or NO_TIME)
        wanted = {name: self._entity.fields[name].type.dump(value) for name, value in query.filters.items()}
        if query.state is not None:
            wanted["state"] = query.state
        listing = Listing(query.filters, query.state, after, query.page.limit)
        page, following = await page_of_then(reads, self._entity, actor, listing)
        known = await page_as_it_was(reads, actor, self._entity, page.records)
        items: list[dict[str, Any]] = []
        for record in page.records:
            if record.id not in known:
                continue
            if known[record.id] == record.version:
                shown = self._listed(actor, record, page.now)
            else:
                shown = await as_it_was(self._system, reads, actor, self._entity, record.id)
            if shown is not None and all(shown.get(name) == value for name, value in wanted.items()):
                items.append(shown)
        return self._page_of(items, None if following is None else str(following), bound)

    def _listed(self, actor: Actor, record: Record, now: datetime) -> dict[str, Any]:
        """A record of a page. Where all fields are open, nobody has to be asked about them."""
        if self._open_fields is not None:
            return represent(self._system, record, self._open_fields)
        return self._shown(Pool(self._system, actor, now, {record.key: record}, {}), record)

    def _shown(self, pool: Pool, record: Record) -> dict[str, Any]:
        """A record that the actor may know, with the fields that the actor may see."""
        return represent(self._system, record, readable_fields(self._entity, pool, record))

    async def history(self, exchange: Exchange) -> Response:
        """The entries of a record's history that the actor may see."""
        wanted = self._demand_reader(exchange)
        page, as_of = read_history_query(exchange.query)
        actor = exchange.actor
        bound = f"history {json.dumps(actor.tenant)} {wanted} {as_of}".encode()
        after = int(self._open(page.cursor, bound) or 0)
        reads = self._reads if as_of is None else await self._reads.as_of(as_of)
        found = await history(self._system, reads, actor, self._entity, wanted, after, page.limit + 1)
        if found is None:
            raise reject("not-found")
        items = found[: page.limit]
        return self._page_of(items, items[-1]["version"] if len(found) > page.limit else None, bound)

    async def why(self, exchange: Exchange) -> Response:
        """Why a record, or one field of it, is as it is (or was at a time)."""
        wanted = self._demand_reader(exchange)
        query = read_why_query(self._entity, exchange.query)
        reads = self._reads if query.as_of is None else await self._reads.as_of(query.as_of)
        found = await why(self._system, reads, exchange.actor, self._entity, wanted, query.field, query.at)
        if found is None:
            raise reject("not-found")
        return Response.json(found, (VARY_LINE,), PRIVATE)

    def _open(self, text: str | None, bound: bytes) -> CursorValue:
        return None if text is None else cursor.decode(text, [self._cursor_key], bound).get("after")

    def _page_of(self, items: list[dict[str, Any]], after: CursorValue, bound: bytes) -> Response:
        """A page; `after` is where the next one goes on, None on the last one."""
        page: dict[str, Any] = {"items": items}
        if after is not None:
            page["next"] = cursor.encode({"after": after}, self._cursor_key, bound)
        return Response.json(page, (VARY_LINE,), PRIVATE)

    def _demand_reader(self, exchange: Exchange) -> UUID:
        """The id of the record that is to be read, for an actor who might read some record of its kind."""
        self._right.demand(exchange.actor)
        if exchange.record is None:
            raise LookupError("a record is read by its id")
        return exchange.record

    def _bound_to(self, actor: Actor, query: ListQuery, blind: Mapping[str, bytes]) -> bytes:
        """What a list's cursor belongs to: tenant, entity and filter."""
        fields = self._entity.fields
        filters = {name: fields[name].type.dump(value) for name, value in query.filters.items()}
        bound = [actor.tenant, self._entity.name, query.state, filters]
        if query.as_of is not None:
            bound.append(query.as_of.isoformat())
        if blind:
            bound.append({name: value.hex() for name, value in blind.items()})
        return json.dumps(bound, sort_keys=True).encode()
