"""The frontier of a search: situations that are still to be gone on from, and which one is next."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

from avow.model.system import System
from avow.prove.explore.compose import Kind, kind_of_record
from avow.prove.explore.inputs import sort_of
from avow.prove.explore.situation import Situation

States: TypeAlias = tuple[Kind, ...]
"""The kind of each record, sorted: its entity, its state, and what it refers to."""
Rarity: TypeAlias = tuple[int, int]
"""How often the search has gone on from a record in the rarest of these states, and from all together."""


@dataclass(slots=True)
class _Class:
    """Situations whose records are in the same states: by what their values are like, each in its order."""

    taken: int = 0
    kinds: dict[Hashable, deque[int]] = field(default_factory=dict[Hashable, "deque[int]"])
    counts: Counter[Hashable] = field(default_factory=Counter[Hashable])


class Frontier:
    """Nodes by the states that their records are in. Next is one with a record in a little known state."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._classes: dict[States, _Class] = {}
        self._heap: list[tuple[Rarity, int, States]] = []
        self._number = 0
        self._known = Counter[Kind]()

    def put(self, at: int, situation: Situation) -> None:
        """Put a node, by its number."""
        records = situation.records.values()
        states = tuple(sorted([kind_of_record(self._system, r) for r in records]))
        kind = tuple([tuple(map(sort_of, r.values.values())) for r in records])
        found = self._classes.get(states)
        if found is None:
            found = self._classes[states] = _Class()
        if not found.kinds:
            self._push(states, found)
        found.kinds.setdefault(kind, deque()).append(at)

    def _push(self, states: States, found: _Class) -> None:
        self._number += 1
        heapq.heappush(self._heap, (self._rarity(states, found), self._number, states))

    def _rarity(self, states: States, found: _Class) -> Rarity:
        return min([self._known[state] for state in states], default=0), found.taken

    def take(self) -> int | None:
        """Take the next node; None where there is none."""
        while self._heap:
            rarity, _, states = heapq.heappop(self._heap)
            found = self._classes[states]
            if rarity == self._rarity(states, found):
                return self._take_of(states, found)
            self._push(states, found)  # its states have become better known since
        return None

    def _take_of(self, states: States, found: _Class) -> int:
        kind = min(found.kinds, key=lambda kind: found.counts[kind])
        nodes = found.kinds[kind]
        at = nodes.popleft()
        found.taken += 1
        found.counts[kind] += 1
        self._known.update(set(states))
        if not nodes:
            del found.kinds[kind]
        if found.kinds:
            self._push(states, found)
        return at
