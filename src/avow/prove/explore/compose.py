"""Composing paths: what one record has come to, once more for a second and a third one beside it.

A search that goes on act by act comes late to two records that are both far along, and hardly ever to three.
What leads one of them there is known by then, and leads another one there just as well.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final, cast

from avow.kernel.command import Record
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import Integer, Reference
from avow.model.values import Subject
from avow.prove.act import Act, Path, Ref, is_creation, refs_of
from avow.prove.explore.path import end_of, without_needless
from avow.prove.explore.people import people_of
from avow.prove.explore.situation import ref_of
from avow.prove.explore.values import constants_of

COMPOSED_MAX: Final = 600
"""How many composed paths a search is given at most, the shortest ones."""

Alone = tuple[Path, Ref]
"""A path, and the record that it is about."""
PLAIN: Final = 2
"""Up to this number, what a field is compared with tells no more than whether it is empty."""

Kind = tuple[str, str, tuple[int, ...]]
"""An entity, a state of it, and what sets its records apart there: which optional references lead anywhere,
how many have performed a step that counts, how many of the numbers it is compared with a field has reached.
"""


def kind_of_record(system: System, record: Record) -> Kind:
    """What a record is like."""
    optional, compared = system.derived(_telling)[record.entity]
    values: Mapping[str, Any] = record.values
    refers = [int(values[name] is not None) for name in optional]
    voted = [len(record.performers[step]) for step in sorted(record.performers)]
    reached = [bisect(numbers, values[name] or 0) for name, numbers in compared]
    return record.entity, record.state, (*refers, *voted, *reached)


_Telling = tuple[tuple[str, ...], tuple[tuple[str, tuple[int, ...]], ...]]


def _telling(system: System) -> Mapping[str, _Telling]:
    """For each entity its optional references, and the numbers that its fields are compared with."""
    return {name: _telling_of(system, entity) for name, entity in system.entities.items()}


def _telling_of(system: System, entity: Entity) -> _Telling:
    constants, fields = constants_of(system), entity.fields.values()
    optional = tuple(f.name for f in fields if isinstance(f.type, Reference) and f.optional)
    compared = list[tuple[str, tuple[int, ...]]]()
    for name in (f.name for f in fields if isinstance(f.type, Integer)):
        numbers = {c for c in constants.get((entity.name, name), ()) if type(c) is int and c > PLAIN}
        if numbers:
            compared.append((name, tuple(sorted(numbers))))
    return optional, tuple(compared)


def alone_of(system: System, paths: Mapping[Kind, Path]) -> Mapping[Kind, Alone]:
    """Paths to records of each kind without what isn't needed for them."""
    found = {kind: _own(system, kind, path) for kind, path in paths.items()}
    return {kind: one for kind, one in found.items() if one is not None}


def composed(system: System, entity: str, alone: Mapping[Kind, Alone], count: int) -> Iterator[Path]:
    """Paths that lead so many records of an entity to where these lead one, in each combination.

    The last one of them goes as far as any path goes, so that on its way it passes what the shorter ones come
    to. First come those that have a record in common, then those in which it passes where the others are:
    what is too much of one kind is seen there.
    """
    own = dict[Kind | str, Alone]()
    for kind, one in sorted(alone.items(), key=lambda known: len(known[1][0])):
        if kind[0] == entity:
            own.setdefault(kind if count == 2 else kind[1], one)  # of more, each state once
    others = list(own.values())
    last = [one for one in others if not any(_is_part(one[0], other[0]) for other in others)]
    chosen = [(*several, one) for several in product(others, repeat=count - 1) for one in last]
    chosen.sort(
        key=lambda several: (not _shared(several), _apart(several), sum(len(path) for path, _ in several))
    )
    for several, turned in product(chosen[:COMPOSED_MAX], (False, True)):
        yield _together(system, several, turned)


def _is_part(path: Path, of: Path) -> bool:
    return len(path) < len(of) and of[: len(path)] == path


def _shared(several: Iterable[Alone]) -> frozenset[Ref]:
    """The records that all of these refer to: what has nothing in common can't get in each other's way."""
    named = [{one for act in path if act.ref == ref for one in refs_of(act)} - {ref} for path, ref in several]
    return frozenset(named[0].intersection(*named[1:]))


def _apart(several: Sequence[Alone]) -> int:
    """How many of these don't lie on the way of the last one."""
    *others, (last, _) = several
    return sum(path != last and not _is_part(path, last) for path, _ in others)


def _own(system: System, kind: Kind, path: Path) -> Alone | None:
    """The path without what isn't needed for a record of that kind, and that record."""

    def like(candidate: Path) -> list[Ref]:
        end = end_of(system, candidate)
        if end is None:
            return []
        return [ref_of(key) for key, record in end.records.items() if kind_of_record(system, record) == kind]

    short = without_needless(path, lambda candidate: bool(like(candidate)))
    refs = like(short)
    return (_scarce(system, short, refs[0], like), refs[0]) if refs else None


def _scarce(system: System, path: Path, ref: Ref, like: Callable[[Path], list[Ref]]) -> Path:
    """The path with as little as possible of whatever others share with the record: one place, one cent."""
    for at, act in enumerate(path):
        if act.ref.entity != ref.entity and is_creation(system, act):
            for name, value in act.input.items():
                fewer = replace(path[at], input={**path[at].input, name: 1})
                if type(value) is int and value > 1 and ref in like(found := _with(path, at, fewer)):
                    path = found
    return path


def _with(path: Path, at: int, act: Act) -> Path:
    return (*path[:at], act, *path[at + 1 :])


def _together(system: System, several: Iterable[Alone], turned: bool) -> Path:
    """One path after the other, each with a record of its own. turned: given by different people."""
    found = Path()
    for number, (path, ref) in enumerate(several):
        if number:
            found += tuple(_again(system, found, path, ref, number if turned else 0))
        else:
            found = path
    return found


def _again(system: System, before: Path, path: Path, ref: Ref, turn: int) -> Iterator[Act]:
    """The acts of a path that are about a record and what refers to it, for others of their kinds.

    What these refer to stays the same, where it is there; it isn't brought further.
    """
    there = {act.ref for act in before if is_creation(system, act)}
    counts, renamed = Counter(ref.entity for ref in there), dict[Ref, Ref]()
    people = [person.subject for person in people_of(system)]
    names = {name: people[(at + turn) % len(people)] for at, name in enumerate(people)}
    for act in path:
        mine = act.ref == ref or any(one in renamed for one in refs_of(act))
        if mine and act.ref not in renamed and is_creation(system, act):
            counts[act.entity] += 1
            renamed[act.ref] = Ref(act.entity, counts[act.entity])
        if act.ref in renamed:
            yield _renamed(act, renamed, names)
        elif act.ref not in there:
            yield act


def _renamed(act: Act, refs: Mapping[Ref, Ref], names: Mapping[Subject, Subject]) -> Act:
    def other(value: Any) -> Any:
        match value:
            case Ref():
                return refs.get(value, value)
            case Subject():
                return names.get(value, value)
            case tuple():
                return tuple(other(one) for one in cast("tuple[Any, ...]", value))
            case _:
                return value

    actor = act.actor
    return replace(
        act,
        record=refs[act.ref].ordinal,
        input={name: other(value) for name, value in act.input.items()},
        actor=None if actor is None else replace(actor, subject=names.get(actor.subject, actor.subject)),
    )
