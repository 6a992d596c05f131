"""Between what a caller gives and what is decided about: private values go out, their digests go in.

A command is concealed once, before anything else is done with it. From then on only what stands here, in the
memory of one request, knows what was given, until it is encrypted for the transaction that commits it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from avow.canonical import JsonValue
from avow.errors import reject
from avow.evidence.disclosure import SALT_BYTES, digest, disclosure
from avow.kernel.command import Decision, Step
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.private import OF_ACTOR, Cleartext, Private, PrivateType
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


def conceal(
    private: Mapping[str, PrivateType], values: Mapping[str, Value]
) -> tuple[dict[str, Value], dict[str, Given]]:
    """The arguments with digests in place of what is private; and what was given, by digest."""
    concealed, given = dict(values), dict[str, Given]()
    for name, kind in private.items():
        held = values.get(name)
        if held is None:
            continue
        value = kind.inner.fit(held.value if isinstance(held, Cleartext) else held, f"#/{name}")
        told = kind.inner.dump(value)
        text = disclosure(secrets.token_bytes(SALT_BYTES), kind.name, told)
        concealed[name] = Private(digest(text))
        given[digest(text)] = Given(text, told)
    return concealed, given


def concealing_of(
    system: System, decision: Decision, given: Mapping[str, Given], actor: Actor, now: datetime
) -> list[Concealing]:
    """Every private value that the entries of a decision name for the first time.

    Raises BodyFault where a body has moved one from elsewhere: it is about another record, or another field.
    """
    found = list[Concealing]()
    for step in decision.steps:
        entity = system.entities[step.after.entity]
        for name, value in _named(step):
            kind = entity.fields[name].type if name in entity.fields else None
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


def _named(step: Step) -> Iterator[tuple[str, Private]]:
    """The private values of one entry, each once."""
    held = {**step.input, **step.changes}
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
