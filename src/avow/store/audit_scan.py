"""Everything that verification reads: the whole log in order, the rows it led to, in one snapshot.

Memory is flat: a batch of entries and their rows at a time. This module must never write; its transaction
is read-only and is never committed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from avow.errors import EnvironmentFault, UsageError
from avow.evidence.boundaries import Boundaries, Edge, read_boundaries
from avow.evidence.chain import Live, Logged
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.canonical_columns import canonical_fields, canonical_instant, json_fields, performer_columns
from avow.store.log_scan import LogScan
from avow.store.statements import named, quote
from avow.store.tables import Roles, table_of

BATCH_ENTRIES = 2_000
ROWS_NAMED_MAX = 1_000
"""How many rows without a history are named one by one, per entity."""
STATEMENT_S_MAX = 3_600.0

_VERSION_MAX = 2**63 - 1
_NO_ID = "00000000-0000-0000-0000-000000000000"


@asynccontextmanager
async def scan(connection: Any, system: System, tenant: str | None) -> AsyncGenerator[Scan]:
    """Open a snapshot of the log and the rows of one tenant, or of all of them (None).

    Raises UsageError where the login may not see all tenants, EnvironmentFault where there are no tables.
    """
    roles = Roles.of(system)
    statements = {name: text.template for name, text in named("verify.sql").items()}
    rights = await connection.fetchrow(statements["verify_rights"], roles.owner)
    if not rights["installed"]:
        raise EnvironmentFault(
            "tables-missing",
            "the database has no tables of Avow",
            "Run `avow migrate` once with the owner's URL.",
        )
    if tenant is None and not rights["sees_all"] and not rights["is_owner"]:
        raise UsageError(
            "this login may not see the records of all tenants",
            "Name one with --tenant, or use a URL of the database's owner.",
        )
    await connection.execute(statements["verify_begin"])
    try:
        if tenant is None and not rights["sees_all"]:
            await connection.execute(f"SET LOCAL ROLE {quote(roles.owner)}")
        await connection.fetchrow(statements["verify_settings"])
        await connection.fetchrow(statements["verify_scope"], tenant)
        yield Scan(connection, system, tenant, statements)
    finally:
        if not connection.is_closed():
            await connection.execute(statements["verify_end"])


class Scan:
    """One open snapshot."""

    def __init__(
        self, connection: Any, system: System, tenant: str | None, statements: dict[str, str]
    ) -> None:
        self._connection, self._system, self._tenant = connection, system, tenant
        self.logs = LogScan(connection, tenant)
        self._statements = statements
        self._rows = {e.name: _rows_statement(system, e) for e in system.entities.values()}
        self._readers = {e.name: _RowReader(e) for e in system.entities.values()}

    async def _fetch(self, sql: str, *parameters: Any) -> list[Any]:
        return await self._connection.fetch(sql, *parameters, timeout=STATEMENT_S_MAX)

    async def count(self) -> int:
        """How many entries there are."""
        return (await self._fetch(self._statements["verify_count"], self._tenant))[0][0]

    async def boundaries(self) -> Boundaries:
        """Every boundary that was ever in force."""
        rows = await self._fetch(self._statements["verify_boundaries"])
        return read_boundaries((row[0], row[1]) for row in rows)

    async def edges(self) -> frozenset[Edge]:
        """The transitions that commits are checked against."""
        rows = await self._fetch(self._statements["verify_edges"])
        return frozenset((row[0], row[1], row[2], row[3], row[4]) for row in rows)

    async def unknown_tables(self) -> list[str]:
        """Tables among the entities' that no entity has."""
        rows = await self._fetch(self._statements["verify_tables"], self._system.name)
        return sorted({row[0] for row in rows} - {e.plural for e in self._system.entities.values()})

    async def batches(self, after: tuple[str, str, str] | None = None) -> AsyncGenerator[Sequence[Any]]:
        """All entries, each a row in the shape of `Logged`, by tenant, kind, record and version.

        after: those of the records behind this one: tenant, kind, id.
        """
        at: tuple[Any, ...] = (self._tenant or "", "", _NO_ID, 0)
        if after is not None:
            at = (*after, _VERSION_MAX)
        every = self._tenant is None
        sql = self._statements["verify_entries" if every else "verify_entries_of_tenant"]
        while True:
            rows = await self._fetch(sql, *at, BATCH_ENTRIES)
            if rows:
                yield rows
            if len(rows) < BATCH_ENTRIES:
                return
            last = rows[-1]
            at = (last[1], last[2], last[3], last[4])

    async def rows(self, kind: str, records: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Live]:
        """The live rows of these records of one kind, by tenant and id."""
        read = self._readers[kind].read
        tenants, ids = [tenant for tenant, _ in records], [record for _, record in records]
        return {(row[0], row[1]): read(row) for row in await self._fetch(self._rows[kind], tenants, ids)}

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

    async def payloads(self, wanted: Collection[tuple[str, bytes]]) -> dict[tuple[str, bytes], bool]:
        """Which of these long values (tenant, SHA-256) are there, and whether each has its hash."""
        listed = list(wanted)
        tenants, hashes = [tenant for tenant, _ in listed], [sha for _, sha in listed]
        rows = await self._fetch(self._statements["verify_payloads"], tenants, hashes)
        return {(row[0], row[1]): row[2] for row in rows}


def _rows_statement(system: System, entity: Entity) -> str:
    return named("verify.sql")["verify_rows"].substitute(
        table=table_of(system, entity),
        changed_at=canonical_instant("r.changed_at"),
        fields=_listed(canonical_fields(entity, "r")),
        performers=_listed(performer_columns(entity, "r")),
    )


def _listed(columns: Iterable[str]) -> str:
    return "".join(f", {column}" for column in columns)


class _RowReader:
    """Turns a row of `verify_rows` into what a chain is compared with."""

    def __init__(self, entity: Entity) -> None:
        self._names = tuple(entity.fields)
        self._json = json_fields(entity)
        self._end = _FIELDS_AT + len(self._names)

    def read(self, row: Any) -> Live:
        values = dict(zip(self._names, row[_FIELDS_AT : self._end], strict=True))
        for name in self._json:
            if values[name] is not None:
                values[name] = json.loads(values[name])
        return Live(row[2], row[3], row[4], row[5], row[6], values, tuple(row[self._end :]))


_FIELDS_AT = 7


def logged(row: Any) -> Logged:
    """A row of `batches` with its names."""
    return Logged(*row)
