"""Expressions as text for people, and as canonical data for the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import cast

from avow.canonical import JsonValue
from avow.model.calendar import Exact
from avow.model.flaw import Value
from avow.model.node import (
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
)  # fmt: skip
from avow.model.times import DURATION_MAX, instant
from avow.model.values import Money, plain

_TIGHTNESS = {"*": 5, "+": 4, "-": 4, "==": 0, "!=": 0, "<": 0, "<=": 0, ">": 0, ">=": 0}
"""As in Python: comparisons bind least, and stand in brackets between & and |."""


def render(node: Expression) -> str:
    """The expression as its owner would write it: `taken <= seats`."""
    return _render(node)[0]


def _render(node: Expression) -> tuple[str, int]:
    """The text, and how tightly its outermost operator binds."""
    match node:
        case Const(value):
            return _render_value(value), 9
        case FieldOf(path):
            return ".".join(path), 9
        case Argument(name, path):
            return ".".join(("given", name, *path)), 9
        case Compare(op, left, right) | Arithmetic(op, left, right):
            tight = _TIGHTNESS[op]
            return f"{_bracket(left, tight)} {op} {_bracket(right, tight + 1)}", tight
        case All(parts):
            return " & ".join(_bracket(part, 3) for part in parts), 2
        case AnyOf(parts):
            return " | ".join(_bracket(part, 2) for part in parts), 1
        case Not(part):
            return f"~{_bracket(part, 8)}", 8
        case Missing(part):
            return f"missing({render(part)})", 9
        case OneOf(part, options):
            return f"one_of({render(part)}, {', '.join(map(_render_value, options))})", 9
        case InState(states, path):
            of = f", of={'.'.join(path)}" if path else ""
            return f"in_state({', '.join(states)}{of})", 9
        case HasRole(role):
            return role, 9
        case Performed(transition):
            return f"performed({transition})", 9
        case Votes(transition):
            return f"votes({transition})", 9
        case Opaque(name):
            return f"opaque {name}()", 9
        case _:
            return _WORDS[type(node)], 9


_WORDS: Mapping[type, str] = {
    ActorSubject: "actor",
    Now: "now",
    Everybody: "everybody",
    Authenticated: "authenticated",
    Internal: "internal",
}


def _bracket(node: Expression, tight: int) -> str:
    text, own = _render(node)
    return text if own >= tight else f"({text})"


def _render_value(value: Value) -> str:
    match value:
        case str() | None | bool() | int():
            return repr(str(value)) if isinstance(value, str) and not isinstance(value, Enum) else str(value)
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case timedelta() if timedelta() <= value <= DURATION_MAX:
            return str(Exact(value))
        case _:
            return str(value)


def describe(node: Expression | None) -> JsonValue:
    """The expression as canonical plain data, for the fingerprint of the model."""
    match node:
        case None:
            return None
        case Const(value):
            return {"const": describe_value(value)}
        case OneOf(part, options):
            return {"one_of": [describe(part), [describe_value(option) for option in options]]}
        case FieldOf(path):
            return {"field": list(path)}
        case Argument(name, path):
            return {"argument": name, **({"path": list(path)} if path else {})}
        case Compare(op, left, right) | Arithmetic(op, left, right):
            return {op: [describe(left), describe(right)]}
        case All(parts):
            return {"all": [describe(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [describe(part) for part in parts]}
        case Not(part):
            return {"not": describe(part)}
        case Missing(part):
            return {"missing": describe(part)}
        case HasRole(role):
            return {"role": role}
        case Performed(transition):
            return {"performed": transition}
        case Votes(transition):
            return {"votes": transition}
        case InState(states, path):
            return {"in_state": [list(path), list(states)]}
        case Opaque(name, source_hash):
            return {"opaque": [name, source_hash]}
        case _:
            return _WORDS[type(node)]


def describe_value(value: Value) -> JsonValue:
    """A constant as canonical plain data; its type is clear from where it stands."""
    match value:
        case Enum():
            return str(value.value)
        case None | bool() | int():
            return value
        case str():
            return str(value)
        case Money():
            return {"amount": plain(value.amount), "currency": value.currency}
        case datetime():
            return instant(value)
        case Decimal():
            return plain(value)
        case tuple():
            return [describe_value(item) for item in cast(tuple[Value, ...], value)]
        case _:
            return str(value)
