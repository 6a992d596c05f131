"""Composing paths: what one record has come to, once more for a second and a third one beside it.

A search that goes on act by act comes late to two records that are both far along, and hardly ever to three.
What leads one of them there is known by then, and leads another one there just as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from typing import Any, Final, TypeAlias, cast

from avow.model.system import System
from avow.model.types import Reference
from avow.model.values import Money, Subject
from avow.prove.act import Act, Path, Ref, is_creation, refs_of
from avow.prove.coverage import Taken
from avow.prove.explore.kinds import Kind, kind_of_record
from avow.prove.explore.path import end_of, without_needless
from avow.prove.explore.people import people_of
from avow.prove.explore.situation import Happened, Situation, happen, ref_of

COMPOSED_MAX: Final = 600
"""How many composed paths a search is given at most, the shortest ones."""

ALIKE: Final = 2
"""After so many composed paths come some in which all go one way."""

Alone = tuple[Path, Ref]
"""A path, and the record that it is about."""
Seed: TypeAlias = tuple[Path, ...]
"""Paths to the same, of which each is followed where something on the one before it is refused."""


def alone_of(system: System, paths: Mapping[Kind, Path]) -> Mapping[Kind, Alone]:
    """Paths to records of each kind without what isn't needed for them."""
    found = {kind: _own(system, path, partial(_of_kind, system, kind)) for kind, path in paths.items()}
    return {kind: one for kind, one in found.items() if one is not None}


def ways_of(system: System, taken: Mapping[Taken, Path]) -> Mapping[Taken, Alone]:
    """Paths that take each transition without what isn't needed for it."""
    found = {at: _own(system, path, partial(_that_took, system, at)) for at, path in taken.items()}
    return {at: one for at, one in found.items() if one is not None}


def composed(
    system: System, entity: str, alone: Mapping[Kind, Alone], ways: Mapping[Taken, Alone], count: int
) -> Iterator[Seed]:
    """Paths that lead so many records of an entity to where these lead one, in each combination: with what
    they share as scarce as it may be, and otherwise with so much of it that there is enough for all.

    The last one of them takes each transition that any path takes, so that on its way it passes what the
    shorter ones come to. First come those that have a record in common, then those in which it passes where
    the others are: what is too much of one kind is seen there. By turns with these come those in which most
    of the records have moved something that they share. Now and then come those in which all go one way,
    which also end once more, and with more.
    """
    own = dict[Kind | str, Alone]()
    for kind, one in sorted(alone.items(), key=lambda known: len(known[1][0])):
        if kind[0] == entity:
            own.setdefault(kind if count == 2 else kind[1], one)  # of more, each state once
    others = list(own.values())
    every = list(dict.fromkeys([*others, *_past(system, entity, ways)]))
    last = [one for one in every if not any(_is_part(one[0], other[0]) for other in every)]
    moves = {one: _moves_others(system, *one) for one in every}
    alike = _alike(sorted(last, key=lambda one: (not moves[one], len(one[0]))), count)
    in_order = _by_turns(
        [every.index(one) for one in others],
        [every.index(one) for one in last],
        every,
        [moves[one] for one in every],
        count,
    )
    for number, places in enumerate(islice(in_order, COMPOSED_MAX), start=1):
        several = [every[place] for place in places]
        yield from _orders(system, several, count)
        if number % ALIKE == 0 and (same := next(alike, None)) is not None:
            yield from _and_more_of(system, same, count)
    for same in islice(alike, COMPOSED_MAX):
        yield from _and_more_of(system, same, count)


def _orders(system: System, several: Sequence[Alone], count: int) -> Iterator[Seed]:
    """The orders in which paths are followed one after the other."""
    enough = [(_ample(system, path, ref, count), ref) for path, ref in several]
    for turned, in_order in ((False, _joined), (True, _joined), (False, _backwards)):
        yield tuple(in_order(_together(system, one, turned)) for one in (several, enough))


def _and_more_of(system: System, several: Sequence[Alone], count: int) -> Iterator[Seed]:
    for paths in _orders(system, several, count):
        yield paths
        yield from _and_more(system, paths)


def _and_more(system: System, paths: Seed) -> Iterator[Seed]:
    """These once more in their last act, and with twice as much in it: what is too much for one alone may
    be there because of the others.
    """
    last = paths[0][-1]
    if last.kind in ("command", "event"):
        made = is_creation(system, last)
        more = _more(last, 2)
        for path in paths:
            ordinals = [act.record for act in path if act.entity == last.entity]
            again = replace(path[-1], record=1 + max(ordinals)) if made else path[-1]
            yield ((*path, again),)
            if more != last:
                yield ((*path[:-1], _more(path[-1], 2)),)


def chained(system: System, at: Taken, path: Path) -> Iterator[Seed]:
    """Where a transition is taken by a record that may refer to one of its own entity, with such another one:
    that one goes the same way after it with a third one, and a third one goes it with this one.
    """
    kinds = [field.type for field in system.entities[at[0]].fields.values()]
    if not any(isinstance(kind, Reference) and kind.entity == at[0] for kind in kinds):
        return
    own = _own(system, path, partial(_that_took, system, at))
    if own is None:
        return
    path, ref = own
    made = [act.ref for act in path if act.entity == ref.entity and is_creation(system, act)]
    third = Ref(ref.entity, 1 + max([one.ordinal for one in made], default=0))
    for other in (one for one in made if one != ref):
        then, before = {ref: other, other: third}, {other: ref, ref: third}
        again = (act for act in path if act.ref in then and not (act.ref == ref and is_creation(system, act)))
        yield ((*path, *(_renamed(act, then, {}) for act in again)),)
        yield ((*path, *(_renamed(act, before, {}) for act in path if act.ref == ref)),)


def in_part(ways: Mapping[Taken, Alone]) -> Iterator[Seed]:
    """The ways, with twice as much of everything but in their last act: where there is one of something, all
    of it, a part of it, and one are the same.
    """
    for path, _ in sorted(ways.values(), key=lambda alone: len(alone[0])):
        more = (*(_more(act, 2) for act in path[:-1]), path[-1])
        if more != path:
            yield (more,)


def twice(system: System, path: Path) -> Path:
    """The path, and the same for another record of the last act's entity, with enough of what they share."""
    ref = path[-1].ref
    enough = _ample(system, path, ref, 2), ref
    return _joined(_together(system, [enough, enough], turned=False))


def _alike(ways: Iterable[Alone], count: int) -> Iterator[tuple[Alone, ...]]:
    """Each way beside others of its own that have just been made, then beside others that are gone to the
    end: what two of a kind share runs short where anything does.
    """
    for path, ref in ways:
        made = 1 + next((at for at, act in enumerate(path) if act.ref == ref), -1)
        yield (*((path[:made], ref),) * (count - 1), (path, ref))
        yield ((path, ref),) * count


def _past(system: System, entity: str, ways: Mapping[Taken, Alone]) -> Iterator[Alone]:
    """The ways that a record of an entity takes, and those of others that lead past one."""
    for at, (path, ref) in ways.items():
        if at[0] == entity:
            yield path, ref
        else:
            made = [act.ref for act in path if act.entity == entity and is_creation(system, act)]
            yield from ((path, first) for first in made[:1])


def _is_part(path: Path, of: Path) -> bool:
    return len(path) < len(of) and of[: len(path)] == path


def _moves_others(system: System, path: Path, ref: Ref) -> bool:
    """Whether a path moves what its record refers to, and not only the record itself."""
    situation = Situation()
    for act in path:
        outcome = happen(system, situation, act)
        if not isinstance(outcome, Happened):
            return False
        situation = outcome.after
        mine = any(ref_of(step.after.key) == ref for step in outcome.steps)
        if mine and any(s.after.entity != ref.entity and s.before is not None for s in outcome.steps):
            return True
    return False


def _by_turns(
    others: Sequence[int], last: Sequence[int], every: Sequence[Alone], moves: Sequence[bool], count: int
) -> Iterable[tuple[int, ...]]:
    """Each combination of so many of these, by their places, as `composed` says. What is known of one is
    worked out once: there are thousands of combinations.
    """
    named = [{of for act in path if act.ref == ref for of in refs_of(act)} - {ref} for path, ref in every]
    acts = [len(path) for path, _ in every]
    apart = {
        (one, to): one != to and every[one][0] != every[to][0] and not _is_part(every[one][0], every[to][0])
        for one in others
        for to in last
    }

    def nearest(several: Sequence[int]) -> tuple[bool, int, int]:
        *rest, to = several
        shared = named[to].intersection(*(named[one] for one in rest))
        return not shared, sum(apart[one, to] for one in rest), sum(acts[one] for one in several)

    chosen = sorted(((*rest, to) for rest in product(others, repeat=count - 1) for to in last), key=nearest)
    telling = sorted(chosen, key=lambda several: sum(not moves[one] for one in several))
    return dict.fromkeys(one for both in zip(telling, chosen, strict=True) for one in both)


Like: TypeAlias = Callable[[Path], list[Ref]]
"""The records that a path leads to where it is to lead one."""


def _of_kind(system: System, kind: Kind, path: Path) -> list[Ref]:
    end = end_of(system, path)
    if end is None:
        return []
    return [ref_of(key) for key, record in end.records.items() if kind_of_record(system, record) == kind]


def _that_took(system: System, at: Taken, path: Path) -> list[Ref]:
    """The records that take a transition in the last act."""
    before = end_of(system, path[:-1]) if path else None
    outcome = None if before is None else happen(system, before, path[-1])
    if not isinstance(outcome, Happened):
        return []
    return [ref_of(s.after.key) for s in outcome.steps if (s.after.entity, s.transition.name) == at]


def _own(system: System, path: Path, like: Like) -> Alone | None:
    """The path without what isn't needed for a record like that, and that record."""
    short = without_needless(path, lambda candidate: bool(like(candidate)))
    refs = like(short)
    return (_scarce(system, short, refs[0], like), refs[0]) if refs else None


def _scarce(system: System, path: Path, ref: Ref, like: Like) -> Path:
    """The path with as little as possible of whatever others share with the record: one place, one cent."""
    for at, act in enumerate(path):
        if act.ref.entity != ref.entity and is_creation(system, act):
            for name, value in act.input.items():
                fewer = replace(path[at], input={**path[at].input, name: 1})
                if type(value) is int and value > 1 and ref in like(found := _with(path, at, fewer)):
                    path = found
    return path


def _ample(system: System, path: Path, ref: Ref, count: int) -> Path:
    """The path with so many times as much of whatever others share with the record."""
    return tuple(
        _more(act, count) if act.ref.entity != ref.entity and is_creation(system, act) else act
        for act in path
    )


def _more(act: Act, count: int) -> Act:
    return replace(act, input={name: _times(value, count) for name, value in act.input.items()})


def _times(value: Any, count: int) -> Any:
    match value:
        case bool():
            return value
        case int():
            return value * count
        case Money(amount, currency):
            return Money(amount * count, currency)
        case _:
            return value


def _with(path: Path, at: int, act: Act) -> Path:
    return (*path[:at], act, *path[at + 1 :])


Parts: TypeAlias = list[tuple[Path, Path]]
"""Paths one after the other, each up to where its record is made, and from there on."""


def _joined(parts: Parts) -> Path:
    """One path after the other."""
    return tuple(act for part in parts for half in part for act in half)


def _backwards(parts: Parts) -> Path:
    """All records are made, in order; then the last is brought further first: who came late goes ahead."""
    made = tuple(act for first, _ in parts for act in first)
    return made + tuple(act for _, rest in reversed(parts) for act in rest)


def _together(system: System, several: Iterable[Alone], turned: bool) -> Parts:
    """The paths, each with a record of its own. turned: given by different people."""
    found, parts = Path(), Parts()
    for number, (path, ref) in enumerate(several):
        if number:
            path, ref = _again(system, found, path, ref, number if turned else 0)
        found += path
        made = 1 + next((at for at, act in enumerate(path) if act.ref == ref), -1)
        parts.append((path[:made], path[made:]))
    return parts


def _again(system: System, before: Path, path: Path, ref: Ref, turn: int) -> Alone:
    """The acts of a path that are about a record and what refers to it, for others of their kinds.

    What these refer to stays the same, where it is there; it isn't brought further.
    """
    renamed = dict[Ref, Ref]()
    return tuple(_acts_again(system, before, path, ref, turn, renamed)), renamed.get(ref, ref)


def _acts_again(
    system: System, before: Path, path: Path, ref: Ref, turn: int, renamed: dict[Ref, Ref]
) -> Iterator[Act]:
    there = {act.ref for act in before if is_creation(system, act)}
    last = dict[str, int]()
    for one in there:
        last[one.entity] = max(one.ordinal, last.get(one.entity, 0))
    people = [*dict.fromkeys(person.subject for person in people_of(system))]
    names = {name: people[(at + turn) % len(people)] for at, name in enumerate(people)}
    for act in path:
        mine = act.ref == ref or any(one in renamed for one in refs_of(act))
        if mine and act.ref not in renamed and is_creation(system, act):
            last[act.entity] = 1 + last.get(act.entity, 0)
            renamed[act.ref] = Ref(act.entity, last[act.entity])
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
