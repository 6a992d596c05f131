"""What a record holds by now, as what is given next: all that is owed, all that is left.

Boundary values are known from the declaration, and small. An amount that has to be met exactly, such as the
rest of a debt, may have come out of a calculation.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from avow.kernel.command import Record
from avow.model import types as kinds
from avow.model.exact import DecimalType, MoneyType
from avow.model.system import System
from avow.model.types import Misfit, Reference, ValueType
from avow.model.values import Money
from avow.prove.explore.situation import Situation
from avow.prove.explore.values import flows_of, tells


def held_by(system: System, situation: Situation, record: Record, name: str, kind: ValueType) -> list[Any]:
    """The amounts of a record, and of those that it refers to, that have to do with an argument, fit for it.

    name: of the argument, or of what stands for it. Money is also tried as a number of its smallest units.
    """
    if not isinstance(kind, kinds.Integer | DecimalType | MoneyType):
        return []
    groups, found = flows_of(system), list[Any]()
    for one in _near(system, situation, record):
        fields = system.entities[one.entity].fields
        for field in (f for f in fields.values() if groups.get(f.name, f.name) == groups.get(name, name)):
            for value in _as(kind, field.type, one.values[field.name]):
                try:
                    fitted = kind.fit(value, "")
                except Misfit:
                    continue
                if tells(fitted) and fitted not in found:
                    found.append(fitted)
    return found


def _near(system: System, situation: Situation, record: Record) -> Iterator[Record]:
    yield record
    for field in system.entities[record.entity].fields.values():
        if isinstance(field.type, Reference) and record.values[field.name] is not None:
            other = situation.records.get((field.type.entity, record.values[field.name]))  # type: ignore[arg-type]
            if other is not None:
                yield other


def _as(kind: ValueType, held: ValueType, value: Any) -> Iterator[Any]:
    """An amount as a value of another type."""
    match kind, held, value:
        case MoneyType(), _, Money():
            yield value
        case kinds.Integer(), MoneyType(scale=scale), Money(amount):
            yield int(amount.scaleb(scale))
        case DecimalType(), _, Money(amount):
            yield amount
        case DecimalType(), _, int() | Decimal() if type(value) is not bool:
            yield Decimal(value)
        case kinds.Integer(), _, int() if type(value) is not bool:
            yield value
        case _:
            return
