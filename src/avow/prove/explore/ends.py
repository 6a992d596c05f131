"""Whether what has begun can still end: each record can come to a final state, from whatever it has come to.

A search that has tried everything knows it of every record. One that hasn't has suspects: a record that goes
round by itself, whose time has come and is refused, that came by itself to where nothing moves it, or that
refers to one which has ended. It is tried from there on, with what there is and one more of each entity that
may refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from avow.kernel.command import Key
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.trigger import OnOutcome, OnTime
from avow.model.types import Reference
from avow.prove.coverage import InState
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import Found, Search, why_refused
from avow.prove.explore.situation import Refusal, Situation, happen, ref_of

ACTS_MAX: Final = 4_000
"""How many acts are tried to see whether one record can end."""
SUSPECTS_MAX: Final = 2
"""How many records are suspected in each state."""


class Stuck(NamedTuple):
    """A record that can't end any more, and the node in which it is stuck first."""

    key: Key
    state: str
    node: int


def stuck(found: Found) -> Iterator[Stuck]:
    """For each entity and state the first record that can't end; nothing of a search that isn't closed."""
    if not found.closed:
        return
    ending = _ending(found)
    seen = set[InState]()
    for at, node in enumerate(found.nodes):
        for place, key in enumerate(node.order):
            state = node.situation.records[key].state
            if (at, place) not in ending and (key[0], state) not in seen and _has_end(found, key[0]):
                seen.add((key[0], state))
                yield Stuck(key, state, at)


def suspects(found: Found) -> Iterator[Stuck]:
    """Records that may not be able to end: that go round, are refused their time, left alone or behind."""
    for (_, state), (at, key) in (*found.rounds.items(), *found.barred.items()):
        yield Stuck(key, state, at)
    by_itself = found.scope.system.derived(_entered_by_themselves)
    for (entity, state), places in found.still.items():
        if (entity, state) in by_itself:
            yield from (Stuck(key, state, at) for at, key in places[:SUSPECTS_MAX])
    for (_, state, *_), (at, key) in found.left.items():
        yield Stuck(key, state, at)


def _entered_by_themselves(system: System) -> frozenset[InState]:
    """The states that a record comes to by itself and nobody brings it to: where it isn't meant to rest."""
    return frozenset(
        (entity.name, state) for entity in system.entities.values() for state in _reached_alone(entity)
    )


def _reached_alone(entity: Entity) -> Iterator[str]:
    for state in entity.states:
        into = [t for t in entity.transitions.values() if t.target == state and state not in t.sources]
        if into and all(isinstance(t.trigger, OnTime | OnOutcome) for t in into):
            yield state


def near(system: System, situation: Situation, key: Key) -> Scope:
    """What may have to do with whether a record ends: what there is of whatever its transitions look at or
    may move it, and what may yet refer to it. The rest stays as it is.
    """
    concerned, counts = system.derived(_concerned)[key[0]], dict[str, int]()
    for name in (name for name in system.entities if name in concerned):
        counts[name] = situation.count(name) + (name != key[0] and key[0] in _referred(system.entities[name]))
    return Scope(system, tuple(n for n in counts if counts[n]), exactly=tuple(counts.items()))


def _concerned(system: System) -> Mapping[str, frozenset[str]]:
    """For each entity those whose records may decide what becomes of one of it."""
    looked_at = {name: _looked_at(system, entity) for name, entity in system.entities.items()}
    return {name: _all_concerned(system, looked_at, name) for name in system.entities}


def _all_concerned(system: System, looked_at: Mapping[str, set[str]], name: str) -> frozenset[str]:
    found = [name]
    for at in found:
        moving = {one.name for one in system.entities.values() if at in _used(system, one)}
        found += sorted((looked_at[at] | moving) - {*found})
    return frozenset(found)


def _looked_at(system: System, entity: Entity) -> set[str]:
    """The entities whose records a transition of an entity's record may look at."""
    found = {system.referred(entity, quota.anchor).name for quota in entity.quotas}
    for path in (path for t in entity.transitions.values() if not t.creation for path in t.loads):
        at: Entity | None = entity
        for name in path:
            kind = None if at is None or name not in at.fields else at.fields[name].type
            at = system.entities[kind.entity] if isinstance(kind, Reference) else None
            found |= set() if at is None else {at.name}
    return found


def _used(system: System, entity: Entity) -> set[str]:
    """The entities whose records an entity's transitions may move."""
    used = {name for t in entity.transitions.values() for name in t.uses if name in entity.fields}
    return {system.referred(entity, name).name for name in used}


def _referred(entity: Entity) -> set[str]:
    return {f.type.entity for f in entity.fields.values() if isinstance(f.type, Reference)}


def cannot_end(system: System, situation: Situation, key: Key, acts_max: int = ACTS_MAX) -> tuple[bool, int]:
    """Whether a record can't end any more, from a situation on, and how many acts were tried for that.

    False where it takes too long to say.
    """
    states = system.entities[key[0]].states
    under_way = Search(near(system, situation, key), beginning=situation)
    found, looked_at = under_way.found, 0
    for _ in under_way.steps:
        fresh = found.nodes[looked_at:]
        if found.tried > acts_max or any(states[n.situation.records[key].state].final for n in fresh):
            return False, found.tried
        looked_at += len(fresh)
    if not found.closed:
        return False, found.tried
    place = found.nodes[0].order.index(key)
    return (0, place) not in _ending(found), found.tried


def reasons(system: System, situation: Situation, key: Key) -> list[str]:
    """Why nothing moves a record: what is said to whoever tries, each once."""
    said = dict[str, None]()
    for act in Acts(near(system, situation, key)).possible(situation, 0):
        if (act.entity, act.record) == (key[0], ref_of(key).ordinal):
            outcome = happen(system, situation, act)
            if isinstance(outcome, Refusal):
                detail = why_refused(outcome.rejection).rstrip(".")
                said[f"{act.command}: {detail}"] = None
    return list(said)


def _has_end(found: Found, entity: str) -> bool:
    return any(state.final for state in found.scope.system.entities[entity].states.values())


def _ending(found: Found) -> set[tuple[int, int]]:
    """The records, by node and by place in its order, from which a final state can be reached."""
    entities = found.scope.system.entities
    back = dict[tuple[int, int], list[tuple[int, int]]]()
    for at, edges in found.edges.items():
        places = {key: place for place, key in enumerate(found.nodes[at].order)}
        for edge in edges:
            for place, key in enumerate(edge.order):
                if key in places:
                    back.setdefault((edge.to, place), []).append((at, places[key]))
    fresh = [
        (at, place)
        for at, node in enumerate(found.nodes)
        for place, key in enumerate(node.order)
        if entities[key[0]].states[node.situation.records[key].state].final
    ]
    ending = set(fresh)
    while fresh:
        for before in back.get(fresh.pop(), ()):
            if before not in ending:
                ending.add(before)
                fresh.append(before)
    return ending
