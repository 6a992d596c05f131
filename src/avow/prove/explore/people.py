"""The people of the model: as few as can be told apart by what is declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from avow.model.actor import Actor, anonymous
from avow.model.entity import Entity, Transition
from avow.model.expression import (
    ActorSubject,
    Compare,
    Const,
    Expression,
    FieldOf,
    HasRole,
    Not,
    Performed,
    Votes,
    walk,
)
from avow.model.system import System
from avow.model.types import SubjectType
from avow.model.values import Subject
from avow.prove.act import TENANT
from avow.prove.explore.flows import conditions_of
from avow.prove.promises import asked_steps
from avow.prove.world import names_in

NAMES: Final = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn")
STRANGER: Final = "Zoe"
PEOPLE_MAX: Final = 4
TOGETHER_MAX: Final = 3
"""So many records of one entity are looked at together at most."""
CREDENTIALS_MAX: Final = 4
"""With so many different sets of roles the same people come."""


def people_of(system: System) -> tuple[Actor, ...]:
    """Who acts: people with every role, so that nothing is out of reach, as many as have to differ.

    Where some policy asks that somebody doesn't have a role, the same people also come without it: roles are
    what a credential says today, and whoever was a clerk when it was checked may be none when it is paid.
    """
    return system.derived(_people_of)


def _people_of(system: System) -> tuple[Actor, ...]:
    roles = frozenset(system.roles)
    entities = system.entities.values()
    needed = [*(_needed(e, c) for e in entities for c in conditions_of(e)), *map(_each_once, entities)]
    count = min(max([2, *needed]), PEOPLE_MAX)
    held = dict.fromkeys([roles, *(roles - shunned for shunned in _shunned(system))])
    return tuple(
        Actor(Subject(name), TENANT, some) for some in [*held][:CREDENTIALS_MAX] for name in NAMES[:count]
    )


def _needed(entity: Entity, condition: Expression) -> int:
    """How many different people a condition can tell apart."""
    nodes = list(walk(condition))
    performed = len({node.transition for node in nodes if isinstance(node, Performed)})
    others = any(isinstance(node, ActorSubject) for node in nodes)
    votes = [
        part.value + 1
        for node in nodes
        if isinstance(node, Compare) and any(isinstance(side, Votes) for side in (node.left, node.right))
        for part in walk(node)
        if isinstance(part, Const) and type(part.value) is int
    ]
    return max([performed + 1 + (others and performed > 0), _all_different(entity, nodes), *votes])


def _all_different(entity: Entity, nodes: Sequence[Expression]) -> int:
    """How many people a record has to name who are all different."""
    compared = [node for node in nodes if isinstance(node, Compare) and node.operator == "!="]
    named = {side.path for node in compared for side in (node.left, node.right) if isinstance(side, FieldOf)}
    own = {path[0] for path in named if len(path) == 1}
    return sum(isinstance(entity.fields[name].type, SubjectType) for name in own & entity.fields.keys())


def _each_once(entity: Entity) -> int:
    """How many people have one each of the records that are looked at together, where none may have two."""
    names = {name for unique in entity.uniques for name in unique.fields}
    return TOGETHER_MAX * any(isinstance(entity.fields[name].type, SubjectType) for name in names)


def _shunned(system: System) -> Iterator[frozenset[str]]:
    """For each condition the roles that somebody isn't to have."""
    for condition in (one for entity in system.entities.values() for one in conditions_of(entity)):
        denied = [part for node in walk(condition) if isinstance(node, Not) for part in walk(node.part)]
        yield frozenset(part.role for part in denied if isinstance(part, HasRole))


def outsiders(system: System) -> Iterator[Actor]:
    """Those who should mostly be refused: without a credential, without a role, and with one role alone."""
    yield anonymous(TENANT)
    yield Actor(Subject(STRANGER), TENANT)
    for role in system.roles:
        yield Actor(Subject(f"{STRANGER} the {role}"), TENANT, frozenset({role}))


def tells_people_apart(system: System, entity: Entity, transition: Transition) -> bool:
    """Whether it may matter which person takes a transition."""
    conditions = [transition.by, *([] if transition.when is None else [transition.when])]
    nodes = [node for condition in conditions for node in walk(condition)]
    if any(isinstance(node, ActorSubject | Performed) for node in nodes):
        return True
    if transition.step in entity.tracked or transition.step in asked_steps(system):
        return True
    if transition.creation and any(isinstance(f.default, ActorSubject) for f in entity.fields.values()):
        return True
    return transition.body is not None and (
        "actor" in names_in(transition.body) or any(_tracks(system, entity, name) for name in transition.uses)
    )


def _tracks(system: System, entity: Entity, reference: str) -> bool:
    return bool(system.referred(entity, reference).tracked or asked_steps(system))
