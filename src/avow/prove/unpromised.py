"""Guards that nothing promises in other words: with one gone, no promise would tell.

A guard that an owner drops by mistake is found where a promise says the same in another way. This says of
which guards none does, by dropping each of them, in the model alone, wherever it has refused anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

from avow.model.entity import Entity, Transition
from avow.model.expression import Authenticated, Everybody, Internal, render
from avow.model.system import System
from avow.prove.act import Act, Path
from avow.prove.coverage import Coverage
from avow.prove.explore.path import end_of
from avow.prove.explore.people import people_of
from avow.prove.explore.situation import Fault, Happened, Refusal, Situation, happen
from avow.prove.promises import broken_promises

Guard: TypeAlias = Literal["by", "when"]
_CODES: dict[str, Guard] = {"forbidden": "by", "guard-failed": "when"}
"""Which guard refuses with which code."""


def unpromised(system: System, coverage: Coverage, going: Callable[[], bool]) -> list[str]:
    """The guards that refuse what no promise would, behind those that refuse nobody who is signed in."""
    open_, alone = list[str](), list[str]()
    for entity in system.entities.values():
        for transition in entity.transitions.values():
            if transition.trigger is not None or transition.creation or isinstance(transition.by, Internal):
                continue
            if isinstance(transition.by, Authenticated | Everybody):
                open_.append(_told(entity, transition, "by"))
            for guard in ("by", "when"):
                if going() and _is_unnoticed(system, coverage, entity, transition, guard):
                    alone.append(_told(entity, transition, guard))
    return [*open_, *alone]


def _is_unnoticed(
    system: System, coverage: Coverage, entity: Entity, transition: Transition, guard: Guard
) -> bool:
    """Whether something that the guard has refused happens without it, and breaks nothing."""
    without = _without(system, entity, transition, guard)
    happened = False
    for before, act in _refused_by(system, coverage, entity, transition, guard):
        after = happen(without, before, act)
        if isinstance(after, Fault):
            return False
        if isinstance(after, Happened):
            end = after.after
            if any(broken_promises(system, end.records, end.performers, end.now)):
                return False
            happened = True
    return happened


def _without(system: System, entity: Entity, transition: Transition, guard: Guard) -> System:
    """The declaration with one guard dropped."""
    dropped = replace(transition, by=Everybody()) if guard == "by" else replace(transition, when=None)
    altered = replace(entity, transitions={**entity.transitions, transition.name: dropped})
    return replace(system, entities={**system.entities, entity.name: altered})


def _refused_by(
    system: System, coverage: Coverage, entity: Entity, transition: Transition, guard: Guard
) -> Iterator[tuple[Situation, Act]]:
    """What a guard refuses, and where: what was met, by each person that there is."""
    for state in transition.sources:
        for refusal in coverage.refused.get((entity.name, state), ()):
            if refusal.act.command != transition.command or _CODES.get(refusal.code) != guard:
                continue
            path = coverage.states[entity.name, state] if refusal.path is None else refusal.path
            before = end_of(system, path)
            if before is None:
                continue
            for act in _by_each(system, path, refusal.act) if guard == "by" else [refusal.act]:
                if isinstance(happen(system, before, act), Refusal):
                    yield before, act


def _by_each(system: System, path: Path, act: Act) -> list[Act]:
    """The act, by whoever acted before and by everybody else."""
    known = [one.actor for one in path if one.actor is not None]
    people = dict.fromkeys((*known, *people_of(system), act.actor))
    return [replace(act, actor=person) for person in people]


def _told(entity: Entity, transition: Transition, guard: Guard) -> str:
    condition = transition.by if guard == "by" or transition.when is None else transition.when
    return f"{entity.name}.{transition.name} {guard} {render(condition)} (line {transition.place.line})"
