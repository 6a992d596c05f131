"""Expressions back from their descriptions, so that an old boundary can be shown in the words of its owner.

The inverse of `model.expression.describe`, as far as a description goes: a guard in free Python comes back
with its name and hash, and can't be run. It must never be used to decide anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from avow.canonical import JsonValue
from avow.model.expression import (
    ActorSubject,
    All,
    AnyOf,
    Argument,
    Arithmetic,
    Authenticated,
    Compare,
    Const,
    Everybody,
    Expression,
    FieldOf,
    HasRole,
    InState,
    Internal,
    Missing,
    Not,
    Now,
    OneOf,
    Opaque,
    Performed,
    Votes,
    render,
)
from avow.model.types import Value
from avow.model.values import Money

_WORDS: Mapping[str, Expression] = {
    "actor": ActorSubject(),
    "now": Now(),
    "everybody": Everybody(),
    "authenticated": Authenticated(),
    "internal": Internal(),
}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_CALCULATIONS = frozenset({"+", "-", "*"})

# As model.notation describes a length of time, an instant, a number and a day.
_LENGTH = re.compile(r"(?:(-?\d{1,9}) days?, )?(\d{1,2}):(\d\d):(\d\d)(?:\.(\d{6}))?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

Types = Mapping[str, Mapping[str, Any]]
"""Described fields by name: they tell what a constant beside a field is."""


def expression_of(described: JsonValue, types: Types | None = None) -> Expression:
    """The expression of a description. Raises ValueError for what no description looks like."""
    return _Reader(types or {}).read(described)


def text_of(described: JsonValue, types: Types | None = None) -> str | None:
    """The described expression as its owner would write it; None where there is none."""
    return None if described is None else render(expression_of(described, types))


class _Reader:
    """Reads one description; `types` are the fields of the entity that it belongs to."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def read(self, node: JsonValue) -> Expression:
        if isinstance(node, str) and node in _WORDS:
            return _WORDS[node]
        match node:
            case {"argument": str(name), "path": list(path)}:
                return Argument(name, tuple(map(str, path)))
            case _:
                pass
        if not isinstance(node, Mapping) or len(node) != 1:
            raise ValueError("not the description of an expression")
        [(word, held)] = node.items()
        if word in _COMPARISONS or word in _CALCULATIONS:
            return self._pair(word, held)
        read = self._readers().get(word)
        if read is None:
            raise ValueError(f"no expression is called {word}")
        return read(held)

    def _readers(self) -> Mapping[str, Callable[[Any], Expression]]:
        return {
            "const": lambda held: Const(_value(held)),
            "field": lambda held: FieldOf(tuple(held)),
            "argument": Argument,
            "all": lambda held: All(tuple(self.read(part) for part in held)),
            "any": lambda held: AnyOf(tuple(self.read(part) for part in held)),
            "not": lambda held: Not(self.read(held)),
            "missing": lambda held: Missing(self.read(held)),
            "role": HasRole,
            "performed": Performed,
            "votes": Votes,
            "in_state": lambda held: InState(tuple(held[1]), tuple(held[0])),
            "opaque": lambda held: Opaque(held[0], held[1], _unreachable),
            "one_of": self._one_of,
        }

    def _pair(self, word: str, held: Any) -> Expression:
        one, other = held
        left, right = self.read(one), self.read(other)
        left, right = self._typed(left, right), self._typed(right, left)
        return Compare(word, left, right) if word in _COMPARISONS else Arithmetic(word, left, right)

    def _one_of(self, held: Any) -> Expression:
        part = self.read(held[0])
        options = (self._typed(Const(_value(option)), part) for option in held[1])
        return OneOf(part, tuple(option.value for option in options if isinstance(option, Const)))

    def _typed(self, node: Expression, beside: Expression) -> Expression:
        """A constant in its own type, as far as its form and what it stands beside tell that."""
        if isinstance(node, Const) and isinstance(node.value, str):
            return Const(_read(node.value, self._type(beside)))
        return node

    def _type(self, node: Expression) -> str | None:
        """The described type of a field of this entity; None for anything else."""
        if isinstance(node, FieldOf) and len(node.path) == 1:
            return self._types.get(node.path[0], {}).get("type")
        return _CALCULATED.get(type(node))


_CALCULATED: Mapping[type, str] = {Arithmetic: "calculated", Now: "instant"}
_TEXTS = frozenset({"text", "enum", "subject", "uuid"})


def _read(text: str, kind: str | None) -> Value:
    """The value that was written so beside something of this type; the text itself where nobody can tell."""
    if kind in _TEXTS:
        return text
    with suppress(ValueError, OverflowError):
        if parts := _LENGTH.fullmatch(text):
            days, hours, minutes, seconds, fraction = (int(part or 0) for part in parts.groups())
            length = timedelta(days, seconds, fraction, minutes=minutes, hours=hours)
            return length if str(length) == text else text
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text)
        if kind in ("decimal", "calculated") and _NUMBER.fullmatch(text):
            return Decimal(text)
        if kind in ("date", "calculated") and _DATE.fullmatch(text):
            return date.fromisoformat(text)
    return text


def _value(held: JsonValue) -> Value:
    if isinstance(held, Mapping):
        return Money(Decimal(cast(str, held["amount"])), cast(str, held["currency"]))
    return tuple(_value(item) for item in held) if isinstance(held, list | tuple) else held


def _unreachable(_: Any) -> Any:
    raise ValueError("a guard of an earlier boundary can't be run again")
