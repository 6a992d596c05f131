"""Whether everything that has begun can still end: from each situation, each open record can reach a final state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from avow.kernel.command import Key
from avow.prove.explore.search import Found


class Stuck(NamedTuple):
    """A record that can't end any more, and the node in which it is stuck first."""

    key: Key
    state: str
    node: int


def stuck(found: Found) -> Iterator[Stuck]:
    """For each entity and state the first record that can't end any more; nothing of a search that isn't closed."""
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
