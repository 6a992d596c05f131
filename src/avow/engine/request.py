"""A command as it arrives, and what it is answered with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from avow import canonical
from avow.errors import Problem
from avow.model.actor import Actor
from avow.model.types import Value

RenderProblem = Callable[[Problem, UUID], bytes]
"""Makes the body of a refusal; the id is the one of the command it answers."""


@dataclass(slots=True)
class Request:
    """One command as it arrived, authenticated and parsed.

    entity, command: names of the declaration. record: None for a creation.
    key:             the caller's idempotency key; None only where nothing has to be replayed.
    fingerprint:     digest of everything that makes it the same request again.
    dry_run:         decide everything, the database's rules included, and keep nothing.
    settles:         the number of the work that it settles, and its fencing number, where no actor asks for
                     it but a call has ended, or an event or a time has come.
    internal:        no actor asks for it, also where it settles nothing: a sender told of an event.
    intervention:    what an operator says who settles it by hand.
    kept_under:      the id of the key under which its answer is kept, where that doesn't follow from `key`.
    """

    entity: str
    command: str
    record: UUID | None
    input: Mapping[str, Value]
    actor: Actor
    key: str | None
    fingerprint: bytes
    request_id: str
    expected_version: int | None = None
    dry_run: bool = False
    settles: tuple[int, int] | None = None
    internal: bool = False
    intervention: Mapping[str, str] | None = None
    kept_under: UUID | None = None


@dataclass(slots=True)
class Reply:
    """What a command is answered with.

    problem: for an answer that isn't kept (not found, precondition failed); `body` is empty then.
    """

    status: int
    body: bytes = b""
    record: UUID | None = None
    version: int | None = None
    replayed: bool = False
    problem: Problem | None = None


_written = canonical.compact()


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """What is told, as it is kept and answered."""
    return _written(value).encode()
