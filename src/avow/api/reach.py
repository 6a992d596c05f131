"""Whom a policy can ever let through, judged from its text alone.

It must never be used to permit anything: the kernel decides. It says which routes exist and what
their documentation promises. Where it can't tell, it says that the policy may go either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from avow.model.expression import (
    ActorSubject,
    All,
    AnyOf,
    Authenticated,
    Const,
    Everybody,
    Expression,
    HasRole,
    Internal,
    Missing,
    Not,
    Performed,
    walk,
)

Chances: TypeAlias = tuple[bool, bool]
"""Whether a condition can be true, and whether it can be false; neither: it has no value."""

_EITHER: Chances = (True, True)
_TRUE: Chances = (True, False)
_FALSE: Chances = (False, True)
_NEITHER: Chances = (False, False)


def possible(policy: Expression) -> bool:
    """Whether somebody outside might be permitted, on some record."""
    return _chances(policy, _outside)[0]


def possible_for_anonymous(policy: Expression) -> bool:
    """Whether a request without credentials might be permitted, on some record."""
    return _chances(policy, _anonymous)[0]


def certain_for_authenticated(policy: Expression) -> bool:
    """Whether everybody with a valid credential is permitted, on every record."""
    return _chances(policy, _authenticated) == _TRUE


def _chances(node: Expression, of_clause: Callable[[Expression], Chances]) -> Chances:
    match node:
        case Const(value):
            return _TRUE if value is True else _FALSE
        case All(parts):
            each = [_chances(part, of_clause) for part in parts]
            return all(true for true, _ in each), any(false for _, false in each)
        case AnyOf(parts):
            each = [_chances(part, of_clause) for part in parts]
            return any(true for true, _ in each), all(false for _, false in each)
        case Not(part):
            true, false = _chances(part, of_clause)
            return false, true
        case Internal():
            return _FALSE
        case Everybody():
            return _TRUE
        case _:
            return of_clause(node)


def _outside(_: Expression) -> Chances:
    return _EITHER


def _authenticated(clause: Expression) -> Chances:
    return _TRUE if isinstance(clause, Authenticated) else _EITHER


def _anonymous(clause: Expression) -> Chances:
    match clause:
        case HasRole() | Authenticated() | Performed():
            return _FALSE
        case Missing(ActorSubject()):
            return _TRUE
        case _:
            # A comparison with the subject of nobody has no value (three-valued logic).
            return _NEITHER if any(isinstance(part, ActorSubject) for part in walk(clause)) else _EITHER
