"""What conditions are made of: the parts that have to hold together, and the names that one part has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from avow.model.entity import Entity
from avow.model.expression import All, AnyOf, Argument, Expression, FieldOf, Not, walk
from avow.model.system import System
from avow.prove.explore.flows import conditions_of


def parts_of(condition: Expression) -> Iterator[Expression]:
    """What has to hold together for a condition to hold."""
    match condition:
        case All(parts):
            for part in parts:
                yield from parts_of(part)
        case Not(AnyOf(parts)):
            for part in parts:
                yield from parts_of(Not(part))
        case Not(Not(part)):
            yield from parts_of(part)
        case _:
            yield condition


def named_together(system: System) -> Mapping[str, tuple[frozenset[str], ...]]:
    """For each entity the sets of its fields and arguments that one part of a condition names."""
    return system.derived(_named_together)


def _named_together(system: System) -> Mapping[str, tuple[frozenset[str], ...]]:
    return {
        name: tuple(dict.fromkeys(named for named in _of_entity(entity) if len(named) > 1))
        for name, entity in system.entities.items()
    }


def _of_entity(entity: Entity) -> Iterator[frozenset[str]]:
    for condition in conditions_of(entity):
        yield from (frozenset(_names(part)) for part in parts_of(condition))
    for quota in entity.quotas:
        yield frozenset({quota.anchor, *filter(None, [quota.weight])})


def _names(condition: Expression) -> Iterator[str]:
    for node in walk(condition):
        if isinstance(node, Argument):
            yield node.name
        elif isinstance(node, FieldOf):
            yield node.path[0]
