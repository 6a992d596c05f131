"""What sets records of one entity apart, as far as anything that is declared may ask about them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias

from avow.kernel.command import Record
from avow.model.entity import Entity, Field
from avow.model.exact import DecimalType, MoneyType
from avow.model.expression import Argument, FieldOf, walk
from avow.model.system import System
from avow.model.trigger import OnTime
from avow.model.types import Boolean, EnumType, Integer, Reference
from avow.model.values import Money
from avow.prove.explore.flows import conditions_of, taken_by_body
from avow.prove.explore.values import PLAIN, constants_of
from avow.prove.world import names_in

Kind: TypeAlias = tuple[str, str, tuple[int, ...]]
"""An entity, a state of it, and what sets its records apart there: which optional references lead anywhere,
how many have performed a step that counts, how many of the numbers it is compared with a field has reached.
"""
Look: TypeAlias = tuple[Kind, tuple[int, ...]]
"""A kind, and what its records hold where something is asked of it: whether there is a value, or which."""


def kind_of_record(system: System, record: Record) -> Kind:
    """What a record is like."""
    optional, compared = system.derived(_telling)[record.entity]
    values: Mapping[str, Any] = record.values
    refers = [int(values[name] is not None) for name in optional]
    voted = [len(record.performers[step]) for step in sorted(record.performers)]
    reached = [bisect(numbers, _amount(values[name])) for name, numbers in compared]
    return record.entity, record.state, (*refers, *voted, *reached)


def _amount(value: Any) -> Any:
    """The number that a value is, or an amount of money has; none is 0."""
    return value.amount if isinstance(value, Money) else value or 0


def look_of(system: System, record: Record) -> Look:
    """What a record looks like, more closely."""
    asked = system.derived(_asked)[record.entity]
    values: Mapping[str, Any] = record.values
    return kind_of_record(system, record), tuple([_place(values[name], options) for name, options in asked])


def _place(value: Any, options: tuple[Enum, ...]) -> int:
    """0: none, false, or nothing of it; else which of the options, or that there is something."""
    if options and value is not None:
        return 1 + options.index(value)
    return int(value is not None and (isinstance(value, str) or bool(_amount(value))))


_Telling: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, tuple[Any, ...]], ...]]


def _telling(system: System) -> Mapping[str, _Telling]:
    """For each entity its optional references, and the numbers that its fields are compared with."""
    return {name: _telling_of(system, entity) for name, entity in system.entities.items()}


def _telling_of(system: System, entity: Entity) -> _Telling:
    constants, fields = constants_of(system), entity.fields.values()
    optional = tuple(f.name for f in fields if isinstance(f.type, Reference) and f.optional)
    compared = list[tuple[str, tuple[Any, ...]]]()
    for name in (f.name for f in fields if isinstance(f.type, Integer | DecimalType | MoneyType)):
        amounts = [_amount(c) for c in constants.get((entity.name, name), ())]
        numbers = {c for c in amounts if type(c) in (int, Decimal) and c > PLAIN}
        if numbers:
            compared.append((name, tuple(sorted(numbers))))
    return optional, tuple(compared)


_Asked: TypeAlias = tuple[tuple[str, tuple[Enum, ...]], ...]


def _asked(system: System) -> Mapping[str, _Asked]:
    """For each entity the fields that anything asks about, but texts and what refers to others."""
    constants = constants_of(system)
    return {
        name: tuple(_few(entity, asked_about(system), {field for of, field in constants if of == name}))
        for name, entity in system.entities.items()
    }


def _few(entity: Entity, asked: frozenset[str], compared: set[str]) -> Iterator[tuple[str, tuple[Enum, ...]]]:
    fields = entity.fields.values()
    numeric = {f.name for f in fields if isinstance(f.type, Integer | DecimalType | MoneyType)}
    numbers = numeric & compared
    for field in (f for f in fields if f.name in asked):
        if isinstance(field.type, EnumType):
            yield field.name, tuple(field.type.python)
        elif isinstance(field.type, Boolean) or _may_be_missing(field) or field.name in numbers:
            yield field.name, ()


def _may_be_missing(field: Field) -> bool:
    return field.optional and not isinstance(field.type, Reference)


def asked_about(system: System) -> frozenset[str]:
    """The names of fields and arguments that anything declared asks about: of the others no value matters."""
    return system.derived(_asked_about)


def _asked_about(system: System) -> frozenset[str]:
    functions: list[Callable[..., Any]] = [promise.holds for promise in system.promises]
    found = set[str]()
    for entity in system.entities.values():
        functions += [t.body for t in entity.transitions.values() if t.body is not None]
        found |= set(_named_in(entity))
    return frozenset(found).union(*map(names_in, functions))


def _named_in(entity: Entity) -> Iterator[str]:
    """What the conditions and the rules of an entity name."""
    conditions = [*conditions_of(entity), *(quota.limit for quota in entity.quotas)]
    for node in (node for condition in conditions for node in walk(condition)):
        if isinstance(node, Argument):
            yield node.name
        elif isinstance(node, FieldOf):
            yield from node.path
    for rule in (*entity.uniques, *entity.exclusions):
        yield from rule.fields
    for exclusion in entity.exclusions:
        yield from (exclusion.start, exclusion.end)
    yield from (name for quota in entity.quotas for name in (quota.anchor, quota.weight or ""))
    for transition in entity.transitions.values():
        trigger = transition.trigger
        if transition.body is not None:
            yield from taken_by_body(transition)
        if isinstance(trigger, OnTime) and trigger.at is not None:
            yield from (name for n in walk(trigger.at) if isinstance(n, FieldOf) for name in n.path)
