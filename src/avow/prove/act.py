"""Acts: one thing that somebody does, or that happens by itself, as data.

An act names records by their ordinal, not by an id, so that one path means the same in the model, on any
database, and in a file. A tuple of acts is a path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, cast
from uuid import UUID

from avow.model.actor import Actor
from avow.model.entity import Transition
from avow.model.system import System
from avow.model.trigger import DATA, OnEvent
from avow.model.types import ObjectOf, Value, ValueType
from avow.model.values import Subject
from avow.prove.private import dumped, made_of

Kind: TypeAlias = Literal["command", "outcome", "event", "time"]
"""Somebody gives a command; a call ends; a sender tells of an event; a time has come."""

TENANT: Final = "prove"
"""The tenant in which acts happen, unless they say otherwise."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A record, by its entity and its ordinal among the records of that entity, from 1."""

    entity: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.entity} {self.ordinal}"


Given: TypeAlias = "Value | Ref | tuple[Given, ...]"
"""A value as acts hold it: as the kernel takes it, with a Ref wherever a reference stands."""

Ids: TypeAlias = Callable[[Ref], UUID]
"""Which id a record has, where an act is carried out."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens to one record.

    command: the word as the kernel takes it: `submit`, `capture.done`, `bank:paid`; of a time its transition.
    record:  whose; for a creation the ordinal that the new record gets.
    input:   the arguments; of an event the members of its data, of an outcome `result`, or `code`, `reason`.
    actor:   who gives the command; None for all other kinds.
    later_s: how many seconds pass before it. A time that comes brings its own instant, and needs none.
    """

    kind: Kind
    entity: str
    command: str
    record: int
    input: Mapping[str, Given] = field(default_factory=dict[str, Given])
    actor: Actor | None = None
    later_s: float = 0.0

    @property
    def ref(self) -> Ref:
        """The record that it is about."""
        return Ref(self.entity, self.record)

    def __hash__(self) -> int:
        return hash(
            (self.kind, self.entity, self.command, self.record, repr(self.input), self.actor, self.later_s)
        )


Path: TypeAlias = tuple[Act, ...]
"""What happens, one after the other, from an empty database on."""


def transitions_of(system: System, act: Act) -> tuple[Transition, ...]:
    """The transitions that an act may mean, in declared order."""
    return system.entities[act.entity].of_command(act.command)


def is_creation(system: System, act: Act) -> bool:
    """Whether it makes its record."""
    return any(t.creation for t in transitions_of(system, act))


def bound_input(system: System, act: Act, ids: Ids) -> dict[str, Value]:
    """The arguments as the kernel takes them, with ids in place of ordinals."""
    given = {name: _bound(value, ids) for name, value in act.input.items()}
    trigger = transitions_of(system, act)[0].trigger
    if isinstance(trigger, OnEvent) and isinstance(trigger.data, ObjectOf):
        return {DATA: made_of(trigger.data, given)}
    return given


def _bound(value: Any, ids: Ids) -> Any:
    match value:
        case Ref():
            return ids(value)
        case tuple():
            return tuple(_bound(one, ids) for one in cast("tuple[Any, ...]", value))
        case _:
            return value


def refs_of(act: Act) -> tuple[Ref, ...]:
    """Every record that it names: its own, and those that its input refers to."""
    found = [act.ref]

    def look(value: Any) -> None:
        if isinstance(value, Ref):
            found.append(value)
        elif isinstance(value, tuple):
            for one in cast("tuple[Any, ...]", value):
                look(one)

    for value in act.input.values():
        look(value)
    return tuple(dict.fromkeys(found))


def _types(system: System, act: Act) -> Mapping[str, ValueType]:
    transition = transitions_of(system, act)[0]
    if isinstance(transition.trigger, OnEvent) and isinstance(transition.trigger.data, ObjectOf):
        return {member.name: member.type for member in transition.trigger.data.members}
    return {parameter.name: parameter.type for parameter in transition.parameters}


def act_json(system: System, act: Act) -> dict[str, Any]:
    """An act as JSON."""
    types = _types(system, act)
    actor = act.actor
    return {
        "kind": act.kind,
        "entity": act.entity,
        "command": act.command,
        "record": act.record,
        "input": {name: _dumped(types[name], value) for name, value in act.input.items() if name in types},
        **({} if actor is None else {"actor": _actor_json(actor)}),
        **({"later_s": act.later_s} if act.later_s else {}),
    }


def _dumped(kind: ValueType, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Ref):
        return {"record": [value.entity, value.ordinal]}
    if isinstance(value, tuple) and any(isinstance(one, Ref) for one in cast("tuple[Any, ...]", value)):
        return [_dumped(kind, one) for one in cast("tuple[Any, ...]", value)]
    return dumped(kind, value)


def _actor_json(actor: Actor) -> dict[str, Any]:
    return {"subject": str(actor.subject), "tenant": actor.tenant, "roles": sorted(actor.roles)}


def act_from(system: System, raw: Mapping[str, Any]) -> Act:
    """The act that some JSON says. Raises KeyError, ValueError or Misfit where no act of it is that."""
    bare = Act(raw["kind"], raw["entity"], raw["command"], raw["record"])
    if raw["entity"] not in system.entities or not transitions_of(system, bare):
        raise ValueError(f"nothing in {system.name} is called {raw['entity']}.{raw['command']}")
    types, actor = _types(system, bare), raw.get("actor")
    return replace(
        bare,
        input={name: _parsed(types[name], value) for name, value in raw["input"].items()},
        actor=None if actor is None else Actor(
            Subject(actor["subject"]), actor["tenant"], frozenset(actor["roles"])
        ),
        later_s=float(raw.get("later_s", 0.0)),
    )  # fmt: skip


def _parsed(kind: ValueType, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict) and "record" in value:
        entity, ordinal = cast("dict[str, Any]", value)["record"]
        return Ref(str(entity), int(ordinal))
    if isinstance(value, list) and any(isinstance(one, dict) for one in cast("list[Any]", value)):
        return tuple(_parsed(kind, one) for one in cast("list[Any]", value))
    return kind.parse(value, "#")
