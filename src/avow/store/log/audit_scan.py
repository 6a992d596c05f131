"""Everything that verification reads: the whole log in order, the rows it led to, in one snapshot.

Memory is flat: a batch of entries and their rows at a time. This module must never write; its transaction
is read-only and is never committed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from avow.errors import UsageError
from avow.evidence.awaited import Held, Waiting
from avow.evidence.boundaries import Boundaries, Edge, read_boundaries
from avow.evidence.chain import Live
from avow.model.entity import Entity
from avow.model.system import System, keeps_private
from avow.model.trigger import EVENTS
from avow.store.canonical_columns import canonical_fields, canonical_instant, json_fields, performer_columns
from avow.store.log.scan import STATEMENT_S_MAX, LogScan
from avow.store.queue import DELIVERIES
from avow.store.schema.rights import no_tables
from avow.store.schema.tables import Roles, table_of
from avow.store.statements import literal, named, quote, text

BATCH_ENTRIES = 2_000
MENTIONS_MAX = 1_000
"""How many entries that may set one field of a record are looked at."""
ROWS_NAMED_MAX = 1_000
"""How many rows without a history are named one by one, per entity."""
SPAN_ENTRIES = 10_000
"""About how many entries are checked in one piece, by one process."""
CUTS_SAMPLED = 50
"""How many entries are looked at for each place where the log is cut into pieces."""

_VERSION_MAX = 2**63 - 1
_FIRST = ("", "", "00000000-0000-0000-0000-000000000000")


Position: TypeAlias = tuple[str, str, str]
"""A record in the order that entries are read in: tenant, kind, id."""


class Span(NamedTuple):
    """The records behind one, up to another; `after` None: from the first on."""

    after: Position | None
    until: Position


class RowForm(NamedTuple):
    """How the live rows of one kind are read. json: the fields that come as JSON text."""

    sql: str
    fields: tuple[str, ...]
    json: tuple[str, ...]

    def read(self, row: Any) -> Live:
        """What a chain is compared with."""
        end = _FIELDS_AT + len(self.fields)
        values = dict(zip(self.fields, row[_FIELDS_AT:end], strict=True))
        for name in self.json:
            if values[name] is not None:
                values[name] = json.loads(values[name])
        return Live(row[2], row[3], row[4], row[5], row[6], values, tuple(row[end:]))


_FIELDS_AT = 7


def row_forms(system: System) -> dict[str, RowForm]:
    """How the rows of each entity are read; plain data, which another process can be given."""
    return {
        e.name: RowForm(_rows_statement(system, e), tuple(e.fields), json_fields(e))
        for e in system.entities.values()
    }


@dataclass(frozen=True, slots=True)
class View:
    """What a snapshot shows. tenant: None for all. role: whom to act as, to see it. snapshot: the name of one
    that another connection holds open; None: one of its own."""

    tenant: str | None
    role: str | None
    snapshot: str | None = None


@asynccontextmanager
async def scan(connection: Any, system: System, tenant: str | None) -> AsyncGenerator[Scan]:
    """Open a snapshot of the log and the rows of one tenant, or of all of them (None).

    Raises UsageError where the login may not see all tenants, or what is behind private values;
    EnvironmentFault where there are no tables.
    """
    roles = Roles.of(system)
    rights = await connection.fetchrow(text("verify.sql", "verify_rights"), roles.owner)
    if not rights["installed"]:
        raise no_tables()
    if tenant is None and not rights["sees_all"] and not rights["is_owner"]:
        raise UsageError(
            "this login may not see the records of all tenants",
            "Name one with --tenant, or use a URL of the database's owner.",
        )
    if keeps_private(system) and not rights["sees_private"] and not rights["is_owner"]:
        raise UsageError(
            "this login may not see what stands behind private values",
            "Use a URL of the application's login, or of the database's owner.",
        )
    view = View(tenant, roles.owner if tenant is None and not rights["sees_all"] else None)
    async with opened(connection, view):
        yield Scan(connection, system, view)


@asynccontextmanager
async def opened(connection: Any, view: View) -> AsyncGenerator[None]:
    """A snapshot on this connection, while the context lasts."""
    await connection.execute(text("verify.sql", "verify_begin"))
    try:
        if view.snapshot is not None:
            await connection.execute(f"SET TRANSACTION SNAPSHOT {literal(view.snapshot)}")
        if view.role is not None:
            await connection.execute(f"SET LOCAL ROLE {quote(view.role)}")
        await connection.fetchrow(text("verify.sql", "verify_settings"))
        await connection.fetchrow(text("verify.sql", "verify_scope"), view.tenant)
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(text("verify.sql", "verify_end"))


class EntryScan:
    """Entries with their rows, long values and disclosures, in one open snapshot."""

    def __init__(self, connection: Any, forms: Mapping[str, RowForm], view: View) -> None:
        self._connection, self._forms, self.view = connection, forms, view
        self.logs = LogScan(connection, view.tenant)

    async def _fetch(self, sql: str, *parameters: Any) -> list[Any]:
        return await self._connection.fetch(sql, *parameters, timeout=STATEMENT_S_MAX)

    async def _ask(self, name: str, *parameters: Any) -> list[Any]:
        return await self._fetch(text("verify.sql", name), *parameters)

    async def batches(self, span: Span) -> AsyncGenerator[Sequence[Any]]:
        """All entries of some records, each a row in the shape of `Logged`, by record and version."""
        at = (*_FIRST, 0) if span.after is None else (*span.after, _VERSION_MAX)
        while True:
            rows = await self._ask("verify_entries", *at, *span.until, BATCH_ENTRIES)
            if rows:
                yield rows
            if len(rows) < BATCH_ENTRIES:
                return
            last = rows[-1]
            at = (last[1], last[2], last[3], last[4])

    async def rows(self, kind: str, records: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Live]:
        """The live rows of these records of one kind, by tenant and id."""
        form = self._forms[kind]
        tenants, ids = [tenant for tenant, _ in records], [record for _, record in records]
        return {(row[0], row[1]): form.read(row) for row in await self._fetch(form.sql, tenants, ids)}

    async def waiting(self, kind: str, records: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Waiting]:
        """What the queue and the inboxes have of these records of one kind, by tenant and id."""
        tenants, ids = [tenant for tenant, _ in records], [record for _, record in records]
        work = dict[tuple[str, str], dict[str, Held]]()
        sql = named("verify.sql")["verify_work"].substitute(due=canonical_instant("q.due"))
        for row in await self._fetch(sql, tenants, ids, kind, EVENTS, DELIVERIES):
            work.setdefault((row[0], row[1]), {})[row[2]] = Held(*row[3:])
        tasks = dict[tuple[str, str], set[str]]()
        for row in await self._ask("verify_tasks", tenants, ids, kind):
            tasks.setdefault((row[0], row[1]), set()).add(row[2])
        keys = {*work, *tasks}
        return {key: Waiting(work.get(key, {}), frozenset(tasks.get(key, ()))) for key in keys}

    async def passed(self, kind: str, records: Sequence[tuple[str, str]]) -> set[UUID]:
        """The keys of times of these records that passed without a transition, or were skipped."""
        tenants, ids = [tenant for tenant, _ in records], [record for _, record in records]
        return {row[0] for row in await self._ask("verify_passed", tenants, ids, kind)}

    async def payloads(self, wanted: Collection[tuple[str, bytes]]) -> dict[tuple[str, bytes], bool]:
        """Which of these long values (tenant, SHA-256) are there, and whether each has its hash."""
        listed = list(wanted)
        tenants, hashes = [tenant for tenant, _ in listed], [sha for _, sha in listed]
        rows = await self._ask("verify_payloads", tenants, hashes)
        return {(row[0], row[1]): row[2] for row in rows}

    async def stubs(self, records: Sequence[Position]) -> dict[Position, tuple[int, int, bytes]]:
        """Of records whose first entries were dropped the last of those: its version, number and hash."""
        rows = await self._ask("verify_stubs", *map(list, zip(*records, strict=True)))
        return {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in rows}

    async def disclosures(self, entries: Sequence[tuple[str, str, str, int]]) -> list[Any]:
        """What is kept behind the private values of these entries (tenant, kind, id, version)."""
        columns = map(list, zip(*entries, strict=True))
        return await self._ask("verify_disclosures", *columns)

    async def mentions(
        self, upto: Mapping[tuple[str, str, str, str], int]
    ) -> dict[tuple[str, str, str, str], list[tuple[int, bytes]]]:
        """Of each (tenant, kind, id, field) the newest entries, up to a version, that may set that field:
        version and header."""
        found: dict[tuple[str, str, str, str], list[tuple[int, bytes]]] = {}
        columns = [*map(list, zip(*upto, strict=True)), [*upto.values()]]
        for tenant, kind, record, field, version, header in await self._ask(
            "verify_mentions", *columns, MENTIONS_MAX
        ):
            found.setdefault((tenant, kind, record, field), []).append((version, header))
        return found


class Scan(EntryScan):
    """One open snapshot of everything that a declaration is about."""

    def __init__(self, connection: Any, system: System, view: View) -> None:
        super().__init__(connection, row_forms(system), view)
        self._system, self._tenant = system, view.tenant

    async def export(self) -> View:
        """The same snapshot, for another connection while this one holds it open."""
        return replace(self.view, snapshot=(await self._ask("verify_export"))[0][0])

    async def leaves(self, entries: Collection[int]) -> dict[int, tuple[int, int]]:
        """Where the logs have these entries: epoch and index, by their numbers; without those not sealed."""
        rows = await self._ask("verify_leaves", sorted(entries))
        return {row[0]: (row[1], row[2]) for row in rows}

    async def count(self) -> int:
        """How many entries there are."""
        return (await self._ask("verify_count", self._tenant))[0][0]

    async def spans(self, after: Position | None, total: int) -> list[Span]:
        """Everything behind a record, in spans of about SPAN_ENTRIES of `total` entries, in order."""
        last = await self._ask("verify_last", self._tenant)
        if not last or tuple(last[0]) == after:
            return []
        if after is None and self._tenant is not None:
            after = (self._tenant, *_FIRST[1:])
        ends = list[Position]()
        if total > SPAN_ENTRIES:
            wanted = total // SPAN_ENTRIES
            percent = min(100.0, 100.0 * CUTS_SAMPLED * wanted / total)
            rows = await self._ask("verify_cuts", self._tenant, *(after or _FIRST), percent, wanted)
            ends = [(row[0], row[1], row[2]) for row in rows]
        end: Position = (last[0][0], last[0][1], last[0][2])
        ends = [one for one in ends if one != end] + [end]
        return [Span(first, until) for first, until in zip([after, *ends], ends, strict=False)]

    async def boundaries(self) -> Boundaries:
        """Every boundary that was ever in force."""
        return read_boundaries((row[0], row[1]) for row in await self._ask("verify_boundaries"))

    async def edges(self) -> frozenset[Edge]:
        """The transitions that commits are checked against."""
        rows = await self._ask("verify_edges")
        return frozenset((row[0], row[1], row[2], row[3], row[4]) for row in rows)

    async def unknown_tables(self) -> list[str]:
        """Tables among the entities' that no entity has."""
        rows = await self._ask("verify_tables", self._system.name)
        return sorted({row[0] for row in rows} - {e.plural for e in self._system.entities.values()})

    async def inheriting_tables(self) -> list[tuple[str, str]]:
        """Tables whose rows are read as those of a table of the entities, or of Avow's own: both names."""
        return [(row[0], row[1]) for row in await self._ask("verify_inheriting", self._system.name)]

    async def row_count(self, entity: Entity) -> int:
        """How many rows an entity has."""
        sql = named("verify.sql")["verify_row_count"].substitute(table=table_of(self._system, entity))
        return (await self._fetch(sql, self._tenant))[0][0]

    async def rows_without_history(self, entity: Entity) -> list[tuple[str, str, int]]:
        """Tenant, id and version of rows that no entry speaks of; at most ROWS_NAMED_MAX of them."""
        table = table_of(self._system, entity)
        sql = named("verify.sql")["verify_rows_without_history"].substitute(table=table)
        rows = await self._fetch(sql, self._tenant, entity.name, ROWS_NAMED_MAX)
        return [(row[0], row[1], row[2]) for row in rows]

    async def stuck_and_asked(self) -> list[tuple[str, str, str, int, str, bool]]:
        """Where what is stuck and the inboxes disagree: tenant, kind, id, version, name, and whether a task
        is missing or there is one too many; at most ROWS_NAMED_MAX of each.
        """
        rows = await self._ask("verify_stuck", self._tenant, ROWS_NAMED_MAX)
        return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]

    async def blind_edited(self, entity: Entity, field: str, blind: str) -> list[tuple[str, str, int]]:
        """Tenant, id and version of rows whose keyed hash isn't that of their private value."""
        sql = named("verify.sql")["verify_blind"].substitute(
            table=table_of(self._system, entity), kind=literal(entity.name), field=literal(field),
            column=quote(field), blind=quote(blind),
        )  # fmt: skip
        rows = await self._fetch(sql, self._tenant, ROWS_NAMED_MAX)
        return [(row[0], row[1], row[2]) for row in rows]


def _rows_statement(system: System, entity: Entity) -> str:
    return named("verify.sql")["verify_rows"].substitute(
        table=table_of(system, entity),
        changed_at=canonical_instant("r.changed_at"),
        fields=_listed(canonical_fields(entity, "r")),
        performers=_listed(performer_columns(entity, "r")),
    )


def _listed(columns: Iterable[str]) -> str:
    return "".join(f", {column}" for column in columns)
