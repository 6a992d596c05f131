"""Which other records have to be loaded to decide a transition: paths of references from its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from avow.model.entity import Entity, Parameter, Transition
from avow.model.expression import Expression, Path, paths
from avow.model.types import Reference

DEPTH_MAX = 3
"""How many references in a row a decision may follow."""


def loads_of(entity: Entity, transition: Transition, entities: Mapping[str, Entity]) -> tuple[Path, ...]:
    """Every path of references that the transition's decision may follow, shortest first."""
    found = set[Path]()
    # A refusal names what is allowed instead, which takes the policies of all other transitions.
    others = () if transition.creation else entity.transitions.values()
    policies = [other.by for other in others if not other.creation]
    conditions = [transition.by, entity.read, *policies, *([transition.when] if transition.when else [])]
    found.update(_prefixes(entity, conditions, entities))
    for reference in transition.uses:
        found.update(_below(entity, reference, entities, DEPTH_MAX))
    return tuple(sorted(found, key=lambda path: (len(path), path)))


def _below(entity: Entity, reference: str, entities: Mapping[str, Entity], depth: int) -> set[Path]:
    """The record behind a used reference, and what its own transitions need."""
    kind = entity.fields[reference].type if reference in entity.fields else None
    if not isinstance(kind, Reference) or kind.entity not in entities or depth == 0:
        return set()
    used = entities[kind.entity]
    found: set[Path] = {(reference,)}
    for transition in used.transitions.values():
        conditions = [transition.by, *([transition.when] if transition.when else [])]
        found.update(
            (reference, *path) for path in _prefixes(used, conditions, entities) if len(path) < depth
        )
        for further in transition.uses:
            found.update((reference, *path) for path in _below(used, further, entities, depth - 1))
    return found


def _prefixes(entity: Entity, conditions: Iterable[Expression], entities: Mapping[str, Entity]) -> set[Path]:
    """The references that these conditions go through."""
    found = set[Path]()
    for condition in conditions:
        for path in paths(condition):
            at: Entity | None = entity
            for depth, name in enumerate(path, start=1):
                kind = at.fields[name].type if at is not None and name in at.fields else None
                if not isinstance(kind, Reference):
                    break
                found.add(path[:depth])
                at = entities.get(kind.entity)
    return found


def argument_loads(
    transition: Transition, parameter: Parameter, entities: Mapping[str, Entity]
) -> tuple[Path, ...]:
    """Every path of references below the record that a reference argument names."""
    if not isinstance(parameter.type, Reference):
        return ()
    target = entities[parameter.type.entity]
    found = _prefixes(target, [target.read], entities)
    if parameter.name in transition.sets:
        found |= {path[1:] for path in transition.loads if path[0] == parameter.name and len(path) > 1}
    elif transition.body is not None:
        for further in target.transitions.values():
            conditions = [further.by, *([further.when] if further.when else [])]
            found |= _prefixes(target, conditions, entities)
            for used in further.uses:
                found |= _below(target, used, entities, DEPTH_MAX - 1)
    return tuple(sorted(found, key=lambda path: (len(path), path)))


def read_loads(entity: Entity, entities: Mapping[str, Entity]) -> tuple[Path, ...]:
    """Every path of references that an entity's read policy follows."""
    return tuple(sorted(_prefixes(entity, [entity.read], entities), key=lambda path: (len(path), path)))
