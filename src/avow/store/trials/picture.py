"""Everything that a database holds at one moment: entries, rows, answers, and what is still to be done.

For those who judge what an execution has left behind. Needs a login that sees every tenant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from avow.evidence.chain import Live, Logged
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.canonical_columns import canonical_fields, canonical_instant, json_fields, performer_columns
from avow.store.driver import Connection
from avow.store.schema.tables import table_of
from avow.store.statements import named, quote

RecordKey: TypeAlias = tuple[str, str, str]
"""Tenant, kind and id of a record."""


class Kept(NamedTuple):
    """The answer that is kept under a key."""

    tenant: str
    id: UUID
    status: int
    kind: str
    record: str | None
    version: int | None


class Waiting(NamedTuple):
    """Something that is still to be done. stuck: why it waits for a person."""

    tenant: str
    kind: str
    id: str
    name: str
    destination: str
    key: str
    generation: int
    due: datetime
    taken: bool
    fence: int
    attempt: int
    stuck: str | None
    topic: str
    work: int


class Asked(NamedTuple):
    """A task that somebody is asked to do. work: the number of what is stuck; None: a command."""

    tenant: str
    kind: str
    id: str
    step: str
    work: int | None


class Tried(NamedTuple):
    """What became of an attempt that settled nothing."""

    tenant: str
    kind: str
    id: str
    name: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment. rows: the live rows by record; payloads: long values by their SHA-256, as JSON."""

    entries: tuple[Logged, ...]
    rows: dict[RecordKey, Live]
    answers: tuple[Kept, ...]
    work: tuple[Waiting, ...]
    tasks: tuple[Asked, ...]
    attempts: tuple[Tried, ...]
    refusals: tuple[tuple[str, str], ...]
    payloads: dict[str, str]


async def take_picture(connection: Connection, system: System) -> Picture:
    """What a database holds now."""
    entries, answers, work, tasks, attempts, refusals, payloads, *rows = await connection.fetchrow(
        system.derived(_statement)
    )
    live = dict[RecordKey, Live]()
    for entity, text in zip(system.entities.values(), rows, strict=True):
        json_names = json_fields(entity)
        for row in _listed(text):
            held = [*row.values()]
            live[held[0], entity.name, held[1]] = _live(entity, json_names, held)
    return Picture(
        entries=tuple(_logged(row) for row in _listed(entries)),
        rows=live,
        answers=tuple(Kept(row[0], UUID(row[1]), *row[2:]) for row in _listed(answers)),
        work=tuple(_waiting(row) for row in _listed(work)),
        tasks=tuple(Asked(*row) for row in _listed(tasks)),
        attempts=tuple(Tried(*row) for row in _listed(attempts)),
        refusals=tuple((row[0], row[1]) for row in _listed(refusals)),
        payloads=json.loads(payloads or "{}"),
    )


def _statement(system: System) -> str:
    rows = "".join(_rows(system, entity) for entity in system.entities.values())
    return named("picture.sql")["picture"].substitute(rows=rows)


def _rows(system: System, entity: Entity) -> str:
    columns = [*canonical_fields(entity, "r"), *performer_columns(entity, "r")]
    return named("picture.sql")["picture_rows"].substitute(
        table=table_of(system, entity),
        changed_at=canonical_instant("r.changed_at"),
        columns="".join(f", {column} AS c{place}" for place, column in enumerate(columns, _FIELDS_AT)),
        name=quote(entity.name),
    )


_FIELDS_AT = 7


def _listed(text: str | None) -> list[Any]:
    return json.loads(text) if text else []


def _logged(row: list[Any]) -> Logged:
    number, tenant, kind, record, version, header, digest, at = row
    return Logged(number, tenant, kind, record, version, header.encode(), bytes.fromhex(digest), _instant(at))


def _waiting(row: list[Any]) -> Waiting:
    return Waiting._make([*row[:7], _instant(row[7]), *row[8:]])


def _live(entity: Entity, json_names: tuple[str, ...], held: list[Any]) -> Live:
    end = _FIELDS_AT + len(entity.fields)
    values = dict(zip(entity.fields, held[_FIELDS_AT:end], strict=True))
    for name in json_names:
        if isinstance(values[name], str):
            values[name] = json.loads(values[name])
    return Live(
        held[2], held[3], bytes.fromhex(held[4]), bytes.fromhex(held[5]), held[6], values, tuple(held[end:])
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
