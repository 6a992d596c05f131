"""Between what a caller gives and what is decided about: private values go out, their digests go in.

A command is concealed once, before anything else is done with it. From then on only what stands here, in the
memory of one request, knows what was given, until it is encrypted for the transaction that commits it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from avow.canonical import JsonValue
from avow.errors import reject
from avow.evidence.disclosure import SALT_BYTES, digest, disclosure
from avow.kernel.command import Decision, Step
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.entity import Entity
from avow.model.private import OF_ACTOR, Cleartext, PartlyPrivate, Private, PrivateType, with_members
from avow.model.system import System
from avow.model.types import Value


@dataclass(frozen=True, slots=True)
class Given:
    """A private value that a caller gave: as a disclosure, and as JSON."""

    disclosure: str = field(repr=False)
    value: JsonValue = field(repr=False)


@dataclass(frozen=True, slots=True)
class Concealing:
    """A private value with the place that it has in one entry, and whose it is."""

    kind: str
    id: UUID
    version: int
    field: str
    digest: str
    subject: str
    given: Given
    searchable: bool
    keep_until: datetime | None


PrivateArgument: TypeAlias = PrivateType | PartlyPrivate
"""The type of an argument that is private, or has members that are."""


def private_arguments(system: System) -> dict[tuple[str, str], dict[str, PrivateArgument]]:
    """The arguments of each command of which something is private, for those that have any."""
    found = dict[tuple[str, str], dict[str, PrivateArgument]]()
    for entity in system.entities.values():
        for t in entity.transitions.values():
            private = {p.name: p.type for p in t.parameters if isinstance(p.type, PrivateArgument)}
            if private:
                found[entity.name, t.command] = private
    return found


def conceal(
    private: Mapping[str, PrivateArgument], values: Mapping[str, Value]
) -> tuple[dict[str, Value], dict[str, Given]]:
    """The arguments with digests in place of what is private; and what was given, by digest.

    Raises Misfit where something that nobody has read yet, as the result of a call, doesn't fit.
    """
    concealed, given = dict(values), dict[str, Given]()
    for name, kind in private.items():
        held = values.get(name)
        if held is None:
            continue
        if isinstance(kind, PartlyPrivate):
            own = {member: getattr(held, member) for member in kind.private}
            concealed[name] = with_members(held, {
                member: _concealed(kind.private[member], value, f"#/{name}/{member}", given)
                for member, value in own.items() if value is not None
            })  # fmt: skip
        else:
            concealed[name] = _concealed(kind, held, f"#/{name}", given)
    return concealed, given


def _concealed(kind: PrivateType, held: Value, at: str, given: dict[str, Given]) -> Private:
    value = kind.inner.fit(held.value if isinstance(held, Cleartext) else held, at)
    told = kind.inner.dump(value)
    text = disclosure(secrets.token_bytes(SALT_BYTES), kind.name, told)
    given[digest(text)] = Given(text, told)
    return Private(digest(text))


def concealing_of(
    system: System, decision: Decision, given: Mapping[str, Given], actor: Actor, now: datetime
) -> list[Concealing]:
    """Every private value that the entries of a decision name for the first time.

    Raises BodyFault where a body has moved one from elsewhere: it is about another record, or another field.
    """
    found = list[Concealing]()
    for step in decision.steps:
        entity = system.entities[step.after.entity]
        for name, value in _named(step, entity):
            kind = entity.fields[name].type
            if not isinstance(kind, PrivateType):
                raise BodyFault(f"{entity.name}.{name} isn't private, and was given a private value")
            if (told := given.get(value.digest)) is None:
                raise BodyFault(f"{entity.name}.{name} takes only what its own command is given")
            keep = None if kind.keep is None else now + kind.keep
            found.append(Concealing(
                *step.after.key, step.after.version, name, value.digest, _subject(step, kind, actor), told,
                kind.searchable, keep,
            ))  # fmt: skip
    return found


def _named(step: Step, entity: Entity) -> Iterator[tuple[str, Private]]:
    """The private values of one entry, each once: arguments that have a field's name, and changed fields."""
    held = {name: value for name, value in step.input.items() if name in entity.fields} | dict(step.changes)
    for name, value in held.items():
        if type(value) is Private:
            given = step.input.get(name)
            if given is not None and given != value:
                raise BodyFault(f"{step.after.entity}.{name} takes only what its own command is given")
            yield name, value


def _subject(step: Step, kind: PrivateType, actor: Actor) -> str:
    if kind.of != OF_ACTOR:
        return str(step.after.values[kind.of])
    if not actor.authenticated:
        raise reject("unauthenticated", f"{kind.name} is about who gives it.")
    return str(actor.subject)
