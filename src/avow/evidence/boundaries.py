"""The boundaries that were ever in force, as an audit log needs them: edges, fields, backfilled values.

Pure. A boundary is believed only when its description hashes to its fingerprint; it must never be
completed from today's declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from avow import canonical
from avow.canonical import JsonValue
from avow.model.entity import Entity, Field
from avow.model.expression import Const
from avow.model.types import Misfit

Edge: TypeAlias = tuple[str, str, str, "str | None", str]
"""Boundary (hexadecimal), kind, transition, state before (None: a creation), state after."""


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Every boundary that was ever in force here, by its fingerprint in hexadecimal.

    edges:  what each of them declares. fields: the names of the fields of (boundary, kind).
    altered: fingerprints whose stored description isn't theirs, or is none.
    """

    described: Mapping[str, Any]
    edges: frozenset[Edge]
    fields: Mapping[tuple[str, str], frozenset[str]]
    altered: tuple[str, ...] = ()


def read_boundaries(stored: Iterable[tuple[bytes, bytes]]) -> Boundaries:
    """Read fingerprints with their descriptions as they are stored."""
    described, altered = dict[str, Any](), list[str]()
    edges, fields = set[Edge](), dict[tuple[str, str], frozenset[str]]()
    for fingerprint, description in stored:
        name = fingerprint.hex()
        try:
            system = canonical.decode(description)
            if canonical.digest(description) != fingerprint:
                raise ValueError
            own = {
                (name, kind): _fields(entity)
                for kind, entity in _members(_members(system)["entities"]).items()
            }
            declared = {*_edges(name, system)}
        except (ValueError, KeyError, TypeError):  # edited, or put there by hand
            altered.append(name)
            continue
        described[name] = system
        edges |= declared
        fields |= own
    return Boundaries(described, frozenset(edges), fields, tuple(altered))


def _members(held: Any) -> dict[str, Any]:
    if not isinstance(held, dict):
        raise TypeError
    return held  # pyright: ignore[reportUnknownVariableType]


def _fields(entity: Any) -> frozenset[str]:
    """The names of an entity's fields. Raises TypeError or KeyError for what describes none."""
    return frozenset(name for name, field in _members(_members(entity)["fields"]).items() if _members(field))


def _edges(boundary: str, system: Any) -> Iterable[Edge]:
    """The edges of a description. Raises TypeError or KeyError for what is none."""
    for kind, entity in system["entities"].items():
        for name, transition in _members(entity["transitions"]).items():
            for source in _members(transition)["from"] or [None]:
                yield boundary, kind, name, source, transition["to"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row of one kind consists of, for comparing it with its history.

    blank:     every field without a value. json_fields: those kept as JSON, where 1 and true are two things.
    tracked:   transitions whose performers are kept with the row.
    backfills: for a field that was declared after records existed: what it may hold without an entry.
    """

    kind: str
    blank: Mapping[str, None]
    json_fields: tuple[str, ...]
    tracked: tuple[str, ...]
    backfills: Mapping[str, tuple[JsonValue, ...]]


def shape_of(entity: Entity, json_fields: tuple[str, ...], boundaries: Boundaries) -> Shape:
    """The shape of an entity's rows."""
    described = [held["entities"].get(entity.name, {}) for held in boundaries.described.values()]
    return Shape(
        kind=entity.name,
        blank=dict.fromkeys(entity.fields),
        json_fields=json_fields,
        tracked=entity.tracked,
        backfills={f.name: tuple(_backfills(f, described)) for f in entity.fields.values()},
    )


def _backfills(field: Field, described: list[Any]) -> Iterable[JsonValue]:
    """The constant defaults that the field ever had, as they stand in an entry."""
    if isinstance(field.default, Const) and field.default.value is not None:
        yield field.type.dump(field.default.value)
    for entity in described:
        default: Any = entity.get("fields", {}).get(field.name, {}).get("default")
        if isinstance(default, Mapping) and "const" in default:
            try:
                yield field.type.dump(field.type.parse(default["const"], ""))
            except Misfit:
                continue  # its type is written in another way in a description; today's is above
