"""Names in a class body as expressions: `taken <= seats`, `actor == applicant`, `dean & ~performed(verify)`.

To a type checker these are ordinary values and booleans; when the class body runs they are data.
`and`, `or`, `not`, `in`, `if` and chained comparisons ask Python for a truth value, which an
expression doesn't have: that is remembered as a mistake and reported with all others.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar, cast

from avow.declare.body import source_hash
from avow.declare.place import in_class_body, misuse
from avow.declare.rewriting import parts_of
from avow.model import expression as ast
from avow.model.article import with_article
from avow.model.calendar import CalendarDays, Exact, WorkingDays
from avow.model.values import Subject

Given = TypeVar("Given")

_MEND = "Write & for and, | for or, ~ or not_() for not, one_of() for in, and each comparison on its own."


_LIMIT = "Bound it where it is declared: field(max_length=...) or field(max_items=...)."
_TEXT = "Write the text out; a field's value isn't known yet."
_ARITHMETIC = (
    "Use +, - and *, which PostgreSQL calculates alike; compute the rest in the body of a transition."
)
_EXACT = "Write it in after= or every=; days(n) is an exact length of time."
UNKNOWN = ast.FieldOf(("?",))
"""Stands for what can't be recorded; it has been reported where it was written."""


class Symbolic:
    """An expression under construction."""

    __slots__ = ("avow_tree",)

    def __init__(self, node: ast.Expression) -> None:
        self.avow_tree = node

    @property
    def avow_node(self) -> ast.Expression:
        """What was built so far. Prefixed, since `course.node` has to mean a field of the course."""
        return self.avow_tree

    def __bool__(self) -> bool:
        shown = ast.render(self.avow_node)
        misuse("truth-value", f"`{shown}` was asked for a truth value while it is only being declared", _MEND)
        return True

    def __contains__(self, item: object) -> bool:
        misuse("truth-value", "`in` can't be used in a declaration", _MEND)
        return True

    def __iter__(self) -> Iterator[Any]:
        misuse("truth-value", f"`{ast.render(self.avow_node)}` can't be gone through", _MEND)
        return iter(())

    def __len__(self) -> int:
        misuse("truth-value", f"`len({ast.render(self.avow_node)})` can't be declared", _LIMIT)
        return 1

    def __str__(self) -> str:
        return self.__format__("")

    def __format__(self, _: str) -> str:
        shown = ast.render(self.avow_node)
        if in_class_body():
            misuse("text-of-expression", f"`{shown}` has no text while it is only being declared", _TEXT)
        return shown

    def __hash__(self) -> int:
        return id(self)


class Policy(Symbolic):
    """A condition: who may, or what must hold. Combine with `&`, `|` and `~`."""

    __slots__ = ()

    def __and__(self, other: Policy | bool) -> Policy:
        return Policy(ast.All((*parts_of(ast.All, self.avow_node), *parts_of(ast.All, node_of(other)))))

    def __rand__(self, other: Policy | bool) -> Policy:
        return Policy(ast.All((*parts_of(ast.All, node_of(other)), *parts_of(ast.All, self.avow_node))))

    def __or__(self, other: Policy | bool) -> Policy:
        return Policy(ast.AnyOf((*parts_of(ast.AnyOf, self.avow_node), *parts_of(ast.AnyOf, node_of(other)))))

    def __ror__(self, other: Policy | bool) -> Policy:
        return Policy(ast.AnyOf((*parts_of(ast.AnyOf, node_of(other)), *parts_of(ast.AnyOf, self.avow_node))))

    def __invert__(self) -> Policy:
        return Policy(ast.Not(self.avow_node))


Condition: TypeAlias = "Policy | bool"
"""What `by=`, `when=` and `invariant()` take: comparisons are `bool` to a type checker."""


class Term(Symbolic):
    """A value: comparing makes a condition, calculating makes another value."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return _condition(ast.Compare("==", self.avow_node, node_of(other)))

    def __ne__(self, other: object) -> bool:
        return _condition(ast.Compare("!=", self.avow_node, node_of(other)))

    __hash__ = Symbolic.__hash__

    def __lt__(self, other: object) -> bool:
        return _condition(ast.Compare("<", self.avow_node, node_of(other)))

    def __le__(self, other: object) -> bool:
        return _condition(ast.Compare("<=", self.avow_node, node_of(other)))

    def __gt__(self, other: object) -> bool:
        return _condition(ast.Compare(">", self.avow_node, node_of(other)))

    def __ge__(self, other: object) -> bool:
        return _condition(ast.Compare(">=", self.avow_node, node_of(other)))

    def __add__(self, other: object) -> Term:
        return Formula(ast.Arithmetic("+", self.avow_node, node_of(other)))

    def __radd__(self, other: object) -> Term:
        return Formula(ast.Arithmetic("+", node_of(other), self.avow_node))

    def __sub__(self, other: object) -> Term:
        return Formula(ast.Arithmetic("-", self.avow_node, node_of(other)))

    def __rsub__(self, other: object) -> Term:
        return Formula(ast.Arithmetic("-", node_of(other), self.avow_node))

    def __mul__(self, other: object) -> Term:
        return Formula(ast.Arithmetic("*", self.avow_node, node_of(other)))

    def __rmul__(self, other: object) -> Term:
        return Formula(ast.Arithmetic("*", node_of(other), self.avow_node))

    def _unsupported(self, other: object = None) -> Term:
        shown = ast.render(self.avow_node)
        misuse("arithmetic-unsupported", f"`{shown}` can't be calculated with in this way", _ARITHMETIC)
        return Formula(UNKNOWN)

    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _unsupported
    __pow__ = __rpow__ = __neg__ = __abs__ = __round__ = __getitem__ = _unsupported

    # A boolean field is a condition by itself: `paid & (amount > 0)`.
    def __and__(self, other: Any) -> Any:
        return Policy(self.avow_node) & other

    def __or__(self, other: Any) -> Any:
        return Policy(self.avow_node) | other

    def __rand__(self, other: Any) -> Any:
        return other & Policy(self.avow_node)

    def __ror__(self, other: Any) -> Any:
        return other | Policy(self.avow_node)

    def __invert__(self) -> Any:
        return Policy(ast.Not(self.avow_node))

    def __getattr__(self, name: str) -> Any:
        node = self.avow_node
        if name.startswith(("_", "avow_")) or not isinstance(node, ast.FieldOf | ast.Argument):
            raise AttributeError(name)
        if isinstance(node, ast.Argument):
            return Formula(ast.Argument(node.name, (*node.path, name)))
        return Formula(ast.FieldOf((*node.path, name)))


class Formula(Term):
    """Any value that isn't a field under its own name.

    A sibling of the field's class, not its parent: else Python would ask the field first and turn
    `actor == applicant` round.
    """

    __slots__ = ()
    __hash__ = Symbolic.__hash__


class _Given:
    """The arguments of the command under declaration: `given.amount <= balance`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Formula(ast.Argument(name))


actor: Subject = cast(Subject, Formula(ast.ActorSubject()))
"""The subject of whoever sends the command."""

now: datetime = cast(datetime, Formula(ast.Now()))
"""The time of the decision, from the database's clock."""

given: Any = _Given()
"""The arguments of the command: `when=given.amount <= balance`."""

_ROLE = re.compile("[!-~]{1,100}", re.ASCII)

everybody = Policy(ast.Everybody())
"""Every actor, also one without credentials."""

authenticated = Policy(ast.Authenticated())
"""Every actor with a valid credential."""

internal = Policy(ast.Internal())
"""Only another transition, inside the same command."""


def role(name: str) -> Policy:
    """Actors whose credential carries the role `name`: 1 to 100 visible ASCII characters."""
    if not isinstance(name, str) or not _ROLE.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        misuse("role-invalid", f"{name!r} can't name a role", "Use 1 to 100 visible ASCII characters.")
    return Policy(ast.HasRole(str(name)))


def not_(condition: Condition) -> Policy:
    """The opposite; for a comparison, where `~` would be a number to a type checker."""
    return Policy(ast.Not(node_of(condition)))


def missing(value: Any) -> Policy:
    """True while an optional field has no value."""
    return Policy(ast.Missing(node_of(value)))


def value(of: Given | None) -> Given:
    """What may be missing, as conditions see it: `value(due) < now`, `value(tour).driver`.

    It is the same; a comparison with a missing value is neither true nor false. For type checkers, which
    would demand that somebody asks first.
    """
    return cast(Given, of)


def one_of(value: Any, *options: Any) -> Policy:
    """True when the value equals one of the constants."""
    if not options:
        mend = 'Name the constants: one_of(kind, "small", "large").'
        misuse("condition-constant", "`one_of()` without a constant is never true", mend)
    return Policy(ast.OneOf(node_of(value), tuple(map(_constant, options))))


def opaque(guard: Callable[[Any], bool]) -> Policy:
    """A guard in free Python, called with the record's handle; it is marked opaque everywhere.

    It must be pure: no input or output, no clock, no chance. It can't stand in a policy or an invariant.
    """
    if not inspect.isroutine(guard):
        detail = f"opaque() takes a function, not {with_article(type(guard).__name__)}"
        misuse("condition-unreadable", detail, "Write opaque(lambda record: ...), or opaque(FUNCTION).")
        return everybody
    return Policy(ast.Opaque(guard.__qualname__, source_hash(guard), guard))


def node_of(value: object) -> ast.Expression:
    """The expression behind a name in a class body; anything else is a constant."""
    return value.avow_node if isinstance(value, Symbolic) else ast.Const(_constant(value))


def _constant(value: object) -> object:
    """A constant as it is kept: an exact delay is a plain length of time, and one by a calendar is none."""
    if isinstance(value, CalendarDays | WorkingDays):
        misuse("delay-by-calendar", f"`{value}` can't be calculated or compared with", _EXACT)
        return timedelta(days=1)
    return value.length if isinstance(value, Exact) else value


def _condition(node: ast.Expression) -> bool:
    return cast(bool, Policy(node))


def several(value: Any) -> tuple[Any, ...]:
    """One word, or a list of them, as a tuple."""
    return tuple(cast("Iterable[Any]", value)) if isinstance(value, list | tuple | set) else (value,)
