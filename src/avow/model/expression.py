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
from typing import Any, Protocol

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
)  # fmt: skip
from avow.model.notation import describe, describe_value, render
from avow.model.values import EXACT, Money

__all__ = [
    "ActorSubject", "All", "AnyOf", "Argument", "Arithmetic", "Authenticated", "Compare", "Const",
    "Everybody", "Expression", "FieldOf", "HasRole", "InState", "Internal", "Missing", "Not", "Now",
    "OneOf", "Opaque", "Path", "Performed", "Scope", "describe", "describe_value", "evaluate", "opaque",
    "paths", "render", "walk",
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


def evaluate(node: Expression, scope: Scope) -> Any:
    """The value of an expression: a field's value, or true, false or None (unknown) for a condition."""
    return _EVALUATE[type(node)](node, scope)


def _compared(node: Compare, scope: Scope) -> bool | None:
    left, right = node.left, node.right
    one, other = _EVALUATE[type(left)](left, scope), _EVALUATE[type(right)](right, scope)
    return None if one is None or other is None else _compare(node.operator, one, other)


def _calculated(node: Arithmetic, scope: Scope) -> Any:
    one, other = evaluate(node.left, scope), evaluate(node.right, scope)
    return None if one is None or other is None else _calculate(node.operator, one, other)


def _all(node: All, scope: Scope) -> bool | None:
    unknown = False
    for part in node.parts:
        held = _EVALUATE[type(part)](part, scope)
        if held is False:
            return False
        unknown = unknown or held is None
    return None if unknown else True


def _any(node: AnyOf, scope: Scope) -> bool | None:
    unknown = False
    for part in node.parts:
        held = _EVALUATE[type(part)](part, scope)
        if held is True:
            return True
        unknown = unknown or held is None
    return None if unknown else False


def _not(node: Not, scope: Scope) -> bool | None:
    held = evaluate(node.part, scope)
    return None if held is None else not held


def _one_of(node: OneOf, scope: Scope) -> bool | None:
    held = evaluate(node.part, scope)
    return None if held is None else held in node.options


def _in_state(node: InState, scope: Scope) -> bool | None:
    state = scope.state(node.path)
    return None if state is None else state in node.states


def _performed(node: Performed, scope: Scope) -> bool | None:
    performers = scope.performers(node.transition)
    if performers is None or not scope.actor.authenticated:
        return None
    return scope.actor.subject in performers


def _ask(node: Opaque, scope: Scope) -> bool:
    """Ask free Python; what goes wrong inside it is the declaration's own bug."""
    try:
        return bool(node.python(scope.handle()))
    except (BodyFault, Refusal):
        raise
    except Exception as error:
        raise BodyFault(f"the guard {node.name} raised {type(error).__name__}: {error}") from error


_EVALUATE: Mapping[type, Callable[[Any, Scope], Any]] = {
    Const: lambda node, scope: node.value,
    FieldOf: lambda node, scope: scope.value(node.path),
    Argument: lambda node, scope: scope.argument(node.name),
    ActorSubject: lambda node, scope: scope.actor.subject if scope.actor.authenticated else None,
    Now: lambda node, scope: scope.now,
    Everybody: lambda node, scope: True,
    Authenticated: lambda node, scope: scope.actor.authenticated,
    Internal: lambda node, scope: scope.internal,
    HasRole: lambda node, scope: node.role in scope.actor.roles,
    Performed: _performed,
    InState: _in_state,
    Compare: _compared,
    Arithmetic: _calculated,
    All: _all,
    AnyOf: _any,
    Not: _not,
    Missing: lambda node, scope: evaluate(node.part, scope) is None,
    OneOf: _one_of,
    Opaque: _ask,
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
