"""Reading records and their history: one round trip, who may see them in the WHERE."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from avow.canonical import INTEGER_MAX
from avow.errors import reject
from avow.kernel.command import Record
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.expression import Expression
from avow.model.system import System
from avow.model.types import DateType, EnumType, MoneyType, Value
from avow.store.columns import blind_column, reader, select_list
from avow.store.conditions import TRUE, Compiler, settle
from avow.store.loading import Loaded, LoadPlan, Loads
from avow.store.log.reads import Dropped, LogReads
from avow.store.pool import Pool
from avow.store.schema.tables import table_of
from avow.store.statements import named, quote, text

ENTRIES_MAX = 1_000
"""How many audit entries one read gives back."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page that is wanted.

    filters: fields with the value they must have; state: the same for the state.
    blind:   private fields with the keyed hash that their value must have.
    among:   only records of these ids; None: of any.
    after:   the id of the last record of the page before. limit: at most so many records.
    """

    filters: Mapping[str, Value]
    state: str | None
    after: UUID | None
    limit: int
    blind: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    among: Collection[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was read. more: there are further records. now: when it was read."""

    records: tuple[Record, ...]
    more: bool
    now: datetime


NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of an empty page: there is nothing on it to decide."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One audit entry as it is stored, without the long values that it names."""

    entry: int
    kind: str
    id: UUID
    version: int
    header: bytes
    hash: bytes


class Horizon(NamedTuple):
    """How far somebody could see: the first `size` leaves of a log, and every log before it."""

    epoch: int
    size: int


class Reads:
    """Everything that is read outside of a command. horizon: what lies beyond it wasn't known; None: nothing
    does."""

    def __init__(self, system: System, pool: Pool, horizon: Horizon | None = None) -> None:
        self._system, self._pool, self._horizon = system, pool, horizon
        self._loads = Loads(pool)
        self._known: dict[tuple[str, str, UUID], int | None] = {}

    async def as_of(self, at: datetime) -> Reads:
        """The same reads of histories as they could be known at a time: as its newest checkpoint covers
        them."""
        checkpoint = await LogReads(self._pool.borrow).checkpoint_at(at)
        horizon = Horizon(0, 0) if checkpoint is None else Horizon(checkpoint.epoch, checkpoint.size)
        return Reads(self._system, self._pool, horizon)

    async def now(self) -> datetime:
        """The database's clock; also tells whether the database answers."""
        async with self._pool.borrow() as connection:
            return await connection.fetchval(text("reads.sql", "now"))

    async def demand_writable(self) -> None:
        """Raise `database-unavailable` where the database answers and takes no writes, as a standby does."""
        async with self._pool.borrow() as connection:
            if not await connection.fetchval(text("reads.sql", "takes_writes")):
                raise reject("database-unavailable", "The database takes no writes.")

    async def load(self, plan: LoadPlan, tenant: str, record: UUID) -> Loaded:
        """One record, with what its read policy follows."""
        return await self._loads.load(plan, tenant, plan.wanted(None, record, {}))

    async def page(self, entity: Entity, actor: Actor, listing: Listing) -> Page:
        """A page of the records that the actor may read, oldest first."""
        sql, parameters = _page_statement(self._system, entity, actor, listing)
        read = reader(entity).read
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(sql, *parameters)
        found = [record for row in rows if (record := read(row, 1)) is not None]
        return Page(
            tuple(found[: listing.limit]), len(found) > listing.limit, rows[0][0] if rows else NO_TIME
        )

    async def find(self, entity: Entity, tenant: str, field: str, value: Value) -> UUID | None:
        """The record that has this value in a field that no two records of a tenant share."""
        sql = named("reads.sql")["find"].substitute(table=table_of(self._system, entity), field=quote(field))
        async with self._pool.borrow() as connection:
            return await connection.fetchval(sql, tenant, plain(entity, field, value))

    async def known(self, tenant: str, kind: str, newest: Mapping[UUID, int]) -> Mapping[UUID, int | None]:
        """The last version of each record that was known; `newest` has their versions as they are today.

        0: it wasn't there yet. None: nobody can tell any more, because the entries were dropped. What is
        asked twice is looked up once: it never changes.
        """
        if self._horizon is None:
            return newest
        asked = [record for record in newest if (tenant, kind, record) not in self._known]
        if asked:
            found = await LogReads(self._pool.borrow).known_versions(tenant, kind, asked, *self._horizon)
            self._known.update({(tenant, kind, record): found[record] for record in asked})
        return {record: self._known[tenant, kind, record] for record in newest}

    async def changed_since(
        self, tenant: str, kind: str, after: UUID | None, limit: int
    ) -> list[UUID] | None:
        """The next records, by id, of which something wasn't known; None where these are too many to tell."""
        if self._horizon is None:
            return []
        return await LogReads(self._pool.borrow).changed_since(tenant, kind, *self._horizon, after, limit)

    async def entries(self, tenant: str, kind: str, record: UUID, after: int = 0) -> list[StoredEntry]:
        """The audit entries of one record from the version after `after` on, at most ENTRIES_MAX of them."""
        upto = (await self.known(tenant, kind, {record: INTEGER_MAX}))[record]
        return [] if upto == 0 else await self._entries(tenant, kind, record, after, upto or 0)

    async def entries_since(self, tenant: str, kind: str, record: UUID, after: int) -> list[StoredEntry]:
        """The same, also of what wasn't known."""
        return await self._entries(tenant, kind, record, after, INTEGER_MAX)

    async def _entries(
        self, tenant: str, kind: str, record: UUID, after: int, upto: int
    ) -> list[StoredEntry]:
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(
                text("reads.sql", "entries"), tenant, kind, record, after, upto, ENTRIES_MAX
            )
        return [StoredEntry(*row) for row in rows]

    async def dropped(self, tenant: str, kind: str, record: UUID) -> Dropped | None:
        """The last version of a record whose entry was dropped, when, and where it is; None: none was."""
        return await LogReads(self._pool.borrow).dropped(tenant, kind, record)

    async def payloads(self, tenant: str, wanted: Collection[bytes]) -> dict[str, bytes]:
        """Those of these long values that still exist, by their SHA-256 in hexadecimal."""
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(text("reads.sql", "payloads"), tenant, list(wanted))
        return {row["sha256"]: row["data"] for row in rows}

    async def boundary(self, fingerprint: bytes) -> bytes | None:
        """The description of a boundary that was once in force."""
        async with self._pool.borrow() as connection:
            return await connection.fetchval(text("reads.sql", "boundary"), fingerprint)

    async def api_key(self, key_id: str) -> Any:
        """Tenant, subject, roles and digest of a live API key, or None."""
        async with self._pool.borrow() as connection:
            return await connection.fetchrow(text("reads.sql", "api_key"), key_id)


def _page_statement(system: System, entity: Entity, actor: Actor, listing: Listing) -> tuple[str, list[Any]]:
    """The statement of a page: the same policy that decides a single read, as its WHERE."""
    parameters: list[Any] = [actor.tenant, str(actor.subject) if actor.authenticated else None]
    compiler = Compiler(system, entity, "t", "$2::text", now="s.now")
    conditions = ["t.tenant = s.tenant"]

    def permit(policy: Expression | None) -> None:
        held = TRUE if policy is None else settle(policy, actor)
        if held != TRUE:
            conditions.append(compiler.compile(held))

    permit(entity.read)
    if listing.state is not None:
        parameters.append(listing.state)
        conditions.append(f"t.state = ${len(parameters)}::text")
    for name, value in listing.filters.items():
        permit(entity.fields[name].read)
        parameters.append(plain(entity, name, value))
        # The driver would take the first and the last day that Python knows for infinite ones.
        cast = "::text::date" if isinstance(entity.fields[name].type, DateType) else ""
        conditions.append(f"t.{quote(name)} = ${len(parameters)}{cast}")
    for name, hashed in listing.blind.items():
        permit(entity.fields[name].read)
        parameters.append(hashed)
        conditions.append(f"t.{quote(blind_column(name))} = ${len(parameters)}")
    if listing.among is not None:
        parameters.append(list(listing.among))
        conditions.append(f"t.id = ANY (${len(parameters)}::uuid[])")
    if listing.after is not None:
        parameters.append(listing.after)
        conditions.append(f"t.id > ${len(parameters)}::uuid")
    parameters.append(listing.limit + 1)
    sql = named("reads.sql")["page"].substitute(
        columns=select_list(entity, "t"),
        table=table_of(system, entity),
        conditions=" AND ".join(conditions),
        limit=f"${len(parameters)}",
    )
    return sql, parameters


def plain(entity: Entity, name: str, value: Value) -> Any:
    """A typed value as the driver wants it."""
    kind = entity.fields[name].type
    if isinstance(kind, MoneyType):
        return value.amount
    if isinstance(kind, DateType):
        return value.isoformat()
    return str(value.value) if isinstance(kind, EnumType) else str(value) if isinstance(value, str) else value
