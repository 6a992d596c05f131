"""Plans: what decisions need of the model, worked out once for a system.

A plan says nothing that wasn't declared. It holds each condition as the function that it means, and
next to each transition what would otherwise be looked for in every decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from avow.canonical import JsonValue
from avow.model.effect import Effect
from avow.model.entity import Entity, Invariant, Transition
from avow.model.expression import (
    ActorSubject,
    All,
    AnyOf,
    Authenticated,
    Everybody,
    Expression,
    HasRole,
    Meaning,
    Not,
    Now,
    Opaque,
    Path,
    delegated,
    meaning,
    paths,
    walk,
)
from avow.model.system import System
from avow.model.task import Task
from avow.model.trigger import Delay, OnEvent, OnOutcome, OnTime
from avow.model.types import ListOf, Reference, Value, ValueType

Plans: TypeAlias = Mapping[str, "EntityPlan"]
"""The plans of a system's entities, by name."""

_OF_ACTOR = (All, AnyOf, Not, Everybody, Authenticated, HasRole)
"""What conditions are made of that look at nothing but who asks."""


class Argument(NamedTuple):
    """How one argument is read. `pointer`: where a client finds it in what it sent."""

    name: str
    fit: Callable[[Any, str], Value]
    pointer: str
    optional: bool
    default: Value


class Shown(NamedTuple):
    """How a field is shown: to whom (None: to who may know the record), and how it becomes JSON."""

    may_read: Meaning | None
    dump: Callable[[Value], JsonValue]


@dataclass(frozen=True, slots=True, eq=False)
class TransitionPlan:
    """One transition. `where` is its name for people.

    sets: fields that take arguments, and whether an absent one takes the value away.
    assigns: fields that take the value of an expression over the arguments.
    own:  the arguments that its body takes, with their types where it sees them otherwise than stored.
    tracked: who performs it is kept, or who performed another step is forgotten.
    kept:    the name under which, with the one of those who delegated it; empty where it isn't kept.
    hears: the effect whose outcome it is, if it is one. again: it is a time that comes again.
    """

    declared: Transition
    where: str
    may: Meaning
    guard: Meaning | None
    sets: tuple[tuple[str, bool], ...]
    assigns: tuple[tuple[str, Meaning], ...]
    own: tuple[tuple[str, ValueType | None], ...]
    tracked: bool
    kept: tuple[str, ...]
    hears: str | None
    again: bool


class Alarm(NamedTuple):
    """A transition that time makes: by a delay since the state was entered, or at the value of `at`."""

    name: str
    delay: Delay | None
    at: Meaning | None


class Asked(NamedTuple):
    """A command that waits for a person: the step, whom and until when, and when it is due by an instant."""

    step: str
    task: Task
    due_at: Meaning | None


class StatePlan(NamedTuple):
    """What a record in one state waits for: the outcomes of calls, times, and people."""

    effects: Mapping[str, Effect]
    alarms: tuple[Alarm, ...]
    tasks: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class CommandPlan:
    """One command: the transitions that it may mean, in declared order, which all take the same arguments.

    references: the arguments that refer to records, and the entities of these.
    event:      what it is told by, where it is an event.
    ahead:      the states from which the record can still reach one that takes it.
    """

    candidates: tuple[TransitionPlan, ...]
    arguments: tuple[Argument, ...]
    references: tuple[tuple[str, str], ...]
    precondition: bool
    event: OnEvent | None
    ahead: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class EntityPlan:
    """One entity.

    may_read:   who may know a record. read_paths: what that looks at; by_actor: at nothing but who asks.
    shown_timed: whether what is seen of a record may differ from one time to another.
    shown:      how each field is shown. open: all of them, to whoever may know the record.
    plain:      the fields whose values bodies see as they are stored.
    defaults:   the fields that start with a value, in declared order, and what gives it.
    started_by_actor: the fields that start with who acts, and must have a value.
    """

    declared: Entity
    transitions: Mapping[str, TransitionPlan]
    states: Mapping[str, StatePlan]
    waits: bool
    asks: bool
    commands: Mapping[str, CommandPlan]
    may_read: Meaning
    read_paths: frozenset[Path]
    by_actor: bool
    shown_timed: bool
    shown: Mapping[str, Shown]
    open: tuple[str, ...] | None
    plain: frozenset[str]
    defaults: tuple[tuple[str, ValueType, Meaning], ...]
    started_by_actor: tuple[str, ...]
    invariants: tuple[tuple[Invariant, Meaning], ...]


def plans_of(system: System) -> Plans:
    """The plans of a system. Ask `system.derived(plans_of)`, which keeps them."""
    return {name: _entity_plan(entity) for name, entity in system.entities.items()}


def _entity_plan(entity: Entity) -> EntityPlan:
    transitions = {name: _transition_plan(entity, t) for name, t in entity.transitions.items()}
    states = {name: _state_plan(entity, name) for name in entity.states}
    words = dict.fromkeys(t.command for t in entity.transitions.values())
    fields = entity.fields.values()
    return EntityPlan(
        declared=entity,
        transitions=transitions,
        states=states,
        asks=any(plan.tasks for plan in states.values()),
        waits=any(plan.effects or plan.alarms for plan in states.values()),
        commands={word: _command_plan(entity, word, transitions) for word in words},
        may_read=meaning(entity.read),
        read_paths=frozenset(paths(entity.read)),
        by_actor=all(isinstance(part, _OF_ACTOR) for part in walk(entity.read)),
        shown_timed=any(map(_looks_at_the_time, (entity.read, *(f.read for f in fields)))),
        shown={f.name: Shown(_meaning(f.read), f.type.dump) for f in fields},
        open=None if any(f.read is not None for f in fields) else tuple(entity.fields),
        plain=frozenset(f.name for f in fields if is_plain(f.type)),
        defaults=tuple((f.name, f.type, meaning(f.default)) for f in fields if f.default is not None),
        started_by_actor=tuple(
            f.name for f in fields if isinstance(f.default, ActorSubject) and not f.optional
        ),
        invariants=tuple((invariant, meaning(invariant.condition)) for invariant in entity.invariants),
    )


def _state_plan(entity: Entity, name: str) -> StatePlan:
    timed = (t for t in entity.transitions.values() if name in t.sources and isinstance(t.trigger, OnTime))
    alarms = tuple(
        Alarm(t.name, t.trigger.delay, _meaning(t.trigger.at)) for t in timed if isinstance(t.trigger, OnTime)
    )
    tasks = tuple(
        Asked(t.step, t.task, _meaning(t.task.due_at))
        for t in entity.transitions.values()
        if t.task is not None and name in t.sources
    )
    effects = {invoked: entity.effects[invoked] for invoked in entity.states[name].invoke}
    return StatePlan(effects, alarms, tasks)


def _transition_plan(entity: Entity, transition: Transition) -> TransitionPlan:
    fields = entity.fields
    kept = tuple(s for s in (transition.step, delegated(transition.step)) if s in entity.tracked)
    return TransitionPlan(
        declared=transition,
        where=f"{entity.name}.{transition.name}",
        may=meaning(transition.by),
        guard=_meaning(transition.when),
        sets=tuple((name, fields[name].optional and not transition.creation) for name in transition.sets),
        assigns=tuple((name, meaning(value)) for name, value in transition.assigns),
        own=tuple(
            (p.name, None if is_plain(p.type) else p.type)
            for p in transition.parameters
            if p.name not in transition.sets and (transition.takes is None or p.name in transition.takes)
        ),
        tracked=bool(kept or transition.voids),
        kept=kept,
        hears=transition.trigger.effect if isinstance(transition.trigger, OnOutcome) else None,
        again=isinstance(transition.trigger, OnTime) and transition.trigger.again,
    )


def _command_plan(entity: Entity, word: str, transitions: Mapping[str, TransitionPlan]) -> CommandPlan:
    candidates = tuple(transitions[t.name] for t in entity.of_command(word))
    parameters = candidates[0].declared.parameters
    return CommandPlan(
        candidates=candidates,
        arguments=tuple(
            Argument(p.name, p.type.fit, f"#/{p.name}", p.optional, p.default) for p in parameters
        ),
        references=tuple((p.name, p.type.entity) for p in parameters if isinstance(p.type, Reference)),
        precondition=any(t.declared.precondition for t in candidates),
        event=trigger if isinstance(trigger := candidates[0].declared.trigger, OnEvent) else None,
        ahead=_before(entity, {source for t in candidates for source in t.declared.sources}),
    )


def _before(entity: Entity, states: set[str]) -> frozenset[str]:
    """The states from which one of these can be reached."""
    found: set[str] = set()
    fresh = states
    while fresh:
        found |= fresh
        entering = (t.sources for t in entity.transitions.values() if t.target in fresh)
        fresh = {source for sources in entering for source in sources} - found
    return frozenset(found)


def _meaning(condition: Expression | None) -> Meaning | None:
    return None if condition is None else meaning(condition)


def _looks_at_the_time(condition: Expression | None) -> bool:
    """Whether a condition may; what nobody can see into may."""
    return condition is not None and any(isinstance(part, Now | Opaque) for part in walk(condition))


def is_plain(kind: ValueType) -> bool:
    """Whether a body sees a value as it is stored: not a reference, and not a tuple declared as a list."""
    return not isinstance(kind, Reference) and not (isinstance(kind, ListOf) and kind.python is list)
