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
"""How often the search has gone on from the rarest of these records, and from all of them together."""


@dataclass(slots=True)
class _Class:
    """Situations whose records are of the same kinds: by what their values are like, each in its order.

    queued: in which queues it stands.
    """

    taken: int = 0
    kinds: dict[Hashable, deque[int]] = field(default_factory=dict[Hashable, "deque[int]"])
    counts: Counter[Hashable] = field(default_factory=Counter[Hashable])
    queued: set[int] = field(default_factory=set[int])


class Frontier:
    """Nodes by the kinds of their records. Next is by turns one with a record of a little known kind, and one
    whose records, taken together, are little known.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._classes: dict[States, _Class] = {}
        self._queues: tuple[list[tuple[Rarity, int, States]], ...] = ([], [])
        self._number, self._turn = 0, 0
        self._known = Counter[Kind]()

    def put(self, at: int, situation: Situation) -> None:
        """Put a node, by its number."""
        records = situation.records.values()
        states = tuple(sorted([kind_of_record(self._system, r) for r in records]))
        kind = tuple([tuple(map(sort_of, r.values.values())) for r in records])
        found = self._classes.get(states)
        if found is None:
            found = self._classes[states] = _Class()
        found.kinds.setdefault(kind, deque()).append(at)
        for queue in range(len(self._queues)):
            self._push(queue, states, found)

    def _push(self, queue: int, states: States, found: _Class) -> None:
        if queue not in found.queued:
            found.queued.add(queue)
            self._number += 1
            heapq.heappush(self._queues[queue], (self._rarity(queue, states, found), self._number, states))

    def _rarity(self, queue: int, states: States, found: _Class) -> Rarity:
        if queue:
            return found.taken, 0
        return min([self._known[state] for state in states], default=0), found.taken

    def take(self) -> int | None:
        """Take the next node; None where there is none."""
        self._turn = (self._turn + 1) % len(self._queues)
        queue = self._queues[self._turn]
        while queue:
            rarity, _, states = heapq.heappop(queue)
            found = self._classes[states]
            found.queued.remove(self._turn)
            if found.kinds and rarity == self._rarity(self._turn, states, found):
                return self._take_of(states, found)
            if found.kinds:
                self._push(self._turn, states, found)  # it has become better known since
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
            self._push(self._turn, states, found)
        return at
