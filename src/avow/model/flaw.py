"""What every type of value promises, and how a value that doesn't fit is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from avow.canonical import JsonValue

Value: TypeAlias = Any
"""A typed Python value of a field: what a handler sees."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One place of an input that doesn't fit.

    pointer: JSON pointer (RFC 6901) into the body, such as `#/items/0/qty`.
    code:    stable, kebab-case. detail: one sentence, never an echo of the value.
    """

    pointer: str
    code: str
    detail: str


class Misfit(Exception):
    """A value doesn't fit its type; `flaws` holds every place."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__("; ".join(f"{flaw.pointer}: {flaw.detail}" for flaw in flaws))
        self.flaws = flaws


class ValueType(Protocol):
    """What each type can do. Implementations are frozen and compare by value."""

    def parse(self, raw: Any, at: str, /) -> Value:
        """Read the JSON value `raw` found at JSON pointer `at`. Raises Misfit."""
        ...

    def dump(self, value: Value) -> JsonValue:
        """Write a value as JSON; `parse` reads it back equal."""
        ...

    def fit(self, value: Value, at: str, /) -> Value:
        """Check a value that a handler assigned and give back its stored form. Raises Misfit."""
        ...

    def describe(self) -> dict[str, Any]:
        """The type as plain data, for the fingerprint and the documentation."""
        ...


def misfit(at: str, code: str, detail: str) -> Misfit:
    """The exception for one flaw."""
    return Misfit(Flaw(at, code, detail))


def demand_within(value: Any, ge: Any, le: Any, at: str) -> None:
    """Raise Misfit where a value is below its least or above its greatest."""
    if ge is not None and value < ge:
        raise misfit(at, "too-small", f"must be at least {ge}")
    if le is not None and value > le:
        raise misfit(at, "too-large", f"must be at most {le}")
