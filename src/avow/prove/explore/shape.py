"""When two situations are the same: up to the names of people, the order of records, and the hour.

What is merged here behaves alike. Nothing else is merged: that two are told apart needlessly costs time only.
Versions don't count, since they only grow.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from avow.kernel.command import Key, Record
from avow.model.system import System
from avow.model.types import Reference, SubjectType
from avow.prove.explore.people import STRANGER
from avow.prove.explore.situation import Situation

PAST: Final = timedelta(days=400)
"""What is longer past than this is long past."""


class Shape(NamedTuple):
    """What a situation is like. order: its records, in the order in which the shape tells of them."""

    key: Hashable
    order: tuple[Key, ...]


def shape_of(system: System, situation: Situation) -> Shape:
    """The shape of a situation."""
    waiting = dict[Key, list[tuple[Any, ...]]]()
    for (key, name), wait in situation.waiting.items():
        waiting.setdefault(key, []).append((name, since(wait.due, situation.now), wait.line != ""))
    bare = {
        key: repr(_bare(system, situation, record, sorted(waiting.get(key, ()))))
        for key, record in situation.records.items()
    }
    order = tuple(sorted(situation.records, key=lambda key: (key[0], bare[key], key[1])))
    places = {key: place for place, key in enumerate(order)}
    people = dict[str, int]()
    told = tuple(
        (key[0], bare[key], *_named(system, situation, situation.records[key], places, people))
        for key in order
    )
    return Shape(told, order)


def since(instant: date, now: datetime) -> Any:
    """An instant as seen from now."""
    if not isinstance(instant, datetime):
        return (instant - now.date()).days
    gone = instant - now
    return "long past" if gone < -PAST else gone.total_seconds()


def _bare(
    system: System, situation: Situation, record: Record, waiting: list[tuple[Any, ...]]
) -> tuple[Any, ...]:
    """A record without whom and what it names."""
    fields = system.entities[record.entity].fields
    values = tuple(
        (None if value is None else "x")
        if isinstance(fields[name].type, Reference | SubjectType)
        else since(value, situation.now) if isinstance(value, date) else value
        for name, value in record.values.items()
    )  # fmt: skip
    tasks = sorted(record.tasks)
    performed = [(name, len(who)) for name, who in sorted(record.performers.items())]
    return record.state, values, tuple(performed), tuple(tasks), tuple(waiting)


def _named(
    system: System, situation: Situation, record: Record, places: Mapping[Key, int], people: dict[str, int]
) -> tuple[Any, ...]:
    """Whom and what a record names: people by the order in which they appear, records by their place."""

    def person(subject: str) -> tuple[int, bool]:
        return people.setdefault(subject, len(people)), subject == STRANGER

    fields, found = system.entities[record.entity].fields, list[Any]()
    for name, value in record.values.items():
        match fields[name].type:
            case SubjectType() if value is not None:
                found.append(person(value))
            case Reference(entity) if isinstance(value, UUID):
                found.append(places.get((entity, value), -1))
            case _:
                continue
    for _, who in sorted(record.performers.items()):
        found.append(tuple(sorted(map(person, who))))
    for name, who in sorted(situation.performers.get(record.key, {}).items()):
        found.append((name, *sorted(map(person, sorted(who)))))
    return tuple(found)
