"""A state machine as what is drawn: states, and arrows with what stands on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from avow.model.entity import Entity, State, Transition
from avow.model.expression import All, AnyOf, Expression, Internal, render

START: Final = ""
"""Where creations come from: no state."""


@dataclass(frozen=True, slots=True)
class Way:
    """What stands on an arrow for one transition. when: the guard, empty if there is none."""

    command: str
    by: str
    when: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """All ways from one state to another. internal: only another transition causes them (dashed)."""

    source: str
    target: str
    internal: bool
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """One entity's machine: its states in declared order, its arrows with creations first."""

    name: str
    states: tuple[State, ...]
    arrows: tuple[Arrow, ...]


def machine_of(entity: Entity) -> Machine:
    """What there is to draw of an entity."""
    found: dict[tuple[str, str, bool], list[Way]] = {}
    for transition in sorted(entity.transitions.values(), key=lambda t: not t.creation):
        if transition.reveals:
            continue  # it leads nowhere, and would stand at every state
        for source in transition.sources or (START,):
            key = (source, transition.target, transition.trigger is None and _internal_only(transition.by))
            found.setdefault(key, []).append(_way(transition))
    arrows = tuple(Arrow(*key, tuple(ways)) for key, ways in found.items())
    return Machine(entity.name, tuple(entity.states.values()), arrows)


def _way(transition: Transition) -> Way:
    when = "" if transition.when is None else render(transition.when)
    word = transition.command if transition.trigger is None else transition.name
    return Way(word, transition.cause, when)


def _internal_only(policy: Expression) -> bool:
    match policy:
        case Internal():
            return True
        case All(parts):
            return any(map(_internal_only, parts))
        case AnyOf(parts):
            return all(map(_internal_only, parts))
        case _:
            return False
