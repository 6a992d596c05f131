"""The closed whole: every entity of one application, and the fingerprint of its boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from avow import canonical
from avow.model.entity import Entity, State, Transition
from avow.model.expression import Expression, HasRole, describe, describe_value, walk
from avow.model.promise import Promise
from avow.model.sender import Sender
from avow.model.trigger import EVENTS, OnEvent
from avow.model.types import Reference

FORMAT = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class System:
    """All entities of an application, by name, and who sends them events. `name` is the application's own.

    promises: what is true of all records together, as far as it is tried.
    operators: who may look, over HTTP, at what happens by itself in their tenant, and see to what is stuck;
    pausers: who may hold destinations up, for all tenants. None: nobody.
    """

    name: str
    entities: Mapping[str, Entity]
    senders: Mapping[str, Sender] = field(default_factory=dict[str, Sender])
    promises: tuple[Promise, ...] = ()
    operators: Expression | None = None
    pausers: Expression | None = None
    description: bytes = field(init=False, repr=False)
    fingerprint: bytes = field(init=False)
    _derived: dict[Any, Any] = field(default_factory=dict[Any, Any], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "description", canonical.encode(describe_system(self)))
        object.__setattr__(self, "fingerprint", canonical.digest(self.description))

    def derived(self, make: Callable[[System], T]) -> T:
        """What a pure function makes of this system. It never changes, so it is made once and kept."""
        try:
            return self._derived[make]
        except KeyError:
            made = self._derived[make] = make(self)
            return made

    def by_plural(self, plural: str) -> Entity | None:
        """The entity whose resource has this name."""
        return next((entity for entity in self.entities.values() if entity.plural == plural), None)

    def referred(self, entity: Entity, reference: str) -> Entity:
        """The entity that a reference field points to."""
        kind = entity.fields[reference].type
        if not isinstance(kind, Reference):
            raise ValueError(f"{entity.name}.{reference} is not a reference")
        return self.entities[kind.entity]

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that a policy names, or that is asked for what is stuck, sorted."""
        own = [policy for policy in (self.operators, self.pausers) if policy is not None]
        asked = [*own, *(policy for e in self.entities.values() for policy in policies(e))]
        nodes = (node for policy in asked for node in walk(policy))
        return tuple(
            sorted({*asked_for_stuck(self)}.union(node.role for node in nodes if isinstance(node, HasRole)))
        )


def waits(system: System) -> bool:
    """Whether anything happens by itself: calls, events, times that come, tasks that fall due."""
    transitions = (t for e in system.entities.values() for t in e.transitions.values())
    return any(t.trigger is not None or t.task is not None for t in transitions)


def asking(system: System) -> list[Entity]:
    """The entities about whose records somebody may be asked: for a command, or for what is stuck."""
    operated = system.operators is not None
    return [
        e for e in system.entities.values()
        if e.asks or any(effect.task is not None for effect in e.effects.values()) or (operated and sticks(e))
    ]  # fmt: skip


def asks(system: System) -> bool:
    """Whether anything waits in somebody's inbox."""
    return bool(asking(system))


def asked_for_stuck(system: System) -> list[str]:
    """The roles that calls ask once they are stuck, sorted."""
    tasks = [effect.task for e in system.entities.values() for effect in e.effects.values()]
    return sorted({role for task in tasks if task is not None for role in (task.role, task.escalate) if role})


def sticks(entity: Entity) -> bool:
    """Whether anything that happens by itself may get stuck: a call, a time, an event, a delivery."""
    return any(t.trigger is not None for t in entity.transitions.values()) or bool(entity.publications)


def keeps_private(system: System) -> bool:
    """Whether any record has private values."""
    return any(entity.private for entity in system.entities.values())


def publishes(system: System) -> bool:
    """Whether the outside may be told of anything."""
    return any(entity.publications for entity in system.entities.values())


def policies(entity: Entity) -> list[Expression]:
    """Every policy of an entity: who may read it, its fields, and do its transitions."""
    read = [entity.read, *(f.read for f in entity.fields.values() if f.read is not None)]
    return [*read, *(t.by for t in entity.transitions.values()), *(p.by for p in entity.publications)]


def edges(system: System) -> list[tuple[str, str, str, str]]:
    """Every edge of every machine: kind, transition, source ('' for a creation), target."""
    found = list[tuple[str, str, str, str]]()
    for entity in system.entities.values():
        for t in entity.transitions.values():
            sources = ("",) if t.creation else t.sources
            found.extend((entity.name, t.name, source, t.target) for source in sources)
    return found


def destinations(system: System) -> list[str]:
    """Where calls of this system go, and where its early events wait, sorted."""
    called = {effect.destination for e in system.entities.values() for effect in e.effects.values()}
    return sorted({*called, *([EVENTS] if system.senders else [])})


def published_types(system: System) -> list[str]:
    """What the outside may be told of, as entity and transition, sorted."""
    found = {f"{e.name}.{t}" for e in system.entities.values() for p in e.publications for t in p.transitions}
    return sorted(found)


def listening(system: System) -> list[tuple[Entity, OnEvent]]:
    """Every entity with each event that it listens to, once."""
    triggers = ((e, t.trigger) for e in system.entities.values() for t in e.transitions.values())
    found = {(e.name, str(t)): (e, t) for e, t in triggers if isinstance(t, OnEvent)}
    return list(found.values())


def describe_system(system: System) -> dict[str, Any]:
    """The boundaries as canonical plain data: what a fingerprint covers, without places and texts."""
    return {
        "format": FORMAT,
        "name": system.name,
        "entities": {name: _describe_entity(entity) for name, entity in system.entities.items()},
        **({"senders": {s.name: s.describe() for s in system.senders.values()}} if system.senders else {}),
        **({"promises": {p.name: p.source_hash for p in system.promises}} if system.promises else {}),
        **({} if system.operators is None else {"operators": describe(system.operators)}),
        **({} if system.pausers is None else {"pausers": describe(system.pausers)}),
    }


def _describe_entity(entity: Entity) -> dict[str, Any]:
    return {
        "plural": entity.plural,
        "read": describe(entity.read),
        "tracked": list(entity.tracked),
        "fields": {
            f.name: {
                **f.type.describe(),
                "optional": f.optional,
                "default": describe(f.default),
                "read": describe(f.read),
            }
            for f in entity.fields.values()
        },
        "states": {s.name: _describe_state(s) for s in entity.states.values()},
        **({"effects": {e.name: e.describe() for e in entity.effects.values()}} if entity.effects else {}),
        **({"publications": [p.describe() for p in entity.publications]} if entity.publications else {}),
        "transitions": {t.name: _describe_transition(t) for t in entity.transitions.values()},
        "invariants": {i.name: describe(i.condition) for i in entity.invariants},
        **({"always": {p.name: describe(p.condition) for p in entity.promises}} if entity.promises else {}),
        **({"sometimes": {g.name: describe(g.condition) for g in entity.goals}} if entity.goals else {}),
        "uniques": {u.name: {"fields": list(u.fields), "states": list(u.states)} for u in entity.uniques},
        "exclusions": {
            x.name: {"fields": list(x.fields), "start": x.start, "end": x.end, "states": list(x.states)}
            for x in entity.exclusions
        },
        "quotas": {
            q.name: {
                "anchor": q.anchor,
                "states": list(q.states),
                "weight": q.weight,
                "limit": describe(q.limit),
            }
            for q in entity.quotas
        },
    }


def _describe_state(state: State) -> dict[str, Any]:
    described: dict[str, Any] = {"initial": state.initial, "final": state.final}
    if state.invoke:
        described |= {"invoke": list(state.invoke), "withdraw": state.withdraw}
        described |= {"owed": state.owed, "undoes": state.undoes}
    if state.reveals:
        described["reveals"] = list(state.reveals)
    return described


def _describe_transition(transition: Transition) -> dict[str, Any]:
    parameters = [
        {"name": p.name, **p.type.describe(), "optional": p.optional, "default": describe_value(p.default)}
        for p in transition.parameters
    ]
    return {
        "command": transition.command,
        "from": list(transition.sources),
        "to": transition.target,
        "by": describe(transition.by),
        "when": describe(transition.when),
        "parameters": parameters,
        "sets": list(transition.sets),
        "uses": list(transition.uses),
        "body": transition.body_hash,
        "precondition": transition.precondition,
        **({} if transition.trigger is None else {"trigger": transition.trigger.describe()}),
        **({"assigns": {n: describe(v) for n, v in transition.assigns}} if transition.assigns else {}),
        **({} if transition.task is None else {"task": transition.task.describe()}),
        **({"counts": transition.counts} if transition.counts else {}),
        **({"voids": list(transition.voids)} if transition.voids else {}),
        **({"reveals": list(transition.reveals)} if transition.reveals else {}),
        **({} if transition.erases is None else {"erases": transition.erases}),
    }
