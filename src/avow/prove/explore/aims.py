"""What a search aims at: what nothing has come to yet, and the situations that come nearest to it.

A transition that nothing has taken, a goal that nothing has reached, an `always` that nothing has broken, a
sender's word after a newer one: for each several conditions have to hold at once. The more of them hold in a
situation, the nearer it is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from avow.kernel.draft import Pool, RecordScope
from avow.model.entity import Entity, Transition
from avow.model.expression import (
    ActorSubject,
    Argument,
    Compare,
    Const,
    Expression,
    FieldOf,
    HasRole,
    Meaning,
    Not,
    Opaque,
    Performed,
    meaning,
    walk,
)
from avow.model.system import System
from avow.model.trigger import OnEvent
from avow.model.types import Reference
from avow.prove.coverage import Taken
from avow.prove.explore.contradictions import numbered
from avow.prove.explore.situation import Situation
from avow.prove.explore.together import parts_of
from avow.prove.world import NOBODY

NEWER_MAX: Final = 12
"""How often it is aimed at a sender's word after a newer one."""
_OF_THE_ACT: Final = (ActorSubject, Argument, HasRole, Opaque, Performed)
"""What depends on who acts, or on what is given: of a situation alone nothing can be said of it."""


@dataclass(slots=True)
class _Aim:
    """Something to come to. near: nodes by how many conditions fail there, and how often it was tried there.

    sources: from where; empty: from everywhere. named: the entities of other records that are to be given.
    most: how often it is aimed at; None: until it is reached.
    """

    entity: str
    sources: frozenset[str]
    asked: tuple[Meaning, ...]
    named: tuple[str, ...] = ()
    most: int | None = None
    tried: int = 0
    near: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])


class Aims:
    """The aims of one search. A node may stand near several of them."""

    def __init__(self, system: System, entities: Iterable[str]) -> None:
        self._system = system
        self._left = {name: aim for entity in entities for name, aim in _aims_of(system.entities[entity])}
        self._last: tuple[_Aim, tuple[int, int, int]] | None = None

    def reached(self, what: Taken) -> None:
        """Aim at something no more: it was come to."""
        self._left.pop(what, None)

    def put(self, at: int, situation: Situation) -> None:
        """Put a node, by its number, near whatever it is near to."""
        pool = Pool(self._system, NOBODY, situation.now, dict(situation.records), {})
        scopes = [(r.entity, r.state, RecordScope(pool, r)) for r in situation.records.values()]
        counts = Counter(entity for entity, _, _ in scopes)
        for aim in self._left.values():
            alone = sum(counts[name] < 1 + (name == aim.entity) for name in aim.named)
            fails = [
                sum(asked(scope) is not True for asked in aim.asked)
                for entity, state, scope in scopes
                if entity == aim.entity and (not aim.sources or state in aim.sources)
            ]
            if fails:
                heapq.heappush(aim.near, (min(fails) + alone, 0, at))

    def take(self) -> int | None:
        """The node nearest to what was aimed at least; None where there is none."""
        aims = [aim for aim in self._left.values() if aim.near and (aim.most is None or aim.tried < aim.most)]
        if not aims:
            return None
        aim = min(aims, key=lambda aim: aim.tried)
        aim.tried += 1
        self._last = aim, heapq.heappop(aim.near)
        return self._last[1][2]

    def again(self) -> None:
        """Put the node that was taken last where it was, behind what is as near."""
        if self._last is not None:
            aim, (fails, times, at) = self._last
            heapq.heappush(aim.near, (fails, times + 1, at))


def _aims_of(entity: Entity) -> Iterator[tuple[Taken, _Aim]]:
    for t in entity.transitions.values():
        if not t.creation:
            asked = () if t.when is None else tuple(_settled(parts_of(t.when)))
            yield (entity.name, t.name), _Aim(entity.name, frozenset(t.sources), asked, tuple(_given(t)))
        for kept, _ in numbered(t) if isinstance(t.trigger, OnEvent) else ():
            newer = meaning(Compare(">", FieldOf((kept,)), Const(1)))
            yield (
                (entity.name, f"{t.name} after a newer one"),
                _Aim(entity.name, frozenset(t.sources), (newer,), most=NEWER_MAX),
            )
    for goal in entity.goals:
        asked = tuple(_settled(parts_of(goal.condition)))
        yield (entity.name, goal.name), _Aim(entity.name, frozenset(), asked)
    for promise in entity.promises:
        asked = tuple(_settled(parts_of(Not(promise.condition))))
        yield (entity.name, promise.name), _Aim(entity.name, frozenset(), asked)


def _given(transition: Transition) -> Iterator[str]:
    return (p.type.entity for p in transition.parameters if isinstance(p.type, Reference))


def _settled(conditions: Iterable[Expression]) -> Iterator[Meaning]:
    """What conditions mean that a situation alone decides."""
    for condition in conditions:
        if not any(isinstance(node, _OF_THE_ACT) for node in walk(condition)):
            yield meaning(condition)
