"""Fields as columns: their SQL types, how a JSON value becomes one, and how rows become records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from avow.kernel.command import OpenTask, Record
from avow.model import types as kinds
from avow.model.entity import Entity
from avow.model.private import PRIVATE, Private, PrivateType
from avow.model.types import Value, ValueType
from avow.model.values import EXACT, Money, Subject
from avow.store.statements import literal, named, quote

_PLAIN: Mapping[type, str] = {
    kinds.Text: "text",
    kinds.SubjectType: "text",
    kinds.EnumType: "text",
    kinds.Integer: "bigint",
    kinds.Boolean: "boolean",
    kinds.DateType: "date",
    kinds.DateTimeType: "timestamptz",
    kinds.DurationType: "interval",
    kinds.UuidType: "uuid",
    kinds.Reference: "uuid",
    kinds.ObjectOf: "jsonb",
    PrivateType: "text",
}


def sql_type(kind: ValueType) -> str:
    """The column type of a field. Text compares by code point, so that every server orders it alike."""
    if isinstance(kind, kinds.DecimalType | kinds.MoneyType):
        return f"numeric({kind.digits}, {kind.scale})"
    if isinstance(kind, kinds.ListOf):
        return (
            "jsonb" if isinstance(kind.item, kinds.ObjectOf | kinds.MoneyType) else f"{sql_type(kind.item)}[]"
        )
    return _PLAIN[type(kind)]


def column_type(kind: ValueType) -> str:
    """As `sql_type`, with the collation of text."""
    plain = sql_type(kind)
    return f'{plain} COLLATE "C"' if plain.startswith("text") else plain


def from_json(kind: ValueType, source: str, name: str) -> str:
    """SQL that reads the field `name` of the jsonb expression `source` as a column value."""
    key = f"'{name}'"
    if isinstance(kind, kinds.MoneyType):
        return f"({source} #>> '{{{name},amount}}')::{sql_type(kind)}"
    if isinstance(kind, PrivateType):
        return f"({source} #>> '{{{name},{PRIVATE}}}')"
    plain = sql_type(kind)
    if plain == "jsonb":
        return f"nullif({source} -> {key}, 'null'::jsonb)"
    if isinstance(kind, kinds.ListOf):
        item = from_text(kind.item, "item")
        listed = named("reads.sql")["list_from_json"].substitute(item=item, source=f"{source} -> {key}")
        return f"CASE jsonb_typeof({source} -> {key}) WHEN 'array' THEN {listed} END"
    return from_text(kind, f"({source} ->> {key})")


def from_text(kind: ValueType, text: str) -> str:
    """SQL that reads a value's JSON form, given as the SQL of a text, as a column value."""
    if isinstance(kind, kinds.DurationType):
        text = f"replace({text}, '-PT', 'PT-')"  # PostgreSQL wants the sign at the number
    plain = sql_type(kind)
    return text if plain == "text" else f"{text}::{plain}"


def performers_column(transition: str) -> str:
    """The column that keeps who has performed a tracked transition."""
    return f"by_{transition}"


def blind_column(field: str) -> str:
    """The column by which equal private values are found: a keyed hash of the value, or null."""
    return f"blind_{field}"


def blind_columns(entity: Entity) -> dict[str, str]:
    """The private fields that have such a column, and its name."""
    return {name: blind_column(name) for name in entity.searchable}


def columns_of(entity: Entity) -> list[str]:
    """The columns that make a record, in the order that `reader` expects."""
    return ["id", "state", "version", "head", *entity.fields, *(performers_column(t) for t in entity.tracked)]


def select_list(entity: Entity, alias: str) -> str:
    """The columns of a record for a SELECT, with its open tasks where it can have any."""
    columns = ", ".join(f"{alias}.{quote(name)}" for name in columns_of(entity))
    if not entity.asks:
        return columns
    tasks = named("tasks.sql")["tasks_of_record"].substitute(alias=alias, kind=literal(entity.name))
    return f"{columns}, {tasks}"


def _decoder(kind: ValueType) -> Callable[[Any], Value] | None:
    """From the driver's value to the typed one; None where they are the same."""
    match kind:
        case kinds.SubjectType():
            return Subject
        case PrivateType():
            return Private
        case kinds.MoneyType(currency, scale):
            unit = Decimal(1).scaleb(-scale)
            return lambda amount: Money(amount.quantize(unit, context=EXACT), currency)
        case kinds.DecimalType(_, scale):
            step = Decimal(1).scaleb(-scale)
            return lambda number: number.quantize(step, context=EXACT)
        case kinds.EnumType(python=python):
            return python
        case kinds.DateTimeType():
            return lambda instant: instant.astimezone(UTC)
        case kinds.ObjectOf() | kinds.ListOf() if sql_type(kind) == "jsonb":
            return lambda text: kind.parse(json.loads(text), "")
        case kinds.ListOf(item):
            inner = _decoder(item)
            return tuple if inner is None else lambda items: tuple(inner(i) for i in items)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class RecordReader:
    """Turns the columns of `columns_of` into a record.

    decoders: of the fields that the driver gives in another form than the kernel takes.
    width:    how many columns a record takes.
    """

    entity: str
    fields: tuple[str, ...]
    decoders: tuple[tuple[str, Callable[[Any], Value]], ...]
    tracked: tuple[str, ...]
    asks: bool
    width: int

    def read(self, row: Any, at: int) -> Record | None:
        """The record whose columns start at `at` in the row; None where there is none."""
        record_id, state, version, head, *held = row[at : at + self.width]
        if record_id is None:
            return None
        tasks = _tasks(held.pop()) if self.asks else NO_TASKS
        values: dict[str, Value] = dict(zip(self.fields, held, strict=False))
        for name, decode in self.decoders:
            if (value := values[name]) is not None:
                values[name] = decode(value)
        if not self.tracked:
            return Record(self.entity, record_id, state, version, values, head=head, tasks=tasks)
        lists = zip(self.tracked, held[len(self.fields) :], strict=True)
        performers = {transition: tuple(subjects) for transition, subjects in lists if subjects}
        return Record(self.entity, record_id, state, version, values, performers, head, tasks)


NO_TASKS: Mapping[str, OpenTask] = MappingProxyType({})


def _tasks(text: str | None) -> Mapping[str, OpenTask]:
    """Open tasks by step, from the JSON that the database makes of them."""
    rows: list[dict[str, Any]] = json.loads(text) if text else []
    return {row["step"]: open_task(row) for row in rows} or NO_TASKS


def open_task(row: Mapping[str, Any]) -> OpenTask:
    """A task from its members as JSON."""
    return OpenTask(
        id=UUID(row["task"]), step=row["step"], role=row["role"], due=_moment(row["due"]),
        since=datetime.fromisoformat(row["since"]), asked_by=row["asked_by"], claim_ms=row["claim_ms"],
        acts=row["acts"], holder=row["holder"], held_until=_moment(row["held_until"]),
        delegated={subject: tuple(others) for subject, others in row["delegated"].items()},
        follow_up=_moment(row["follow_up"]), escalated=_moment(row["escalated"]),
    )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def reader(entity: Entity) -> RecordReader:
    """The reader of an entity's rows."""
    decoders = [(f.name, _decoder(f.type)) for f in entity.fields.values()]
    return RecordReader(
        entity.name,
        tuple(entity.fields),
        tuple((name, decode) for name, decode in decoders if decode is not None),
        entity.tracked,
        entity.asks,
        len(columns_of(entity)) + entity.asks,
    )
