"""Entities as declared: fields, states, transitions, and what must stay true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avow.model.effect import Effect
from avow.model.expression import Expression, Path, render
from avow.model.place import Place
from avow.model.private import PrivateType
from avow.model.promise import Always, Sometimes
from avow.model.publication import Publication
from avow.model.task import Task
from avow.model.trigger import OnOutcome, Trigger
from avow.model.types import Value, ValueType


@dataclass(frozen=True, slots=True)
class Field:
    """A typed attribute of an entity.

    optional: may have no value. default: the expression whose value it starts with, if any.
    read:     who may see it, beyond those who may see the record at all; None: all of them.
    """

    name: str
    type: ValueType
    optional: bool = False
    default: Expression | None = None
    read: Expression | None = None
    doc: str = ""
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class State:
    """A named state. initial: creations may end in it. final: nothing has to follow.

    invoke:   the effects whose outcomes a record in this state waits for.
    withdraw: a call that hasn't begun isn't begun any more; its outcome is then `failed`.
    owed:     the call has to be done: where it fails, a person is told, and the record stays.
    undoes:   the field that holds the key of the earlier call which this one undoes.
    reveals:  the private fields that its calls are told in clear.
    """

    name: str
    initial: bool = False
    final: bool = False
    invoke: tuple[str, ...] = ()
    withdraw: bool = False
    owed: bool = False
    undoes: str | None = None
    reveals: tuple[str, ...] = ()
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a command. `optional`: may be absent; `default` is then its value."""

    name: str
    type: ValueType
    optional: bool = False
    default: Value = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One declared way from some states to one state; a creation has no source.

    name:       its own name in the declaration; command: what a caller says (the same unless
                several transitions share a command).
    trigger:    what makes it happen by itself; None: somebody gives its command.
    by:         who may. when: the guard. sets: fields that take the arguments of the same name.
    assigns:    fields that take the value of an expression over the arguments.
    body:       what it changes, as a pure function on a handle of the record.
    takes:      the arguments that the body takes; None: all that aren't in sets.
    uses:       references whose records it may read and move; loads: every path of references
                that must be loaded to decide it.
    precondition: the caller must name the version it has seen.
    task:       whom it waits for, and until when.
    counts:     the step under whose name who performs it is kept; empty: its own.
    voids:      the steps whose performers no longer count from then on.
    reveals:    private fields whose values its answer tells in clear; it changes nothing else.
    erases:     the field that names the person about whom everything private is erased with it.
    """

    name: str
    command: str
    sources: tuple[str, ...]
    target: str
    by: Expression
    when: Expression | None = None
    parameters: tuple[Parameter, ...] = ()
    sets: tuple[str, ...] = ()
    assigns: tuple[tuple[str, Expression], ...] = ()
    trigger: Trigger | None = None
    uses: tuple[str, ...] = ()
    loads: tuple[Path, ...] = ()
    body: Callable[..., None] | None = field(default=None, compare=False)
    body_hash: str = ""
    takes: tuple[str, ...] | None = None
    creation: bool = False
    precondition: bool = False
    task: Task | None = None
    counts: str = ""
    voids: tuple[str, ...] = ()
    reveals: tuple[str, ...] = ()
    erases: str | None = None
    doc: str = ""
    place: Place = field(default=Place(), compare=False)

    @property
    def cause(self) -> str:
        """What makes it happen, as its owner would write it: who may, an outcome, or a time."""
        if self.trigger is None:
            return render(self.by)
        return f"on {self.trigger}" if isinstance(self.trigger, OnOutcome) else str(self.trigger)

    @property
    def step(self) -> str:
        """The step that it is or belongs to: several transitions may be the approvals of one."""
        return self.counts or self.name


@dataclass(frozen=True, slots=True)
class Invariant:
    """A condition over one record that is never false at a commit."""

    name: str
    condition: Expression
    message: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Unique:
    """No two records (in `states`, if given) of a tenant have the same values of `fields`."""

    name: str
    fields: tuple[str, ...]
    states: tuple[str, ...] = ()
    message: str = ""
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """No two records (in `states`, if given) with equal `fields` overlap in [start, end)."""

    name: str
    fields: tuple[str, ...]
    start: str
    end: str
    states: tuple[str, ...] = ()
    message: str = ""
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Quota:
    """Over all records in `states` that refer to one anchor: their number, or sum of `weight`, is bounded.

    anchor: the reference field whose record is locked while this is checked.
    limit:  how many at most, an expression over the anchor's own fields.
    """

    name: str
    anchor: str
    states: tuple[str, ...]
    limit: Expression
    weight: str | None = None
    message: str = ""
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of record: its fields, its state machine, its rules.

    plural: the word for many of them; the table and the HTTP resource.
    read:   who may see a record. tracked: transitions whose performers are kept with the record.
    effects: the calls that its states invoke. publications: what of it the outside may be told.
    promises, goals: what is never false, and what can be reached, as far as it is tried.
    bind:   makes the handle that bodies and opaque guards work on.
    """

    name: str
    plural: str
    fields: Mapping[str, Field]
    states: Mapping[str, State]
    transitions: Mapping[str, Transition]
    read: Expression
    invariants: tuple[Invariant, ...] = ()
    uniques: tuple[Unique, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    quotas: tuple[Quota, ...] = ()
    tracked: tuple[str, ...] = ()
    effects: Mapping[str, Effect] = field(default_factory=dict[str, Effect])
    publications: tuple[Publication, ...] = ()
    promises: tuple[Always, ...] = ()
    goals: tuple[Sometimes, ...] = ()
    doc: str = ""
    bind: Callable[[Any], Any] = field(default=lambda draft: draft, compare=False)
    place: Place = field(default=Place(), compare=False)

    @property
    def private(self) -> tuple[str, ...]:
        """The fields whose values are private, in declared order."""
        return tuple(f.name for f in self.fields.values() if isinstance(f.type, PrivateType))

    @property
    def searchable(self) -> tuple[str, ...]:
        """The private fields whose equal values can be found, in declared order."""
        types = {f.name: f.type for f in self.fields.values()}
        return tuple(n for n, t in types.items() if isinstance(t, PrivateType) and t.searchable)

    @property
    def erasing(self) -> tuple[Transition, ...]:
        """The transitions with which everything private about a person is erased, in declared order."""
        return tuple(t for t in self.transitions.values() if t.erases is not None)

    @property
    def asks(self) -> bool:
        """Whether people are asked to give any of its commands."""
        return any(t.task is not None for t in self.transitions.values())

    def of_command(self, command: str) -> tuple[Transition, ...]:
        """The transitions that a command may mean, in declared order; empty if there is none."""
        return tuple(t for t in self.transitions.values() if t.command == command)
