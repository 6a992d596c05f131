"""What can be wrong with a state machine as a graph: where it starts, what is reached, where it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from avow.declare.naming import UNKNOWN_NAME
from avow.errors import Mistake
from avow.model.entity import Entity, State
from avow.model.expression import Internal
from avow.model.place import Place
from avow.model.types import Reference

Edges = list[tuple[str, str]]


def at(place: Place, code: str, detail: str, mend: str, warning: bool = False) -> Mistake:
    """A mistake at a place."""
    return Mistake(place.file, place.line, code, detail, mend, warning)


def machine_mistakes(entity: Entity) -> Iterator[Mistake]:
    """Each fault of the graph once: where it begins, not at every state that it spoils."""
    if not entity.states:
        mend = "Declare at least NAME = State(initial=True)."
        yield at(entity.place, "no-states", f"{entity.name} has no states", mend)
        return
    transitions = entity.transitions.values()
    creations = [t for t in transitions if t.creation and t.target != UNKNOWN_NAME]
    starts = [t for t in creations if t.trigger is not None or t.by != Internal()]
    edges = [(source, t.target) for t in transitions for source in t.sources]
    for t in creations:
        if t not in starts:
            detail = f"{entity.name}.{t.name} is internal, and a body can't call for a creation"
            yield at(t.place, "no-start", detail, "Write by=... of somebody, or on= of an event.")
    if not creations:
        detail = f"no {entity.name} can ever come into being"
        yield at(entity.place, "no-start", detail, "Declare start = create(STATE, by=...).")
    for t in starts:
        if not entity.states[t.target].initial:
            detail = f"{entity.name}.{t.name} starts in {t.target}, which isn't initial"
            mend = f"Write {t.target} = State(initial=True), or start elsewhere."
            yield at(t.place, "start-not-initial", detail, mend)
    unreached = set[str]()
    if starts:
        unreached = set(entity.states) - _closure({t.target for t in starts}, edges)
        for state in _first(entity.states.values(), unreached, edges):
            mend = "Add a transition to it, or delete it."
            yield at(state.place, "state-unreachable", f"{entity.name}.{state.name} is never entered", mend)
    yield from _endings(entity, unreached, edges)


def _endings(entity: Entity, unreached: set[str], edges: Edges) -> Iterator[Mistake]:
    finals = {s.name for s in entity.states.values() if s.final}
    traps = {n for n in entity.states if n not in finals and not any(s == n != e for s, e in edges)}
    for state in entity.states.values():
        name = f"{entity.name}.{state.name}"
        leaving = [t.name for t in entity.transitions.values() if state.name in t.sources and not t.reveals]
        if state.final and leaving:
            detail = f"{name} is final, but {leaving[0]} leaves it"
            yield at(state.place, "final-left", detail, "Drop final=True, or the transition.")
        if state.name in unreached:
            continue
        if state.name in traps:
            mend = "Add a transition from it, or write State(final=True)."
            yield at(state.place, "state-trap", f"nothing leads out of {name}", mend)
    back = [(end, start) for start, end in edges]
    endless = set(entity.states) - _closure(finals | traps, back) - unreached
    for state in _first(entity.states.values(), endless, edges):
        detail = f"from {entity.name}.{state.name} no final state can be reached"
        yield at(state.place, "state-without-end", detail, "Add the missing transition, or a final state.")


def _first(states: Iterable[State], spoiled: set[str], edges: Edges) -> Iterator[State]:
    """Of the spoiled states those from which the others follow, in declared order."""
    covered = set[str]()
    inside = [(s, e) for s, e in edges if s in spoiled and e in spoiled and s != e]
    entered = {end for _, end in inside}
    declared = [state for state in states if state.name in spoiled]
    for state in sorted(
        declared, key=lambda state: state.name in entered
    ):  # roots, then what lies on circles
        if state.name not in covered:
            covered |= _closure({state.name}, inside)
            yield state


def _closure(seeds: set[str], edges: Edges) -> set[str]:
    reached, fresh = set(seeds), set(seeds)
    while fresh:
        fresh = {end for start, end in edges if start in fresh} - reached
        reached |= fresh
    return reached


def reached_from(entity: Entity, state: str, keeping: str) -> set[str]:
    """The states that a record in one state may be in later, that one included, while a step's votes stay."""
    ways = (t for t in entity.transitions.values() if keeping not in t.voids)
    return _closure({state}, [(s, t.target) for t in ways for s in t.sources])


def unstartable(entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """Circles of references that each record needs: the first record of such an entity can't be made."""
    needed = {e.name: _needed(e) for e in entities.values()}
    edges = [(name, target) for name, targets in needed.items() for target in targets.values()]
    told = set[str]()
    for entity in entities.values():
        for field, target in needed[entity.name].items():
            circle = _closure({target}, edges)
            if entity.name not in circle or entity.name in told:
                continue
            told |= circle
            detail = (
                f"no {entity.name} can ever come into being: its `{field}` needs one that is there before"
            )
            mend = f"Write {field}: {target} | None = ref()."
            yield at(entity.fields[field].place, "no-start", detail, mend)


def _needed(entity: Entity) -> dict[str, str]:
    """The references that every record of an entity has, and what they lead to."""
    fields = entity.fields.values()
    return {f.name: f.type.entity for f in fields if isinstance(f.type, Reference) and not f.optional}
