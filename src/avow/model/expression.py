"""Expressions over fields, actor and time: the spine of the model.

One expression is evaluated by the kernel, compiled to SQL by the store, shown in the diagram and in
refusals, and compared between two versions of a declaration. It is data: nothing is ever parsed from
text or evaluated as code. The exception is `Opaque`, a guard in free Python, which is marked as such
wherever it appears.

Logic is three-valued, as in SQL: a comparison with a missing value is neither true nor false. A
policy or a guard permits only when it is true; an invariant is broken only when it is false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol, TypeAlias, cast

from avow.canonical import JsonValue
from avow.model.actor import Actor
from avow.model.types import Value, instant
from avow.model.values import EXACT, Money, plain

Path: TypeAlias = tuple[str, ...]


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
    """An argument of the command."""

    name: str


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
    """True when the actor's subject has performed the transition on this record, ever.

    Unknown for an anonymous actor: nobody passes four eyes by leaving the credential out.
    """

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


class Scope(Protocol):
    """What an expression is evaluated against."""

    @property
    def actor(self) -> Actor: ...
    @property
    def now(self) -> datetime: ...
    @property
    def internal(self) -> bool: ...
    def value(self, path: Path) -> Value: ...
    def state(self, path: Path) -> str | None: ...
    def performers(self, transition: str) -> tuple[str, ...] | None: ...
    def argument(self, name: str) -> Value: ...
    def handle(self) -> Any: ...


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Mapping[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "+": (operator.add, EXACT.add),
    "-": (operator.sub, EXACT.subtract),
    "*": (operator.mul, EXACT.multiply),
}


@dataclass(frozen=True, slots=True)
class _Beyond:
    """An instant outside the years that `datetime` can hold, in microseconds since 1970."""

    micros: int


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _micros(value: Any) -> int:
    """An instant or a length of time as a number of microseconds."""
    if isinstance(value, _Beyond):
        return value.micros
    return (value if isinstance(value, timedelta) else value - _EPOCH) // _MICROSECOND


def _calculate(op: str, one: Any, other: Any) -> Any:
    """One step of exact arithmetic, whatever decimal context the process has set."""
    plainly, exactly = _ARITHMETIC[op]
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        return plainly(one, other) if isinstance(one, Money) else exactly(one, other)
    if not isinstance(one, _Beyond) and not isinstance(other, _Beyond):
        try:
            return plainly(one, other)
        except OverflowError:
            pass  # a sum of times past the year 9999 is still a time that can be compared
    result = plainly(_micros(one), _micros(other))
    length = op == "-" and not isinstance(other, timedelta)
    return timedelta(microseconds=result) if length else _Beyond(result)


def _compare(op: str, one: Any, other: Any) -> bool:
    if isinstance(one, _Beyond) or isinstance(other, _Beyond):
        return _COMPARE[op](_micros(one), _micros(other))
    return _COMPARE[op](one, other)


def evaluate(node: Expression, scope: Scope) -> Any:
    """The value of an expression: a field's value, or true, false or None (unknown) for a condition."""
    match node:
        case Const(value):
            return value
        case FieldOf(path):
            return scope.value(path)
        case Compare(op, left, right):
            one, other = evaluate(left, scope), evaluate(right, scope)
            return None if one is None or other is None else _compare(op, one, other)
        case All(parts):
            return _all(parts, scope)
        case AnyOf(parts):
            return _any(parts, scope)
        case Not(part):
            held = evaluate(part, scope)
            return None if held is None else not held
        case Arithmetic(op, left, right):
            one, other = evaluate(left, scope), evaluate(right, scope)
            return None if one is None or other is None else _calculate(op, one, other)
        case Argument(name):
            return scope.argument(name)
        case Now():
            return scope.now
        case Missing(part):
            return evaluate(part, scope) is None
        case OneOf(part, options):
            held = evaluate(part, scope)
            return None if held is None else held in options
        case InState(states, path):
            state = scope.state(path)
            return None if state is None else state in states
        case Opaque():
            return bool(node.python(scope.handle()))
        case _:
            return _about_actor(node, scope)


def _about_actor(node: Expression, scope: Scope) -> Any:
    actor = scope.actor
    match node:
        case HasRole(role):
            return role in actor.roles
        case ActorSubject():
            return actor.subject if actor.authenticated else None
        case Authenticated():
            return actor.authenticated
        case Performed(transition):
            performers = scope.performers(transition)
            if performers is None or not actor.authenticated:
                return None
            return actor.subject in performers
        case Internal():
            return scope.internal
        case _:
            return True  # Everybody


def _all(parts: tuple[Expression, ...], scope: Scope) -> bool | None:
    unknown = False
    for part in parts:
        held = evaluate(part, scope)
        if held is False:
            return False
        unknown = unknown or held is None
    return None if unknown else True


def _any(parts: tuple[Expression, ...], scope: Scope) -> bool | None:
    unknown = False
    for part in parts:
        held = evaluate(part, scope)
        if held is True:
            return True
        unknown = unknown or held is None
    return None if unknown else False


def walk(node: Expression) -> Iterator[Expression]:
    """The node and every node below it."""
    yield node
    match node:
        case Compare(_, left, right) | Arithmetic(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from walk(part)
        case Not(part) | Missing(part) | OneOf(part, _):
            yield from walk(part)
        case _:
            pass


def paths(node: Expression) -> set[Path]:
    """Every path of fields that the expression reads."""
    found = {n.path for n in walk(node) if isinstance(n, FieldOf)}
    return found | {n.path for n in walk(node) if isinstance(n, InState) and n.path}


def opaque(node: Expression | None) -> bool:
    """Whether some part of it is free Python."""
    return node is not None and any(isinstance(n, Opaque) for n in walk(node))


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
        case Argument(name):
            return f"given.{name}", 9
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
        case Argument(name):
            return {"argument": name}
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
