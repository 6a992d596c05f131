"""A world: all records of one tenant at one time, and how promises over all of them see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import CodeType, FunctionType
from typing import Any, Final, TypeVar

from avow.declare.surface import Command, Entity, Transition
from avow.kernel.command import Key, Record
from avow.kernel.draft import Pool, handle_on
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.prove.act import TENANT

E = TypeVar("E", bound=Entity)

Performers = Mapping[Key, Mapping[str, frozenset[str]]]
"""Who has performed which transition on a record, by its name; of a real database its audit log tells it."""

NOBODY: Final = Actor(Subject("nobody"), TENANT)
"""Who looks at a world; no promise may depend on it."""


class WorldView:
    """What a promise over all records is called with: `declare.promise.World`.

    records: all of them, by their keys, in the order in which they were created.
    asked:   the steps whose performers are kept; about another one nothing is ever said.
    """

    def __init__(
        self,
        system: System,
        records: Mapping[Key, Record],
        performers: Performers,
        asked: frozenset[str],
        now: datetime,
    ) -> None:
        self._records, self._performers, self._asked, self._now = records, performers, asked, now
        self.pool = Pool(system, NOBODY, now, dict(records), {})

    @property
    def now(self) -> datetime:
        """The time at which it is looked at."""
        return self._now

    def all(self, kind: type[E]) -> Sequence[E]:
        """Every record of an entity, in the order in which they were created."""
        return [handle_on(self.pool, key, None, None) for key in self._records if key[0] == kind.__name__]

    def performers(self, record: Entity, step: Transition | Command[...]) -> frozenset[Subject]:
        """Who has performed a transition on a record, ever."""
        name = step.word.name if isinstance(step, Command) else step.name
        if name not in self._asked:
            raise ValueError(f"nobody has kept who performed {name}: name it in the promise's own function")
        found = self._performers.get((type(record).__name__, record.id), {}).get(name, frozenset[str]())
        return frozenset(map(Subject, found))


def names_in(function: Any) -> frozenset[str]:
    """Every name that a function's code speaks of, or that of a function it names: what it may ask about."""
    found, left, seen = set[str](), [function], set[int]()
    while left:
        code = getattr(one := left.pop(), "__code__", None)
        if not isinstance(code, CodeType) or id(code) in seen:
            continue
        seen.add(id(code))
        names = _names(code)
        found |= names
        known: Mapping[str, Any] = getattr(one, "__globals__", {})
        left += [known[name] for name in sorted(names) if isinstance(known.get(name), FunctionType)]
    return frozenset(found)


def _names(code: CodeType) -> set[str]:
    found = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
