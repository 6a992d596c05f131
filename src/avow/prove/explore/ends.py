"""Whether what has begun can still end: from each situation, each record can come to a final state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from avow.kernel.command import Key
from avow.model.system import System
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import Found, search, why_refused
from avow.prove.explore.situation import Refusal, Situation, happen, ref_of

ACTS_MAX: Final = 20_000
"""How many acts are tried to see whether one record can end."""


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
    seen = set[tuple[str, str]]()
    for at, node in enumerate(found.nodes):
        for place, key in enumerate(node.order):
            state = node.situation.records[key].state
            if (at, place) not in ending and (key[0], state) not in seen and _has_end(found, key[0]):
                seen.add((key[0], state))
                yield Stuck(key, state, at)


def cannot_end(scope: Scope, situation: Situation, key: Key) -> bool:
    """Whether a record can't end any more, from a situation on; False where that takes too long to say."""
    left = iter(range(ACTS_MAX // 64))
    found = search(scope, lambda _: next(left, None) is not None, situation)
    if not found.closed:
        return False
    place = found.nodes[0].order.index(key)
    return (0, place) not in _ending(found)


def reasons(system: System, scope: Scope, situation: Situation, key: Key) -> list[str]:
    """Why nothing moves a record: what is said to whoever tries, each once."""
    said = dict[str, None]()
    for act in Acts(scope).possible(situation, 0):
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
