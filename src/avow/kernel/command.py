"""What goes into a decision and what comes out: command, record, decision, rejection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from avow.model.actor import Actor
from avow.model.entity import Transition
from avow.model.tuples import made
from avow.model.types import Value

Key: TypeAlias = tuple[str, UUID]
"""An entity's name and a record's id."""

GENESIS = bytes(32)
"""What the first entry of a chain has as its predecessor."""
NOBODY: Mapping[str, tuple[str, ...]] = MappingProxyType({})
"""The performers of a record of which no step is tracked."""

# These are made for every command, several of each: a named tuple is as immutable as a frozen dataclass,
# and made in a third of the time. Where every command makes one, `made` does it.


class OpenTask(NamedTuple):
    """A task as it stands now.

    acts:      how often something was done with it; whoever changes it names the number that they saw.
    holder:    who has it alone until `held_until`.
    delegated: who has let whom do it in their place: by the one, all others.
    """

    id: UUID
    step: str
    role: str
    due: datetime | None
    since: datetime
    asked_by: str
    claim_ms: int
    acts: int
    holder: str | None = None
    held_until: datetime | None = None
    delegated: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    follow_up: datetime | None = None
    escalated: datetime | None = None

    def held_at(self, now: datetime) -> str | None:
        """Who has it alone at a time; None: nobody."""
        return self.holder if self.held_until is not None and self.held_until > now else None


class Record(NamedTuple):
    """One record at one version, as the store keeps it.

    values:     every field by name; missing values are None.
    performers: for each tracked transition who has performed it on this record.
    head:       hash of the entry that wrote this version; 32 zero bytes at version 0.
    tasks:      what people are asked to do with it now, by step.
    """

    entity: str
    id: UUID
    state: str
    version: int
    values: Mapping[str, Value]
    performers: Mapping[str, tuple[str, ...]] = NOBODY
    head: bytes = GENESIS
    tasks: Mapping[str, OpenTask] = MappingProxyType({})

    @property
    def key(self) -> Key:
        """Where the record is found."""
        return self.entity, self.id

    def with_head(self, head: bytes) -> Record:
        """The same, with the hash of the entry that wrote it."""
        return made(Record, (*self[:6], head, self.tasks))


class Command(NamedTuple):
    """What an actor asks for.

    name:  the command's word. id: the record; for a creation the id that the new record gets.
    input: typed arguments by name (the ingress has parsed them).
    expected_version: the version that the caller has seen (If-Match), if it said so.
    command_id: unique to this attempt to change the world; every entry of it carries it.
    internal: no actor asks for it: the outcome of a call has come, or a time.
    """

    entity: str
    name: str
    id: UUID
    input: Mapping[str, Value]
    actor: Actor
    command_id: UUID
    expected_version: int | None = None
    internal: bool = False


class Wait(NamedTuple):
    """Something that a record waits for from now on.

    due:         when: the instant of a deadline, or that from which on a call may be made.
    destination: of a call; empty for a time. line: calls with an equal one are made one after the other.
    """

    due: datetime
    destination: str = ""
    line: str = ""


NOTHING: Mapping[str, Wait | None] = MappingProxyType({})


class Begun(NamedTuple):
    """A task that begins."""

    role: str
    due: datetime | None
    escalate: str | None
    remind: tuple[datetime, ...]
    claim_ms: int


class Acted(NamedTuple):
    """A task whose step was performed by somebody who had seen so many acts. ends: nothing is left of it."""

    acts: int
    ends: bool


class Moved(NamedTuple):
    """A task that is due at another time from now on."""

    due: datetime | None


Asking: TypeAlias = Begun | Acted | Moved | None
"""What becomes of a task; None: it ends, and nobody did it."""
NOBODY_ASKED: Mapping[str, Asking] = MappingProxyType({})


class Step(NamedTuple):
    """One transition of one record. A decision has one per entry of the audit log.

    before:  None for a creation.
    changes: fields that have another value than before, or a value for the first time.
    cause:   the record whose transition called for this one; None for the command's own.
    waits:   what the record waits for from now on, by the name of the effect or transition; None: no more.
    tasks:   what becomes of the tasks of the record, by step.
    """

    transition: Transition
    before: Record | None
    after: Record
    input: Mapping[str, Value]
    changes: Mapping[str, Value]
    cause: tuple[Key, int] | None = None
    waits: Mapping[str, Wait | None] = NOTHING
    tasks: Mapping[str, Asking] = NOBODY_ASKED


class Decision(NamedTuple):
    """It may happen. `steps` starts with the command's own; `reads` are the versions it rests on.

    timed: it rests on the time, too: at another one it might be another decision.
    """

    steps: tuple[Step, ...]
    reads: Mapping[Key, int]
    final: Mapping[Key, Record]
    timed: bool = False

    @property
    def result(self) -> Record:
        """The command's own record, as it is after all steps."""
        own = self.steps[0].after
        return self.final[own.entity, own.id]


@dataclass(frozen=True, slots=True)
class Rejection:
    """It may not happen. `code` is a row of `errors.PROBLEMS`.

    extra: `rule` (what did not hold), `current_state`, `allowed`, `errors`, ...
    recorded: whether it is an answer of the business, kept under the idempotency key and replayed.
    """

    code: str
    detail: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recorded: bool = True
