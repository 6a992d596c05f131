"""When two situations are the same: up to the names of people, the order of records, and the hour.

What is merged here behaves alike. Nothing else is merged: that two are told apart needlessly costs time only.
Versions don't count, since they only grow.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from avow.kernel.command import Key, Record
from avow.model.entity import Entity, Field
from avow.model.system import System
from avow.model.types import DateTimeType, DateType, Reference, SubjectType
from avow.prove.explore.situation import Situation

PAST: Final = timedelta(days=400)
"""What is longer past than this is long past."""


class Shape(NamedTuple):
    """What a situation is like. order: its records, in the order in which the shape tells of them."""

    key: Hashable
    order: tuple[Key, ...]


class Shapes:
    """The shapes of a system's situations. What is known of a record is kept, since most stay as they are."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._bare: dict[Hashable, str] = {}
        self._kept = list[Record]()  # an id stands for its record only while that lives
        entities = system.entities.items()
        self._naming = {name: _naming(entity) for name, entity in entities}
        self._timed = {name: any(map(_is_time, entity.fields.values())) for name, entity in entities}

    def shape_of(self, situation: Situation) -> Shape:
        """The shape of a situation."""
        waiting = dict[Key, list[tuple[Any, ...]]]()
        for (key, name), wait in situation.waiting.items():
            waiting.setdefault(key, []).append((name, since(wait.due, situation.now), wait.line != ""))
        bare = {
            key: self._told(situation, record, tuple(sorted(waiting.get(key, ()))))
            for key, record in situation.records.items()
        }
        order = tuple(sorted(situation.records, key=lambda key: (key[0], bare[key], key[1])))
        places = {key: place for place, key in enumerate(order)}
        people = dict[str, int]()
        told = tuple(
            [
                (key[0], bare[key], *self._named(situation, situation.records[key], places, people))
                for key in order
            ]
        )
        return Shape(told, order)

    def _told(self, situation: Situation, record: Record, waiting: tuple[tuple[Any, ...], ...]) -> str:
        now = situation.now if self._timed[record.entity] else None
        known = (id(record), waiting, now)
        told = self._bare.get(known)
        if told is None:
            told = self._bare[known] = repr(_bare(self._system, situation, record, waiting))
            self._kept.append(record)
        return told

    def _named(
        self, situation: Situation, record: Record, places: Mapping[Key, int], people: dict[str, int]
    ) -> list[Any]:
        """Whom and what a record names: people by the order in which they appear, records by their place."""

        def person(subject: str) -> int:
            return people.setdefault(subject, len(people))

        found, values = list[Any](), record.values
        for name, entity in self._naming[record.entity]:
            value: Any = values.get(name)
            if value is not None:
                found.append(person(value) if entity is None else places.get((entity, value), -1))
        for name in sorted(record.performers):
            found.append(tuple(sorted(map(person, record.performers[name]))))
        performers = situation.performers.get(record.key, {})
        for name in sorted(performers):
            found.append((name, *sorted(map(person, sorted(performers[name])))))
        return found


def _naming(entity: Entity) -> tuple[tuple[str, str | None], ...]:
    """The fields that name a person, or a record of an entity."""
    found = list[tuple[str, str | None]]()
    for field in entity.fields.values():
        if isinstance(field.type, Reference):
            found.append((field.name, field.type.entity))
        elif isinstance(field.type, SubjectType):
            found.append((field.name, None))
    return tuple(found)


def _is_time(field: Field) -> bool:
    return isinstance(field.type, DateTimeType | DateType)


def since(instant: date, now: datetime) -> Any:
    """An instant as seen from now."""
    if not isinstance(instant, datetime):
        return (instant - now.date()).days
    gone = instant - now
    return "long past" if gone < -PAST else gone.total_seconds()


def _bare(
    system: System, situation: Situation, record: Record, waiting: tuple[tuple[Any, ...], ...]
) -> tuple[Any, ...]:
    """A record without whom and what it names."""
    fields = system.entities[record.entity].fields
    values = list[Any]()
    for name, value in record.values.items():
        if isinstance(fields[name].type, Reference | SubjectType):
            values.append(value is not None)
        else:
            values.append(since(value, situation.now) if isinstance(value, date) else value)
    performed = [(name, len(who)) for name, who in sorted(record.performers.items())]
    return record.state, values, performed, sorted(record.tasks), waiting
