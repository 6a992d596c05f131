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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeAlias

from avow.model.actor import Actor
from avow.model.draft import BodyFault, Refusal
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
    Path,
    Performed,
    Votes,
    delegated,
)  # fmt: skip
from avow.model.notation import describe, describe_value, render
from avow.model.values import EXACT, Money

__all__ = [
    "ActorSubject", "All", "AnyOf", "Argument", "Arithmetic", "Authenticated", "Compare", "Const",
    "Everybody", "Expression", "FieldOf", "HasRole", "InState", "Internal", "Meaning", "Missing", "Not",
    "Now", "OneOf", "Opaque", "Path", "Performed", "Scope", "Votes", "delegated", "describe",
    "describe_value", "evaluate", "meaning", "opaque", "paths", "render", "walk",
]  # fmt: skip


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


Meaning: TypeAlias = Callable[[Scope], Any]
"""An expression as a function of its scope."""


def meaning(node: Expression) -> Meaning:
    """What an expression means: a field's value, or true, false or None (unknown) for a condition.

    The one place that gives expressions their meaning. What depends on the expression alone is settled
    here, once; whoever evaluates it often keeps the function.
    """
    return _MEANING[type(node)](node)


def evaluate(node: Expression, scope: Scope) -> Any:
    """The value of an expression in one scope."""
    return meaning(node)(scope)


def _field(node: FieldOf) -> Meaning:
    path = node.path
    return lambda scope: scope.value(path)


def _argument(node: Argument) -> Meaning:
    name, path = node.name, node.path
    if not path:
        return lambda scope: scope.argument(name)

    def member(scope: Scope) -> Value:
        value = scope.argument(name)
        for part in path:
            value = None if value is None else getattr(value, part)
        return value

    return member


def _subject(scope: Scope) -> Any:
    return scope.actor.subject if scope.actor.authenticated else None


def _has_role(node: HasRole) -> Meaning:
    role = node.role
    return lambda scope: role in scope.actor.roles


def _compared(node: Compare) -> Meaning:
    left, right = meaning(node.left), meaning(node.right)
    calculates = isinstance(node.left, Arithmetic) or isinstance(node.right, Arithmetic)
    # Only what was calculated can lie beyond the calendar.
    compare = partial(_compare, node.operator) if calculates else _COMPARE[node.operator]

    def holds(scope: Scope) -> bool | None:
        one, other = left(scope), right(scope)
        return None if one is None or other is None else compare(one, other)

    return holds


def _calculated(node: Arithmetic) -> Meaning:
    op, left, right = node.operator, meaning(node.left), meaning(node.right)

    def value(scope: Scope) -> Any:
        one, other = left(scope), right(scope)
        return None if one is None or other is None else _calculate(op, one, other)

    return value


def _all(node: All) -> Meaning:
    parts = tuple(map(meaning, node.parts))

    def hold(scope: Scope) -> bool | None:
        unknown = False
        for part in parts:
            held = part(scope)
            if held is False:
                return False
            unknown = unknown or held is None
        return None if unknown else True

    return hold


def _any(node: AnyOf) -> Meaning:
    parts = tuple(map(meaning, node.parts))

    def hold(scope: Scope) -> bool | None:
        unknown = False
        for part in parts:
            held = part(scope)
            if held is True:
                return True
            unknown = unknown or held is None
        return None if unknown else False

    return hold


def _not(node: Not) -> Meaning:
    part = meaning(node.part)

    def holds(scope: Scope) -> bool | None:
        held = part(scope)
        return None if held is None else not held

    return holds


def _missing(node: Missing) -> Meaning:
    part = meaning(node.part)
    return lambda scope: part(scope) is None


def _one_of(node: OneOf) -> Meaning:
    part, options = meaning(node.part), node.options

    def holds(scope: Scope) -> bool | None:
        held = part(scope)
        return None if held is None else held in options

    return holds


def _in_state(node: InState) -> Meaning:
    path, states = node.path, node.states

    def holds(scope: Scope) -> bool | None:
        state = scope.state(path)
        return None if state is None else state in states

    return holds


def _performed(node: Performed) -> Meaning:
    transition, by_another = node.transition, delegated(node.transition)

    def holds(scope: Scope) -> bool | None:
        performers = scope.performers(transition)
        if performers is None or not scope.actor.authenticated:
            return None
        subject = scope.actor.subject
        return subject in performers or subject in (scope.performers(by_another) or ())

    return holds


def _votes(node: Votes) -> Meaning:
    transition = node.transition

    def count(scope: Scope) -> int | None:
        performers = scope.performers(transition)
        return None if performers is None else len(performers)

    return count


def _opaque(node: Opaque) -> Meaning:
    """Ask free Python; what goes wrong inside it is the declaration's own bug."""

    def holds(scope: Scope) -> bool:
        try:
            return bool(node.python(scope.handle()))
        except (BodyFault, Refusal):
            raise
        except Exception as error:
            raise BodyFault(f"the guard {node.name} raised {type(error).__name__}: {error}") from error

    return holds


def _always(value: Any) -> Meaning:
    return lambda scope: value


_MEANING: Mapping[type, Callable[[Any], Meaning]] = {
    Const: lambda node: _always(node.value),
    FieldOf: _field,
    Argument: _argument,
    ActorSubject: lambda node: _subject,
    Now: lambda node: lambda scope: scope.now,
    Everybody: lambda node: _always(True),
    Authenticated: lambda node: lambda scope: scope.actor.authenticated,
    Internal: lambda node: lambda scope: scope.internal,
    HasRole: _has_role,
    Performed: _performed,
    Votes: _votes,
    InState: _in_state,
    Compare: _compared,
    Arithmetic: _calculated,
    All: _all,
    AnyOf: _any,
    Not: _not,
    Missing: _missing,
    OneOf: _one_of,
    Opaque: _opaque,
}


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
