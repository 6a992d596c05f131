"""Columns in the form that audit entries have their values in, so that a row can be compared with its log.

SQL text only. The expressions must be total: whatever a superuser has written into a row, an `infinity`,
a year before Christ, an array of two dimensions, they give a value that differs, and never an error.
"""

from __future__ import annotations

from avow.model import types as kinds
from avow.model.entity import Entity
from avow.model.private import PRIVATE, PrivateType
from avow.model.types import ValueType
from avow.store.columns import performers_column, sql_type
from avow.store.statements import literal, quote

_INSTANT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


def canonical_instant(source: str) -> str:
    """An instant in UTC with six digits of a second; outside of the years 1 to 9999 in another form."""
    within = f"{source} >= timestamptz '0001-01-01Z' AND {source} < timestamptz '10000-01-01Z'"
    return f"CASE WHEN {within} THEN to_char({source} AT TIME ZONE 'UTC', {_INSTANT}) ELSE {source}::text END"


def _duration(source: str) -> str:
    micros = f"round(extract(epoch FROM {source}) * 1000000)"
    seconds = f"trunc(abs({micros}) / 1000000)::text"
    rest = f"(abs({micros}) % 1000000)"
    fraction = f"CASE WHEN {rest} = 0 THEN '' ELSE '.' || lpad({rest}::text, 6, '0') END"
    return f"CASE WHEN {micros} < 0 THEN '-' ELSE '' END || 'PT' || {seconds} || {fraction} || 'S'"


def canonical_column(kind: ValueType, source: str) -> str:
    """SQL for the column `source` of this type, as text, number or boolean; JSON for `is_json` types."""
    match kind:
        case kinds.Integer() | kinds.Boolean() | kinds.Text() | kinds.SubjectType() | kinds.EnumType():
            return source
        case kinds.DateTimeType():
            return canonical_instant(source)
        case kinds.DurationType():
            return _duration(source)
        case kinds.MoneyType(currency=currency):
            money = f"json_build_object('amount', {source}::text, 'currency', {literal(currency)})"
            return f"CASE WHEN {source} IS NOT NULL THEN {money} END"
        case PrivateType():
            return f"CASE WHEN {source} IS NOT NULL THEN json_build_object({literal(PRIVATE)}, {source}) END"
        case kinds.ListOf(item=item) if sql_type(kind) != "jsonb":
            listed = f"json_agg({canonical_column(item, 'i.item')} ORDER BY i.place)"
            flat = f"(SELECT {listed} FROM unnest({source}) WITH ORDINALITY AS i (item, place))"  # noqa: S608
            return (
                f"CASE WHEN {source} IS NULL THEN NULL WHEN array_ndims({source}) > 1 THEN to_json({source})"
                f" ELSE coalesce({flat}, '[]'::json) END"
            )
        case _:
            return f"{source}::text"


def is_json(kind: ValueType) -> bool:
    """Whether `canonical_column` gives JSON text that has to be read."""
    return isinstance(kind, kinds.MoneyType | kinds.ListOf | kinds.ObjectOf | PrivateType)


def json_fields(entity: Entity) -> tuple[str, ...]:
    """The fields whose canonical column is JSON text."""
    return tuple(f.name for f in entity.fields.values() if is_json(f.type))


def canonical_fields(entity: Entity, alias: str) -> list[str]:
    """The canonical columns of all fields, in declared order."""
    return [canonical_column(f.type, f"{alias}.{quote(f.name)}") for f in entity.fields.values()]


def performer_columns(entity: Entity, alias: str) -> list[str]:
    """The columns of who has performed what, in the order of `tracked`."""
    return [f"{alias}.{quote(performers_column(name))}" for name in entity.tracked]
