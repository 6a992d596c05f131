"""What functions of calls are given: records that wait for a call, by which of the named fields they have.

A function that takes the wrong field shows it only where that field and the right one differ. So of records
of one look those are kept whose numbers differ most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from avow.kernel.command import Record
from avow.model.effect import DONE
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import Reference
from avow.model.values import Money
from avow.prove.act import Act
from avow.prove.explore.inputs import sort_of
from avow.prove.explore.situation import Situation
from avow.prove.world import names_in

Called: TypeAlias = tuple[str, str, tuple[int, ...]]
"""An entity, a state of it that waits for a call, and what the named fields of record and references hold."""


class _Asks(NamedTuple):
    """What the functions of an entity name. own: of its fields; through: of those of what it refers to."""

    own: tuple[str, ...]
    through: tuple[tuple[str, tuple[str, ...]], ...]


def can_be_done(act: Act) -> bool:
    """Whether an act is none by which another side doesn't do what it was asked for."""
    return act.kind != "outcome" or act.command.endswith(f".{DONE}")


def called_in(system: System, situation: Situation) -> Iterator[tuple[Called, int]]:
    """The records that wait for a call, by their look, each with how many different numbers it is about."""
    asks = system.derived(_asks)
    for record in situation.records.values():
        state = system.entities[record.entity].states[record.state]
        if state.invoke:
            yield _look(asks[record.entity], situation, record), _different(system, situation, record)


def _look(asks: _Asks, situation: Situation, record: Record) -> Called:
    held = [sort_of(record.values[name]) for name in asks.own]
    for reference, names in asks.through:
        other = _referred(situation, record, reference)
        held += [0 if other is None else sort_of(other.values[name]) for name in names]
    return record.entity, record.state, tuple(held)


def _different(system: System, situation: Situation, record: Record) -> int:
    """How many different numbers, but 0, stand in a record and in what it refers to."""
    entity = system.entities[record.entity]
    others = (_referred(situation, record, name) for name in _references(entity))
    near = [record, *(other for other in others if other is not None)]
    return len({number for one in near for value in one.values.values() if (number := _number(value))})


def _number(value: Any) -> Any:
    amount = value.amount if isinstance(value, Money) else value
    return amount if type(amount) in (int, Decimal) else 0


def _referred(situation: Situation, record: Record, reference: str) -> Record | None:
    value: Any = record.values[reference]
    if value is None:
        return None
    return next((other for key, other in situation.records.items() if key[1] == value), None)


def _references(entity: Entity) -> Iterator[str]:
    return (f.name for f in entity.fields.values() if isinstance(f.type, Reference))


def _asks(system: System) -> Mapping[str, _Asks]:
    return {name: _asks_of(system, entity) for name, entity in system.entities.items()}


def _asks_of(system: System, entity: Entity) -> _Asks:
    named = frozenset[str]().union(*(names_in(effect.function) for effect in entity.effects.values()))
    through = (
        (name, tuple(sorted(named & system.referred(entity, name).fields.keys())))
        for name in _references(entity)
        if name in named
    )
    return _Asks(tuple(sorted(named & entity.fields.keys())), tuple(through))
