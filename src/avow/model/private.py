"""Private values: what stands for a person's data everywhere but at the edge.

A private value is a commitment to what somebody gave: the digest of a salted disclosure (RFC 9901).
Decisions, rows, audit entries, answers and queues hold nothing else, so none of them has to be cleaned when a
person is forgotten. The disclosure itself is kept once, encrypted under that person's key.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from avow.canonical import JsonValue
from avow.model.draft import BodyFault
from avow.model.flaw import Value, ValueType, misfit
from avow.model.types import ObjectOf

PRIVATE: Final = "private"
"""The one member of a private value as JSON: its digest is there, it isn't."""

OF_ACTOR: Final = "actor"
"""What `of` says of values that are about whoever gives the command."""

SHOWN: Final = "[private]"


class Cleartext:
    """A value that a caller has given, on its way from the edge to where it is concealed."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cleartext) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__


class Private:
    """Stands for a private value. Equal are those that stand for one giving of it, whatever was given."""

    __slots__ = ("digest",)

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        if other is None:
            return False
        if not isinstance(other, Private):
            raise BodyFault("a private value can't be compared: nobody here knows it")
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class PrivateType:
    """A private value of another type.

    name: the field's. of: the field of the record that names the person whom it is about, or OF_ACTOR.
    searchable: equal values can be found, and can be forbidden to be held twice, by a keyed hash.
    keep: how long it may not be erased, whoever asks for it.
    """

    inner: ValueType
    name: str
    of: str
    searchable: bool = False
    keep: timedelta | None = None

    def parse(self, raw: Any, at: str) -> Cleartext:
        return Cleartext(self.inner.parse(raw, at))

    def fit(self, value: Any, at: str) -> Private:
        if not isinstance(value, Private):
            raise misfit(at, "not-private", "is private: only an argument of its own name can give it")
        return value

    def dump(self, value: Private) -> JsonValue:
        return {PRIVATE: value.digest}

    def describe(self) -> dict[str, Any]:
        kept = {} if self.keep is None else {"keep_s": round(self.keep.total_seconds())}
        searched = {"searchable": True} if self.searchable else {}
        return {"type": PRIVATE, "of": self.of, "value": self.inner.describe(), **searched, **kept}


@dataclass(frozen=True, slots=True)
class PartlyPrivate(ObjectOf):
    """A value object from outside of which some members are private, as the fields are that they are for."""

    @property
    def private(self) -> dict[str, PrivateType]:
        """Its members that are."""
        return {m.name: m.type for m in self.members if isinstance(m.type, PrivateType)}

    @property
    def plain(self) -> ObjectOf:
        """The same of plain members: what the object checks of itself, it checks on what was given."""
        private = self.private
        plain = (replace(m, type=private[m.name].inner) if m.name in private else m for m in self.members)
        return ObjectOf(self.name, tuple(plain), self.python)

    def parse(self, raw: Any, at: str) -> Value:
        made = self.plain.parse(raw, at)
        held = {name: getattr(made, name) for name in self.private}
        return with_members(made, {n: Cleartext(value) for n, value in held.items() if value is not None})


def with_members(held: Value, members: Mapping[str, Value]) -> Value:
    """A value object with other values in some members, unseen by its own checks."""
    made = copy.copy(held)
    for name, value in members.items():
        object.__setattr__(made, name, value)
    return made
