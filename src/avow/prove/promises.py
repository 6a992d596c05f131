"""The oracle for what must stay true: which rules and promises of a system a world breaks.

Rules that the database holds are looked at as well, by other code than the one that holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import combinations
from typing import Any, NamedTuple

from avow.kernel.command import Key, Record
from avow.kernel.draft import Pool, RecordScope
from avow.model.entity import Entity, Exclusion, Quota, Unique
from avow.model.expression import Expression, evaluate, meaning, render
from avow.model.place import Place
from avow.model.promise import Promise
from avow.model.system import System
from avow.prove.world import NOBODY, Performers, WorldView, names_in


class Broken(NamedTuple):
    """A rule or promise that a world breaks.

    promise: its name, `Course.never_oversold`. sentence: what it says. place: its line.
    rule:    its condition in the words of the declaration, where it has one.
    records: whom it is about, where that can be said.
    code:    with which the engine refuses what would break it; empty where nothing but trying holds it.
    """

    promise: str
    sentence: str
    place: Place
    rule: str
    records: tuple[Key, ...] = ()
    code: str = ""


def broken(
    system: System, records: Mapping[Key, Record], performers: Performers, now: datetime
) -> list[Broken]:
    """Everything that is false of this world."""
    return [*broken_rules(system, records, now), *broken_promises(system, records, performers, now)]


def broken_rules(system: System, records: Mapping[Key, Record], now: datetime) -> Iterator[Broken]:
    """What the engine and the database hold: invariants, uniqueness, exclusions, quotas."""
    pool = Pool(system, NOBODY, now, dict(records), {})
    for record in records.values():
        for invariant in system.entities[record.entity].invariants:
            if evaluate(invariant.condition, RecordScope(pool, record)) is False:
                name, rule = f"{record.entity}.{invariant.name}", render(invariant.condition)
                code = "invariant-violated"
                yield Broken(name, invariant.message, invariant.place, rule, (record.key,), code)
    yield from broken_together(system, records, now, system.entities)


def broken_together(
    system: System, records: Mapping[Key, Record], now: datetime, changed: Iterable[str]
) -> Iterator[Broken]:
    """What only the database can hold: rules over several records, as far as a change of these may break."""
    near = {name for entity in changed for name in system.derived(_rules_near)[entity]}
    for entity in (system.entities[name] for name in sorted(near)):
        own = [record for record in records.values() if record.entity == entity.name]
        yield from _broken_together(entity, own)
        if entity.quotas:
            pool = Pool(system, NOBODY, now, dict(records), {})
            for quota in entity.quotas:
                yield from _broken_quota(pool, entity, quota, own)


def _rules_near(system: System) -> Mapping[str, frozenset[str]]:
    """For each entity those whose rules over several records a change of it may break."""
    found = {name: set[str]() for name in system.entities}
    for entity in system.entities.values():
        if entity.uniques or entity.exclusions or entity.quotas:
            found[entity.name].add(entity.name)
        for quota in entity.quotas:
            found[system.referred(entity, quota.anchor).name].add(entity.name)
    return {name: frozenset(near) for name, near in found.items()}


def _broken_together(entity: Entity, own: list[Record]) -> Iterator[Broken]:
    for unique in entity.uniques:
        if unique.states and not any(record.state in unique.states for record in own):
            continue
        for one, other in combinations([r for r in own if _counts(unique, r)], 2):
            if _same(unique.fields, one, other):
                yield _of_two(entity, unique, one, other, "unique-violated")
    for exclusion in entity.exclusions:
        for one, other in combinations([r for r in own if _counts(exclusion, r)], 2):
            if _same(exclusion.fields, one, other) and _overlap(exclusion, one, other):
                yield _of_two(entity, exclusion, one, other, "exclusion-violated")


def _of_two(entity: Entity, rule: Unique | Exclusion, one: Record, other: Record, code: str) -> Broken:
    what = ", ".join(rule.fields)
    name = f"{entity.name}.{rule.name}"
    said = rule.message or (f"No two have the same {what}." if isinstance(rule, Unique) else "None overlap.")
    return Broken(name, said, rule.place, f"one for each {what}", (one.key, other.key), code)


def _counts(rule: Unique | Exclusion, record: Record) -> bool:
    return not rule.states or record.state in rule.states


def _same(fields: tuple[str, ...], one: Record, other: Record) -> bool:
    """A missing value equals nothing, as in SQL."""
    return all(one.values[name] is not None and one.values[name] == other.values[name] for name in fields)


def _overlap(rule: Exclusion, one: Record, other: Record) -> bool:
    start, end, first, last = (
        one.values[rule.start], one.values[rule.end], other.values[rule.start], other.values[rule.end],
    )  # fmt: skip
    known: tuple[Any, ...] = (start, end, first, last)
    return None not in known and known[0] < known[3] and known[2] < known[1]


def _broken_quota(pool: Pool, entity: Entity, quota: Quota, own: list[Record]) -> Iterator[Broken]:
    anchors = dict[Any, list[Record]]()
    for record in own:
        if record.state in quota.states and (anchor := record.values.get(quota.anchor)) is not None:
            anchors.setdefault(anchor, []).append(record)
    for anchor, counted in anchors.items():
        held = pool.records.get((pool.system.referred(entity, quota.anchor).name, anchor))
        limit: Any = None if held is None else evaluate(quota.limit, RecordScope(pool, held))
        weights: list[Any] = [1 if quota.weight is None else r.values[quota.weight] or 0 for r in counted]
        if limit is not None and sum(weights) > limit:
            keys = tuple(record.key for record in counted)
            rule = f"at most {render(quota.limit)} of {quota.anchor}"
            name = f"{entity.name}.{quota.name}"
            yield Broken(name, quota.message or name, quota.place, rule, keys, "invariant-violated")


def broken_promises(
    system: System, records: Mapping[Key, Record], performers: Performers, now: datetime
) -> Iterator[Broken]:
    """What nothing but trying holds: `always`, in entities and over all records."""
    stated = system.derived(_stated)
    if not stated and not system.promises:
        return
    view = WorldView(system, records, performers, asked_steps(system), now)
    for entity, name, condition, holds, sentence, place in stated:
        for record in records.values():
            if record.entity == entity and holds(RecordScope(view.pool, record)) is False:
                yield Broken(f"{entity}.{name}", sentence, place, render(condition), (record.key,))
    for promise in system.promises:
        if (fault := _judged(promise, view)) is not None:
            yield Broken(promise.name, f"{promise.message}{fault}", promise.place, "")


def _judged(promise: Promise, view: WorldView) -> str | None:
    """None where a promise holds; else what there is to add to its sentence."""
    try:
        return None if promise.holds(view) else ""
    except Exception as error:  # noqa: BLE001 - the owner's function; what it can't tell doesn't hold
        return f" (It can't be told: {type(error).__name__}: {error})"


class _Stated(NamedTuple):
    """One `always` of an entity, with its condition as the function that it means."""

    entity: str
    name: str
    condition: Expression
    holds: Callable[[Any], Any]
    sentence: str
    place: Place


def _stated(system: System) -> tuple[_Stated, ...]:
    return tuple(
        _Stated(entity.name, p.name, p.condition, meaning(p.condition), p.message, p.place)
        for entity in system.entities.values()
        for p in entity.promises
    )


def asked_steps(system: System) -> frozenset[str]:
    """The names of transitions about whose performers a promise over all records may ask."""
    return system.derived(_asked_steps)


def _asked_steps(system: System) -> frozenset[str]:
    spoken = frozenset[str]().union(*(names_in(promise.holds) for promise in system.promises))
    return frozenset(t for entity in system.entities.values() for t in entity.transitions if t in spoken)


def declared_promises(system: System) -> frozenset[str]:
    """The names of everything that a declaration says must stay true."""
    found = {promise.name for promise in system.promises}
    for entity in system.entities.values():
        rules = (entity.invariants, entity.uniques, entity.exclusions, entity.quotas, entity.promises)
        found |= {f"{entity.name}.{rule.name}" for some in rules for rule in some}
    return frozenset(found)
