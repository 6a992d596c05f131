"""Records under change: the pool that a decision works in, and the draft behind each handle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from avow.kernel.command import GENESIS, Key, Record, Rejection, Step
from avow.model.actor import Actor
from avow.model.draft import BodyFault, Refusal
from avow.model.entity import Entity, Transition
from avow.model.expression import Path, evaluate
from avow.model.system import System
from avow.model.types import Misfit, ObjectOf, Reference, Value

STEPS_MAX = 100
"""How many transitions one command may perform."""


class Rejected(Exception):
    """Unwinds a decision to its rejection."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.code)
        self.rejection = rejection


@dataclass(slots=True)
class Pool:
    """Everything one decision has loaded, and what became of it."""

    system: System
    actor: Actor
    now: datetime
    records: dict[Key, Record]
    loaded: Mapping[Key, Record]
    reads: dict[Key, int] = field(default_factory=dict[Key, int])
    steps: list[Step | None] = field(default_factory=list[Step | None])

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

    __slots__ = ("_arguments", "_handle", "_internal", "_pool", "_record")

    def __init__(
        self, pool: Pool, record: Record, internal: bool = False, arguments: Mapping[str, Value] | None = None,
        handle: Any = None,
    ) -> None:  # fmt: skip
        self._pool, self._record, self._internal = pool, record, internal
        self._arguments, self._handle = arguments or {}, handle

    @property
    def actor(self) -> Actor:
        return self._pool.actor

    @property
    def now(self) -> datetime:
        return self._pool.now

    @property
    def internal(self) -> bool:
        return self._internal

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
        return self._arguments.get(name)

    def handle(self) -> Any:
        return self._handle


class RecordDraft:
    """One record while a body changes it; the declaration's handle forwards to it."""

    def __init__(self, pool: Pool, key: Key, at: tuple[Key, int], perform: Any) -> None:
        self._pool, self._key, self._at, self._perform = pool, key, at, perform

    @property
    def _record(self) -> Record:
        return self._pool.records[self._key]

    @property
    def _entity(self) -> Entity:
        return self._pool.system.entities[self._key[0]]

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
        value = self._record.values.get(name)
        kind = self._entity.fields[name].type
        if value is None or not isinstance(kind, Reference):
            return value
        return handle_on(self._pool, (kind.entity, value), self._at, self._perform)

    def set(self, name: str, value: Value) -> None:
        """Assign a field. Raises Rejected where a declared bound is broken, BodyFault for a wrong type."""
        if self._key != self._at[0]:
            raise BodyFault(f"{self._entity.name}.{name} belongs to another record: call one of its transitions")
        declared = self._entity.fields[name]
        record = self._record
        if value is None:
            if not declared.optional:
                raise BodyFault(f"{self._entity.name}.{name} must have a value")
        else:
            value = fit(declared.type, identity(value), f"{self._entity.name}.{name}")
        record_values = {**record.values, name: value}
        self._pool.records[self._key] = with_(record, values=record_values)

    def call(self, transition: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Perform another declared transition, inside this command and caused by it."""
        declared = self._entity.transitions[transition]
        if self._pool.find(self._key) is None:
            raise BodyFault(f"{self._entity.name} {self.id} isn't loaded: name its reference in uses=")
        self._perform(declared, self._key, _arguments(declared, args, kwargs), self._at)


def handle_on(pool: Pool, key: Key, at: tuple[Key, int], perform: Any) -> Any:
    """The handle that a body sees for a record."""
    return pool.system.entities[key[0]].bind(RecordDraft(pool, key, at, perform))


def identity(value: Any) -> Any:
    """A handle stands for its record's id."""
    draft = getattr(value, "avow_draft", None)
    return value if draft is None else draft.id


def fit(kind: Any, value: Value, where: str) -> Value:
    """Bring an assigned value into its stored form; a broken bound is a broken invariant of the field."""
    if isinstance(value, list) and not isinstance(kind, ObjectOf):
        value = tuple(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    try:
        return kind.fit(value, "")
    except Misfit as misfit:
        flaw = misfit.flaws[0]
        if flaw.code.startswith("not-") or flaw.code == "currency-mismatch":
            raise BodyFault(f"{where} {flaw.detail}") from None
        raise Rejected(Rejection("invariant-violated", f"{where} {flaw.detail}.", {"rule": where})) from None


def with_(record: Record, **changes: Any) -> Record:
    """The record with some parts replaced."""
    held = {
        "entity": record.entity, "id": record.id, "state": record.state, "version": record.version,
        "values": record.values, "performers": record.performers, "head": record.head,
    }  # fmt: skip
    return Record(**{**held, **changes})


def new_record(pool: Pool, entity: Entity, record_id: UUID, state: str) -> Record:
    """Version 0 of a record that a creation is about to write, with its defaults."""
    blank = Record(entity.name, record_id, state, 0, dict.fromkeys(entity.fields), {}, GENESIS)
    scope = RecordScope(pool, blank)
    values = {f.name: None if f.default is None else evaluate(f.default, scope) for f in entity.fields.values()}
    return with_(blank, values=values)


def _arguments(transition: Transition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Value]:
    """The arguments of a nested call, checked like those of a request."""
    names = [parameter.name for parameter in transition.parameters]
    if len(args) > len(names) or not set(kwargs) <= set(names) or set(names[: len(args)]) & set(kwargs):
        raise BodyFault(f"{transition.name}() takes {', '.join(names) or 'no arguments'}")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    found = dict[str, Value]()
    for parameter in transition.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None and not parameter.optional:
            raise BodyFault(f"{transition.name}() needs {parameter.name}")
        found[parameter.name] = None if value is None else fit(parameter.type, identity(value), f"{transition.name}({parameter.name})")
    return found


__all__ = [
    "STEPS_MAX", "Pool", "RecordDraft", "RecordScope", "Refusal", "Rejected", "fit", "handle_on", "identity",
    "new_record", "with_",
]  # fmt: skip
