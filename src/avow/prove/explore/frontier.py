"""The frontier of a search: situations that are still to be gone on from, and which one is next."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from avow.prove.explore.situation import Situation


@dataclass(slots=True)
class _Class:
    """Situations whose records are in the same states: by what their values are like, each in its order."""

    taken: int = 0
    kinds: dict[Hashable, deque[int]] = field(default_factory=dict[Hashable, "deque[int]"])
    counts: dict[Hashable, int] = field(default_factory=dict[Hashable, int])


class Frontier:
    """Nodes by the states that their records are in. The class that was taken from least often is next."""

    def __init__(self) -> None:
        self._classes: dict[Hashable, _Class] = {}
        self._heap: list[tuple[int, int, Hashable]] = []
        self._number = 0

    def put(self, at: int, situation: Situation) -> None:
        """Put a node, by its number."""
        records = situation.records.values()
        states = tuple(sorted([(r.entity, r.state) for r in records]))
        kind = tuple([tuple(map(_sort, r.values.values())) for r in records])
        found = self._classes.get(states)
        if found is None:
            found = self._classes[states] = _Class()
        if not found.kinds:
            self._push(states, found)
        found.kinds.setdefault(kind, deque()).append(at)

    def _push(self, states: Hashable, found: _Class) -> None:
        self._number += 1
        heapq.heappush(self._heap, (found.taken, self._number, states))

    def take(self) -> int | None:
        """Take the next node; None where there is none."""
        if not self._heap:
            return None
        _, _, states = heapq.heappop(self._heap)
        found = self._classes[states]
        kind = min(found.kinds, key=lambda kind: found.counts.get(kind, 0))
        nodes = found.kinds[kind]
        at = nodes.popleft()
        found.taken += 1
        found.counts[kind] = found.counts.get(kind, 0) + 1
        if not nodes:
            del found.kinds[kind]
        if found.kinds:
            self._push(states, found)
        return at


def _sort(value: Any) -> int:
    """What a value is like: none, empty, or something."""
    return 0 if value is None else 1 if not value else 2
