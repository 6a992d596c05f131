"""Records under change: the pool that a decision works in, and the draft behind each handle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from avow.kernel.command import Key, Record, Rejection, Step
from avow.kernel.plan import EntityPlan, Plans, TransitionPlan, is_plain, plans_of
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.entity import Transition
from avow.model.expression import Path
from avow.model.system import System
from avow.model.types import Misfit, Reference, Value, ValueType

STEPS_MAX = 100
"""How many transitions one command may perform."""


class Rejected(Exception):
    """Unwinds a decision to its rejection."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.code)
        self.rejection = rejection


@dataclass(slots=True)
class OpenStep:
    """A transition whose body is running. `values` are the record's, as far as they have changed."""

    plan: TransitionPlan
    key: Key
    before: Record
    values: dict[str, Value]
    arguments: Mapping[str, Value]
    cause: tuple[Key, int] | None
    place: int
    open: bool = True

    @property
    def at(self) -> tuple[Key, int]:
        """The record and the version that this step makes: the cause of what it calls for."""
        return self.key, self.before.version + 1


Perform: TypeAlias = Callable[[TransitionPlan, Key, dict[str, Value], OpenStep | None], None]
"""Takes a transition of a record, called for by a step."""


class Pool:
    """Everything one decision has loaded, and what became of it.

    records: as they are now in this decision. loaded: as they came. reads: versions it rests on.
    running: the open step of each record whose body runs. failure: what a body may not swallow.
    timed:   whether something of this decision has looked at the time.
    """

    __slots__ = (
        "_now", "actor", "failure", "loaded", "plans", "reads", "records", "running", "steps", "system",
        "timed",
    )  # fmt: skip

    def __init__(
        self,
        system: System,
        actor: Actor,
        now: datetime,
        records: dict[Key, Record],
        loaded: Mapping[Key, Record],
    ) -> None:
        self.system, self.actor, self._now, self.timed = system, actor, now, False
        self.plans: Plans = system.derived(plans_of)
        self.records, self.loaded = records, loaded
        self.reads: dict[Key, int] = {}
        self.steps: list[Step | None] = []
        self.running: dict[Key, OpenStep] = {}
        self.failure: Rejected | BodyFault | None = None

    @property
    def now(self) -> datetime:
        """The time of the decision; remembers that it rests on it."""
        self.timed = True
        return self._now

    @property
    def at_once(self) -> datetime:
        """The time of the decision, for what begins with it at whatever time that is."""
        return self._now

    def find(self, key: Key) -> Record | None:
        """The record as it is now in this decision; remembers that the decision rests on it."""
        if (held := self.loaded.get(key)) is not None:
            self.reads[key] = held.version
        return self.records.get(key)

    def follow(self, record: Record, path: Path) -> Record | None:
        """The record at the end of a path of references; None where one is missing."""
        at: Record | None = record
        for name in path:
            entity = self.system.entities[at.entity]
            target = at.values.get(name)
            if target is None:
                return None
            key = (self.system.referred(entity, name).name, target)
            at = self.find(key)
            if at is None:
                raise BodyFault(f"{entity.name}.{name} isn't loaded: write uses={name} in the transition")
        return at


class RecordScope:
    """A record as the scope of its conditions."""

    __slots__ = ("_arguments", "_pool", "_record", "actor", "internal")

    def __init__(
        self,
        pool: Pool,
        record: Record,
        internal: bool = False,
        arguments: Mapping[str, Value] | None = None,
    ) -> None:
        self._pool, self._record, self._arguments = pool, record, arguments
        self.actor, self.internal = pool.actor, internal

    @property
    def now(self) -> datetime:
        return self._pool.now

    def value(self, path: Path) -> Value:
        record = self._record
        if len(path) == 1:
            return record.values.get(path[0])
        entity = self._pool.system.entities[record.entity]
        if isinstance(entity.fields[path[0]].type, Reference):
            target = self._pool.follow(record, path[:1])
            return None if target is None else RecordScope(self._pool, target).value(path[1:])
        held = record.values.get(path[0])
        return None if held is None else getattr(held, path[1])

    def state(self, path: Path) -> str | None:
        target = self._pool.follow(self._record, path)
        return None if target is None else target.state

    def performers(self, transition: str) -> tuple[str, ...] | None:
        return self._record.performers.get(transition, ())

    def argument(self, name: str) -> Value:
        return None if self._arguments is None else self._arguments.get(name)

    def handle(self) -> Any:
        """What an opaque guard sees: it reads, and can't change anything."""
        return handle_on(self._pool, self._record.key, None, None)


class Items(list[Any]):
    """A list field as a body sees it: to be read, and replaced by assignment."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise BodyFault("a list is changed by assigning a new one: self.tags = [*self.tags, item]")

    append = extend = insert = remove = pop = clear = reverse = _refuse
    sort: Any = _refuse
    __setitem__ = __delitem__ = __imul__ = _refuse

    def __iadd__(self, other: Any) -> list[Any]:
        """`self.tags += [item]` makes a new list, which the assignment then keeps."""
        return [*self, *other]


class RecordDraft:
    """One record while a body changes it; the declaration's handle forwards to it.

    step: whose body holds the handle; None for a guard, which may only read.
    """

    __slots__ = ("_found", "_key", "_own", "_perform", "_plan", "_pool", "_step")

    def __init__(self, pool: Pool, key: Key, step: OpenStep | None, perform: Perform | None) -> None:
        self._pool, self._key, self._step, self._perform = pool, key, step, perform
        self._plan: EntityPlan = pool.plans[key[0]]
        self._found = self._own = step is not None and step.key == key

    @property
    def _record(self) -> Record:
        """The record now. A body that looks at it rests on its version."""
        if self._found:
            return self._pool.records[self._key]
        record = self._pool.find(self._key)
        if record is None:
            raise BodyFault(f"{self.entity_name} {self.id} isn't loaded: name its reference in uses=")
        self._found = True
        return record

    @property
    def entity_name(self) -> str:
        return self._key[0]

    @property
    def id(self) -> UUID:
        return self._key[1]

    @property
    def state(self) -> str:
        return self._record.state

    @property
    def version(self) -> int:
        return self._record.version

    @property
    def now(self) -> datetime:
        return self._pool.now

    @property
    def actor(self) -> Actor:
        return self._pool.actor

    def get(self, name: str) -> Value:
        """A field's value; for a reference the handle of its record, or a bare id where it isn't loaded."""
        step = self._step
        held = step.values if self._own and step is not None and step.open else self._record.values
        value = held.get(name)
        if name in self._plan.plain:
            return value
        return self.shown(self._plan.declared.fields[name].type, value)

    def shown(self, kind: Any, value: Value) -> Value:
        """A value as bodies see it."""
        if value is None or is_plain(kind):
            return value
        if isinstance(kind, Reference):
            return handle_on(self._pool, (kind.entity, value), self._step, self._perform)
        return Items(value)

    def set(self, name: str, value: Value) -> None:
        """Assign a field. Raises Rejected where a declared bound is broken, BodyFault for a wrong type."""
        step = self._step
        if step is None or not self._own or not step.open:
            raise self._not_to_be_set(name)
        declared = self._plan.declared.fields[name]
        if value is not None:
            value = fit(declared.type, identity(value), self._key[0], ".", name)
        elif not declared.optional:
            raise BodyFault(f"{self.entity_name}.{name} must have a value")
        step.values[name] = value

    def _not_to_be_set(self, name: str) -> BodyFault:
        where = f"{self.entity_name}.{name}"
        if self._step is None:
            return BodyFault(f"{where}: a guard may only read")
        if not self._own:
            return BodyFault(f"{where} belongs to another record: call one of its transitions")
        return BodyFault(f"{where}: assign before calling for another transition of the same record")

    def call(self, transition: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Perform another declared transition, inside this command and caused by it."""
        plan = self._plan.transitions[transition]
        try:
            if self._perform is None or plan.declared.creation:
                raise BodyFault(f"{plan.where} can't be called for here")
            _ = self._record
            self._perform(plan, self._key, call_arguments(plan.declared, args, kwargs), self._step)
        except (Rejected, BodyFault) as failure:
            self._pool.failure = failure  # a body that catches it doesn't get away with half a step
            raise


def handle_on(pool: Pool, key: Key, step: OpenStep | None, perform: Perform | None) -> Any:
    """The handle that a body sees for a record."""
    return pool.plans[key[0]].declared.bind(RecordDraft(pool, key, step, perform))


def identity(value: Any) -> Any:
    """A handle stands for its record's id."""
    draft = getattr(value, "avow_draft", None)
    return value if draft is None else draft.id


def fit(kind: ValueType, value: Value, *where: str) -> Value:
    """Bring an assigned value into its stored form; a broken bound is a broken invariant of the field.

    where: what is assigned to, in pieces, which are joined only for a refusal.
    """
    try:
        return kind.fit(value, "")
    except Misfit as misfit:
        flaw, rule = misfit.flaws[0], "".join(where)
        at = f"{rule}{flaw.pointer}"
        if flaw.code.startswith("not-") or flaw.code == "currency-mismatch":
            given = "" if flaw.pointer else f", and is of the type {type(value).__name__}"
            raise BodyFault(f"{at} {flaw.detail}{given}") from None
        raise Rejected(Rejection("invariant-violated", f"{at} {flaw.detail}.", {"rule": rule})) from None


def defaults(pool: Pool, key: Key, creation: TransitionPlan) -> dict[str, Value]:
    """The values that a new record starts with: its defaults, None where there is none."""
    plan = pool.plans[key[0]]
    values: dict[str, Value] = dict.fromkeys(plan.declared.fields)
    scope = RecordScope(pool, Record(key[0], key[1], creation.declared.target, 0, values))
    for name, kind, default in plan.defaults:
        if (value := default(scope)) is not None:
            values[name] = fit(kind, value, key[0], ".", name)
    return values


def call_arguments(
    transition: Transition, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Value]:
    """The arguments of a nested call, checked like those of a request."""
    names = [parameter.name for parameter in transition.parameters]
    if len(args) > len(names) or not set(kwargs) <= set(names) or set(names[: len(args)]) & set(kwargs):
        raise BodyFault(f"{transition.name}() takes {', '.join(names) or 'no arguments'}")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    found: dict[str, Value] = {}
    for parameter in transition.parameters:
        value = given.get(parameter.name)
        value = parameter.default if value is None else identity(value)
        if value is None and not parameter.optional:
            raise BodyFault(f"{transition.name}() needs {parameter.name}")
        where = (transition.name, "(", parameter.name, ")")
        found[parameter.name] = None if value is None else fit(parameter.type, value, *where)
    return found
