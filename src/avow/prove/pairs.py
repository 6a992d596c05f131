"""Pairs: which acts can run at once, after which path, and share something that one of them writes.

Found in the model: the acts of a situation with what each would read and write there. Two pairs of the same
commands that share the same kinds of things in the same way are one, after the shortest path.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final, TypeAlias
from uuid import UUID

from avow.kernel.command import Key, Record
from avow.model.system import System
from avow.model.types import Reference
from avow.prove.act import Act, Path, is_creation, refs_of
from avow.prove.coverage import Coverage
from avow.prove.explore.path import end_of
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import components
from avow.prove.explore.situation import Happened, Situation, happen, id_of

LOOKED_AT_MAX: Final = 400
"""How many acts of one situation are looked at."""


Thing: TypeAlias = tuple[Any, ...]
"""What may be read or written: an entity, then a record's id, or the name of a rule, or of a call."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two acts that share something, or more.

    copies:      it is one request, sent twice.
    locks_first: by engines that lock before they look, as they do where they were overtaken before.
    """

    path: Path
    acts: tuple[Act, ...]
    copies: bool = False
    locks_first: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return " || ".join(f"{act.entity}.{act.command}" for act in self.acts)


@dataclass(frozen=True, slots=True)
class _Touch:
    """An act in a situation, and what it touches there."""

    act: Act
    reads: frozenset[Thing]
    writes: frozenset[Thing]

    def shares(self, other: _Touch) -> frozenset[Thing]:
        return self.writes & (other.reads | other.writes) | other.writes & self.reads


def pairs_of(system: System, coverage: Coverage) -> Iterator[Pair]:
    """Every pair that shares anything, the shortest paths first; each once."""
    seen = set[Hashable]()
    for path in _starts(coverage):
        situation = end_of(system, path)
        if situation is None:
            continue
        touches = list(_touches(system, situation))
        for touch in touches:
            key = ("copies", touch.act.entity, touch.act.command, _targets(touch))
            if touch.act.kind in ("command", "event") and key not in seen:
                seen.add(key)
                yield Pair(path, (touch.act, touch.act), copies=True)
        for one, other in [*combinations(touches, 2), *((touch, touch) for touch in touches)]:
            shared = one.shares(other)
            key = _kind_of_pair(one, other, shared)
            if shared and key not in seen and not _contradict(one.act, other.act):
                seen.add(key)
                yield Pair(path, _apart(system, one.act, other.act))


def _starts(coverage: Coverage) -> list[Path]:
    ends = set(coverage.states.values())
    befores = {path[:-1] for path in coverage.transitions.values() if path}
    return sorted(ends | befores | {()}, key=lambda path: (len(path), repr(path)))


def _touches(system: System, situation: Situation) -> Iterator[_Touch]:
    """The acts that would be accepted, of each command on the same records the first one."""
    seen = set[Hashable]()
    entities = [name for group in components(system) for name in group]
    scope = Scope(system, tuple(entities), frozenset(entities))
    for looked_at, act in enumerate(Acts(scope).possible(situation, 0)):
        if looked_at >= LOOKED_AT_MAX:
            return
        key = (act.entity, act.command, refs_of(act))
        if key in seen:
            continue
        happened = happen(system, situation, act)
        if isinstance(happened, Happened):
            seen.add(key)
            yield _touch(system, situation, act, happened)


def _touch(system: System, situation: Situation, act: Act, happened: Happened) -> _Touch:
    own = (act.entity, id_of(system, act.ref))
    known = situation.records
    reads = set[Thing](_reached(system, known, {own, *((r.entity, id_of(system, r)) for r in refs_of(act))}))
    writes = set[Thing]()
    for step in happened.steps:
        entity = system.entities[step.after.entity]
        if step.before is not None:
            writes.add(step.after.key)
        reads |= set(_reached(system, known, set(_referred(system, step.after))))
        for quota in entity.quotas:
            anchor = step.after.values.get(quota.anchor)
            if anchor is not None:
                writes.add((system.referred(entity, quota.anchor).name, anchor))
        writes |= {(entity.name, rule.name) for rule in (*entity.uniques, *entity.exclusions)}
    if act.actor is None:
        writes.add((*own, act.command.partition(".")[0]))
    return _Touch(act, frozenset(reads), frozenset(writes))


def _reached(system: System, records: Mapping[Key, Record], keys: set[Key]) -> Iterable[Key]:
    """Records and those that they refer to, one step on."""
    further = {other for key in keys if key in records for other in _referred(system, records[key])}
    return keys | further


def _referred(system: System, record: Record) -> Iterator[Key]:
    for field in system.entities[record.entity].fields.values():
        value = record.values.get(field.name)
        if isinstance(field.type, Reference) and isinstance(value, UUID):
            yield field.type.entity, value


def _targets(touch: _Touch) -> tuple[str, ...]:
    return tuple(sorted(ref.entity for ref in refs_of(touch.act)))


def _kind_of_pair(one: _Touch, other: _Touch, shared: frozenset[Thing]) -> Hashable:
    """What makes two pairs the same: their commands, and what kinds of things they share."""
    names = sorted(f"{t.act.entity}.{t.act.command}" for t in (one, other))
    kinds = sorted({key[0] for key in shared})
    return (*names, *kinds, one.act.ref == other.act.ref)


def _contradict(one: Act, other: Act) -> bool:
    """Whether both say how the same call ends, and not the same."""
    if one.kind != "outcome" or other.kind != "outcome" or one.ref != other.ref:
        return False
    mine, other_s = one.command.partition("."), other.command.partition(".")
    return mine[0] == other_s[0] and mine[2] != other_s[2]


def _apart(system: System, one: Act, other: Act) -> tuple[Act, Act]:
    """The same acts; two that make a record of one entity make two records."""
    if is_creation(system, one) and is_creation(system, other) and one.ref == other.ref:
        return one, replace(other, record=other.record + 1)
    return one, other
