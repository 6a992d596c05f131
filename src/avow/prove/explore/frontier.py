"""The frontier of a search: situations that are still to be gone on from, and which one is next."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from avow.model.system import System
from avow.prove.explore.aims import Aims
from avow.prove.explore.inputs import sort_of
from avow.prove.explore.kinds import Look, look_of
from avow.prove.explore.situation import Situation

States: TypeAlias = tuple[Look, ...]
"""What each record looks like, sorted: its kind, and what its declaration asks of its fields."""
Rarity: TypeAlias = tuple[int, int]
"""How often the search has gone on from the rarest feature of these, and from all of them together."""
TURNS: Final = 6
AIMED: Final = (2, 5)
TIRED: Final = 3
"""Of so many nodes two, by their place, are taken for what they are near to, and one that is tired."""


@dataclass(slots=True)
class _Class:
    """Situations whose records look the same: by what their values are like, each in its order.

    features: what there is to see of these records, one by one. queued: in which queues it stands.
    """

    features: frozenset[Hashable]
    taken: int = 0
    kinds: dict[Hashable, deque[int]] = field(default_factory=dict[Hashable, "deque[int]"])
    counts: Counter[Hashable] = field(default_factory=Counter[Hashable])
    queued: set[int] = field(default_factory=set[int])


class Frontier:
    """Nodes by what their records look like. Next is by turns one with a record that has something in its
    state of which little is known, one whose records, taken together, are little known, and one that comes
    near to what is aimed at; now and then one in which only what is likely to come to nothing new is left.
    """

    def __init__(self, system: System, entities: Iterable[str]) -> None:
        self._system = system
        self.aims = Aims(system, entities)
        self._classes: dict[States, _Class] = {}
        self._queues: tuple[list[tuple[Rarity, int, States]], ...] = ([], [])
        self._tired = deque[int]()
        self._number, self._turn = 0, -1
        self._known = Counter[Hashable]()
        self._like = dict[int, Hashable]()
        self._done = set[int]()
        self._aimed = False

    def put(self, at: int, situation: Situation) -> None:
        """Put a new node, by its number."""
        self.aims.put(at, situation)
        self._put(at, situation)

    def again(self, at: int, situation: Situation, tired: bool) -> None:
        """Put the node that was taken last where it was: there is more to try in it. tired: but nothing that
        is likely to come to anything new.
        """
        if tired:
            self._done.add(at)
            self._tired.append(at)
        elif self._aimed:
            self.aims.again()
        else:
            self._put(at, situation)

    def done(self, at: int) -> None:
        """Forget a node: all was tried in it."""
        self._done.add(at)

    def class_of(self, at: int) -> Hashable:
        """What a node has in common with those that are like it."""
        return self._like.get(at)

    def _put(self, at: int, situation: Situation) -> None:
        records = situation.records.values()
        states = tuple(sorted([look_of(self._system, r) for r in records]))
        kind = tuple([tuple(map(sort_of, r.values.values())) for r in records])
        self._like[at] = states, kind
        found = self._classes.get(states)
        if found is None:
            found = self._classes[states] = _Class(_features_of(states))
        found.kinds.setdefault(kind, deque()).append(at)
        for queue in range(len(self._queues)):
            self._push(queue, states, found)

    def _push(self, queue: int, states: States, found: _Class) -> None:
        if queue not in found.queued:
            found.queued.add(queue)
            self._number += 1
            heapq.heappush(self._queues[queue], (self._rarity(queue, found), self._number, states))

    def _rarity(self, queue: int, found: _Class) -> Rarity:
        if queue:
            return found.taken, 0
        return min([self._known[one] for one in found.features], default=0), found.taken

    def take(self) -> int | None:
        """Take the next node; None where there is none."""
        self._turn = (self._turn + 1) % TURNS
        self._aimed = self._turn in AIMED
        if self._aimed:
            while (at := self.aims.take()) is not None:
                if at not in self._done:
                    return at
            self._aimed = False
        at = None if self._turn == TIRED else self._take_from(self._turn % len(self._queues))
        if at is None and self._tired:
            return self._tired.popleft()
        return self._take_from(0) if at is None else at

    def _take_from(self, turn: int) -> int | None:
        queue = self._queues[turn]
        while queue:
            rarity, _, states = heapq.heappop(queue)
            found = self._classes[states]
            found.queued.remove(turn)
            if found.kinds and rarity == self._rarity(turn, found):
                at = self._take_of(turn, states, found)
                if at not in self._done:
                    return at
            elif found.kinds:
                self._push(turn, states, found)  # it has become better known since
        return None

    def _take_of(self, turn: int, states: States, found: _Class) -> int:
        kind = min(found.kinds, key=lambda kind: found.counts[kind])
        nodes = found.kinds[kind]
        at = nodes.popleft()
        if at not in self._done:
            found.taken += 1
            found.counts[kind] += 1
            self._known.update(found.features)
        if not nodes:
            del found.kinds[kind]
        if found.kinds:
            self._push(turn, states, found)
        return at


def _features_of(states: States) -> frozenset[Hashable]:
    """The kind of each record, and of each of its fields that is asked about what it holds in this state."""
    found = set[Hashable]()
    for kind, held in states:
        found.add(kind)
        found.update([(*kind[:2], place, value) for place, value in enumerate(held)])
    return frozenset(found)
