"""What can be wrong with invariants, uniqueness, exclusions and quotas: whatever PostgreSQL couldn't hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from avow.declare.machine import at
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.typing import UNKNOWN, Reader, Unbuilt, condition_faults
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import Entity, Exclusion, Invariant, Quota, Unique
from avow.model.expression import Expression, render, walk
from avow.model.private import PrivateType

UNIQUE_TEXT_LENGTH_MAX = 500
"""Longer strings don't fit an index entry of PostgreSQL in every alphabet."""
UNIQUE_FIELDS_MAX = 31
"""An index of PostgreSQL has 32 columns, one of them the tenant."""

_MEND = (
    "An invariant is over fields of one record; over several records write unique(), exclude() or quota()."
)


def rule_mistakes(entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """Every rule of an entity that couldn't be held, and why."""
    for invariant in entity.invariants:
        yield from _invariant(invariant, entity, entities)
    for rule in (*entity.uniques, *entity.exclusions):
        yield from _compared(rule, entity)
    for exclusion in entity.exclusions:
        yield from _span(exclusion, entity)
    for quota in entity.quotas:
        if fault := _quota_fault(quota, entity, entities):
            detail = f"{entity.name}.{quota.name} can't be held: {fault}"
            mend = "Write quota(REFERENCE, among=[STATES], limit=REFERENCE.FIELD)."
            yield at(quota.place, "invariant-not-compilable", detail, mend)


def _invariant(invariant: Invariant, entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """An invariant becomes a CHECK, so it may only read the record itself."""
    what = f"{entity.name}.{invariant.name}"
    if reason := _not_compilable(invariant.condition, entity):
        detail = f"{what} can't be held by the database: {reason}"
        yield at(invariant.place, "invariant-not-compilable", detail, _MEND)
        return
    for fault in condition_faults(invariant.condition, entity, entities, None):
        yield at(invariant.place, fault.code, f"{what}: {fault.detail}", fault.mend)


def _not_compilable(condition: Expression, entity: Entity) -> str | None:
    for node in walk(condition):
        match node:
            case ast.Opaque(name):
                return f"{name}() is free Python"
            case ast.Now():
                return "time passes without a commit"
            case ast.HasRole() | ast.Performed() | ast.ActorSubject() | ast.Authenticated() | ast.Internal():
                return f"`{render(node)}` depends on who acts"
            case ast.Argument():
                return f"`{render(node)}` exists only while a command runs"
            case ast.FieldOf(path) if len(path) > 1 and _crosses(path, entity):
                return f"`{'.'.join(path)}` is in another record"
            case ast.InState(_, path) if path:
                return f"the state of `{'.'.join(path)}` is in another record"
            case _:
                continue
    return None


def _crosses(path: ast.Path, entity: Entity) -> bool:
    field = entity.fields.get(path[0])
    return field is not None and isinstance(field.type, kinds.Reference)


def _compared(rule: Unique | Exclusion, entity: Entity) -> Iterator[Mistake]:
    """Unique and exclusion rules name fields that an index can compare."""
    what = f"{entity.name}.{rule.name}"
    if isinstance(rule, Unique) and not rule.fields:
        yield at(rule.place, "unique-empty", f"{what} names no field", "Name at least one field.")
    if len(rule.fields) > UNIQUE_FIELDS_MAX:
        detail = f"{what} names more than {UNIQUE_FIELDS_MAX} fields"
        yield at(rule.place, "unique-too-long", detail, "Name fewer fields.")
    for name in rule.fields:
        kind = entity.fields[name].type
        if isinstance(kind, kinds.ListOf | kinds.ObjectOf):
            detail = f"{what}: `{name}` is a list or an object"
            yield at(rule.place, "unique-compound", detail, "Use fields of plain values.")
        if isinstance(rule, Exclusion) and isinstance(kind, PrivateType):
            continue  # reported with what else looks at it
        if isinstance(kind, kinds.Text) and kind.max_length > UNIQUE_TEXT_LENGTH_MAX:
            detail = f"{what}: `{name}` may be too long for an index"
            yield at(
                rule.place, "unique-too-long", detail, f"Write max_length={UNIQUE_TEXT_LENGTH_MAX} or less."
            )


def _span(rule: Exclusion, entity: Entity) -> Iterator[Mistake]:
    if UNKNOWN_NAME in (rule.start, rule.end):
        return
    start, end = entity.fields[rule.start].type, entity.fields[rule.end].type
    if isinstance(start, Unbuilt) or isinstance(end, Unbuilt):
        return
    ordered = kinds.DateTimeType | kinds.DateType | kinds.Integer
    if type(start) is not type(end) or not isinstance(start, ordered):
        detail = f"{entity.name}.{rule.name}: the span needs two fields of one type"
        yield at(rule.place, "exclusion-span", detail, "Use two datetimes, two dates or two integers.")
    elif rule.start == rule.end:
        detail = f"{entity.name}.{rule.name}: it begins and ends with `{rule.start}`, so that none overlap"
        yield at(rule.place, "exclusion-span", detail, "Use one field for the beginning and one for the end.")


def _quota_fault(quota: Quota, entity: Entity, entities: Mapping[str, Entity]) -> str | None:
    if UNKNOWN_NAME in (quota.anchor, quota.weight):
        return None
    anchored = entity.fields[quota.anchor].type
    if isinstance(anchored, Unbuilt):
        return None
    if not isinstance(anchored, kinds.Reference):
        return "there is no reference to lock"
    if not quota.states:
        return "it counts in no state"
    if quota.weight is not None and (fault := _weight_fault(entity, quota.weight)):
        return fault
    anchor = entities.get(anchored.entity)
    if anchor is None:
        return None  # reported with the reference itself
    if reason := _not_compilable(quota.limit, anchor):
        return reason
    reader = Reader(anchor, entities)
    kind = reader.type_of(quota.limit)
    if reader.faults:
        return reader.faults[0].detail
    return None if kind in ("integer", UNKNOWN) else "its limit isn't an integer"


def _weight_fault(entity: Entity, name: str) -> str | None:
    """A negative weight, or none at all, would let others pass the limit."""
    weight = entity.fields[name]
    if isinstance(weight.type, Unbuilt):
        return None
    if not isinstance(weight.type, kinds.Integer):
        return "only an integer field can be summed"
    if weight.optional:
        return f"`{name}` may be missing"
    return (
        None
        if weight.type.ge is not None and weight.type.ge >= 0
        else f"`{name}` may be negative: write ge=0"
    )
