"""Which names of a declaration share values: compared with each other, assigned, or given to a transition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from avow.model.entity import Entity, Transition
from avow.model.expression import Argument, Compare, Expression, FieldOf, walk
from avow.model.system import System
from avow.model.types import ObjectOf
from avow.prove.explore.spoken import flows_in


def conditions_of(entity: Entity) -> Iterator[Expression]:
    """Every condition of an entity."""
    for transition in entity.transitions.values():
        yield transition.by
        if transition.when is not None:
            yield transition.when
    for stated in (*entity.invariants, *entity.promises, *entity.goals):
        yield stated.condition


def flows_of(system: System) -> Mapping[str, str]:
    """For each name that shares values with others one of them, the same for all of these."""
    return system.derived(_flows)


def _flows(system: System) -> Mapping[str, str]:
    takes = dict[str, list[list[str]]]()
    bodies = list[Any]()
    compared = list[frozenset[str]]()
    for entity in system.entities.values():
        for t in entity.transitions.values():
            takes.setdefault(t.name, []).append(taken_by_body(t))
            bodies += [] if t.body is None else [t.body]
        nodes = (node for condition in conditions_of(entity) for node in walk(condition))
        compared += [frozenset(named_in(node)) for node in nodes if isinstance(node, Compare)]
    known = frozenset[str]().union(*(words_of(entity) for entity in system.entities.values()))
    first = dict[str, str]()
    for joined in (*compared, *(flow for body in bodies for flow in flows_in(body, takes))):
        names = sorted(joined & known)
        groups = {first.get(name, name) for name in names}
        if len(names) > 1:
            first |= dict.fromkeys(names, min(groups))
            first |= {name: min(groups) for name, group in first.items() if group in groups}
    return first


def words_of(entity: Entity) -> set[str]:
    """The names of an entity's fields, of what its transitions are given, and of what events tell."""
    given = [p for t in entity.transitions.values() for p in t.parameters]
    told = (m.name for p in given if isinstance(p.type, ObjectOf) for m in p.type.members)
    return {*entity.fields, *(p.name for p in given), *told}


def taken_by_body(transition: Transition) -> list[str]:
    """The arguments that a transition's body takes, in order."""
    sets, takes = transition.sets, transition.takes
    names = [p.name for p in transition.parameters]
    return [name for name in names if (name not in sets if takes is None else name in takes)]


def named_in(node: Compare) -> Iterator[str]:
    """The names of the fields and arguments in a comparison."""
    return (name for part in walk(node) if (name := name_of(part)))


def name_of(node: Expression) -> str:
    """The name of the field or argument that it is; empty of anything else."""
    match node:
        case FieldOf((name,)) | Argument(name, ()):
            return name
        case FieldOf((_, name)):
            return name
        case _:
            return ""
