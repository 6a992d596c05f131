"""The nodes of expressions: plain frozen data, compared by value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from avow.model.flaw import Value

Path: TypeAlias = tuple[str, ...]


def delegated(step: str) -> str:
    """Under which name those are kept who delegated a step to the one who performed it."""
    return f"{step}.for"


@dataclass(frozen=True, slots=True)
class Const:
    """A constant."""

    value: Value


@dataclass(frozen=True, slots=True)
class FieldOf:
    """A field of the record, or through references or value objects one of another: ("course", "seats")."""

    path: Path


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of the command, or a member of one that is a value object."""

    name: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class ActorSubject:
    """The subject of the actor; missing when nobody is authenticated."""


@dataclass(frozen=True, slots=True)
class Now:
    """The time of the decision, from the database's clock."""


@dataclass(frozen=True, slots=True)
class Everybody:
    """True for every actor, also an anonymous one."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """True for every authenticated actor."""


@dataclass(frozen=True, slots=True)
class Internal:
    """True only inside another transition of the same command."""


@dataclass(frozen=True, slots=True)
class HasRole:
    """True when the actor has the role."""

    role: str


@dataclass(frozen=True, slots=True)
class Performed:
    """True when the actor's subject has performed the transition on this record, or delegated it to who did.

    What an edit has voided counts no longer. Unknown for an anonymous actor: nobody passes four eyes by
    leaving the credential out.
    """

    transition: str


@dataclass(frozen=True, slots=True)
class Votes:
    """How many different subjects have performed the transition on this record, since it was last voided."""

    transition: str


@dataclass(frozen=True, slots=True)
class InState:
    """True when the record (or the one that `path` refers to) is in one of the states."""

    states: tuple[str, ...]
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Compare:
    """`left` `operator` `right`; operators: == != < <= > >=."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left` `operator` `right`; operators: + - *."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class All:
    """True when every part is true."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when a part is true."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the part is false."""

    part: Expression


@dataclass(frozen=True, slots=True)
class Missing:
    """True when the part has no value."""

    part: Expression


@dataclass(frozen=True, slots=True)
class OneOf:
    """True when the part equals one of the constants."""

    part: Expression
    options: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """A guard in free Python: no tool can see into it, only that its source changed."""

    name: str
    source_hash: str
    python: Callable[[Any], Any] = field(compare=False)


Expression: TypeAlias = (
    Const
    | FieldOf
    | Argument
    | ActorSubject
    | Now
    | Everybody
    | Authenticated
    | Internal
    | HasRole
    | Performed
    | Votes
    | InState
    | Compare
    | Arithmetic
    | All
    | AnyOf
    | Not
    | Missing
    | OneOf
    | Opaque
)
