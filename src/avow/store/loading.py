"""What commands' decisions rest on, as one SELECT: keys' answers, records, and what they refer to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from avow.declare.loads import argument_loads, read_loads
from avow.kernel.command import Key, Record
from avow.model.entity import Entity, Transition
from avow.model.expression import Path
from avow.model.system import System
from avow.model.types import Reference, Value
from avow.store.clock import DatabaseClock
from avow.store.columns import RecordReader, reader, select_list
from avow.store.pool import Pool
from avow.store.schema.tables import table_of
from avow.store.sharing import SHARED, Bounds, Member, Sharing
from avow.store.statements import named, quote, text

Wanted: TypeAlias = tuple[Value, ...]
"""What one command wants loaded: its key, its record, and the records that its arguments refer to."""


@dataclass(slots=True)
class KnownAnswer:
    """What was answered to an idempotency key."""

    fingerprint: bytes
    status: int
    body: bytes
    kind: str
    record: UUID | None
    version: int | None


@dataclass(slots=True)
class Loaded:
    """One load: the database's time, the key's answer if it has one, and the records by key."""

    now: datetime
    answer: KnownAnswer | None
    records: dict[Key, Record]


@dataclass(frozen=True, slots=True, eq=False)
class LoadPlan:
    """The SELECT that loads one kind of command, any number of them at once, and how its rows are read.

    arguments: names of the input whose values follow key and id in what is wanted.
    alone: a decision rests on no record but the command's own, and a creation on none.
    """

    sql: str
    arguments: tuple[str, ...]
    readers: tuple[RecordReader, ...]
    alone: bool = False

    def wanted(self, key: UUID | None, record: UUID | None, given: Mapping[str, Value]) -> Wanted:
        """What one command wants loaded."""
        return (key, record, *(given.get(name) for name in self.arguments))

    def parameters(self, tenant: str, wanted: Sequence[Wanted]) -> list[Any]:
        """The parameters of one execution for several commands of a tenant."""
        return [tenant, *map(list, zip(*wanted, strict=True))]

    def read(self, row: Any) -> Loaded:
        """One command's row."""
        answer = None if row[1] is None else KnownAnswer(*(row[i] for i in range(1, 7)))
        records: dict[Key, Record] = {}
        place = 7
        for entity_reader in self.readers:
            record = entity_reader.read(row, place)
            if record is not None:
                records[record.key] = record
            place += entity_reader.width
        return Loaded(row[0], answer, records)


class Loads:
    """Loads without locks; commands of one kind and tenant that come at once share a round trip."""

    def __init__(self, pool: Pool, bounds: Bounds = SHARED) -> None:
        self._pool = pool
        self._sharing = Sharing[Wanted, Any](self._fetch, bounds)
        self.clock = DatabaseClock()

    async def load(self, plan: LoadPlan, tenant: str, wanted: Wanted) -> Loaded:
        """What one command's decision rests on."""
        return plan.read(await self._sharing.share((tenant, plan), wanted))

    async def written_last(self, entries: int) -> list[tuple[str, Key]]:
        """The records that the newest entries are of, with their tenants; the last written comes first."""
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(text("reads.sql", "written_last"), entries)
        return [(row[0], (row[1], row[2])) for row in rows]

    async def _fetch(self, lane: Any, members: list[Member[Wanted, Any]]) -> Sequence[Any]:
        tenant, plan = lane
        async with self._pool.borrow() as connection:
            asked_s = time.monotonic()
            rows = await connection.fetch(plan.sql, *plan.parameters(tenant, [m.item for m in members]))
            self.clock.read(rows[0][0], asked_s, time.monotonic())
        return rows


def plan_command(system: System, entity: Entity, command: str) -> LoadPlan:
    """The load of a command: its own record, and every record it may follow.

    For a creation that is the record which its key has already created, so that a replay can tell
    what of it the caller may still see.
    """
    transitions = entity.of_command(command)
    builder = _Builder(system)
    followed = {path for t in transitions for path in t.loads}
    if transitions[0].creation:
        builder.answered(entity, list(read_loads(entity, system.entities)))
    else:
        builder.own(entity, sorted(followed))
    for name, paths in _arguments(system, transitions):
        builder.argument(name, system.entities[paths[0]], paths[1])
    return builder.plan(alone=not followed and not builder.arguments)


def plan_record(system: System, entity: Entity, paths: tuple[Path, ...]) -> LoadPlan:
    """The load of one record with what its read policy follows."""
    builder = _Builder(system)
    builder.own(entity, sorted(paths))
    return builder.plan()


def _arguments(
    system: System, transitions: tuple[Transition, ...]
) -> Iterator[tuple[str, tuple[str, list[Path]]]]:
    for parameter in transitions[0].parameters:
        if isinstance(parameter.type, Reference):
            paths = {p for t in transitions for p in argument_loads(t, parameter, system.entities)}
            yield parameter.name, (parameter.type.entity, sorted(paths))


class _Builder:
    """Joins record after record to the row that sets the tenant.

    Each is a LATERAL subquery with a LIMIT that depends on that row, so that the tenant is set
    before row-level security asks for it.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.selected: list[str] = []
        self.joins: list[str] = []
        self.readers: list[RecordReader] = []
        self.arguments: list[str] = []

    def own(self, entity: Entity, paths: list[Path]) -> None:
        """The command's own record, and below it every path."""
        self._tree(entity, "m.record", paths)

    def answered(self, entity: Entity, paths: list[Path]) -> None:
        """The record that the key's answer is about, and below it every path."""
        self._tree(entity, "k.record", paths)

    def argument(self, name: str, entity: Entity, paths: list[Path]) -> None:
        """The record that an argument refers to, and below it every path."""
        self.arguments.append(name)
        self._tree(entity, f"m.argument{len(self.arguments)}", paths)

    def _tree(self, entity: Entity, wanted: str, paths: list[Path]) -> None:
        aliases: dict[Path, tuple[str, Entity]] = {(): (self._join(entity, wanted), entity)}
        for path in paths:
            alias, at = aliases[path[:-1]]
            target = self.system.referred(at, path[-1])
            aliases[path] = (self._join(target, f"{alias}.{quote(path[-1])}"), target)

    def _join(self, entity: Entity, wanted: str) -> str:
        alias = f"r{len(self.readers)}"
        values = {"table": table_of(self.system, entity), "wanted": wanted, "alias": alias}
        self.joins.append(named("reads.sql")["join"].substitute(values))
        self.selected.append(select_list(entity, alias))
        self.readers.append(reader(entity))
        return alias

    def plan(self, *, alone: bool = False) -> LoadPlan:
        selected = "".join(f", {columns}" for columns in self.selected)
        joins = "".join(f"\n{join}" for join in self.joins)
        places = range(1, len(self.arguments) + 1)
        sql = named("reads.sql")["load"].substitute(
            selected=selected,
            joins=joins,
            arguments="".join(f", ${3 + n}::uuid[]" for n in places),
            names="".join(f", argument{n}" for n in places),
        )
        return LoadPlan(sql, tuple(self.arguments), tuple(self.readers), alone)
