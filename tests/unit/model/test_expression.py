"""Expressions mean what PostgreSQL means by them: three-valued, exact, and readable as they were typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow import canonical
from avow.model import expression as ast
from avow.model.actor import Actor, anonymous
from avow.model.draft import BodyFault
from avow.model.expression import Expression, describe, evaluate, meaning, opaque, paths, render, walk
from avow.model.values import Money, Subject

ANA = Actor(Subject("ana"), "t", frozenset({"dean"}))


@dataclass
class Row:
    """A scope over plain dictionaries."""

    values: dict[ast.Path, Any] = field(default_factory=dict[ast.Path, Any])
    actor: Actor = ANA
    now: datetime = datetime(2026, 11, 21, tzinfo=UTC)
    internal: bool = False

    def value(self, path: ast.Path) -> Any:
        return self.values.get(path)

    def state(self, path: ast.Path) -> str | None:
        return "open" if not path else None

    def performers(self, transition: str) -> tuple[str, ...] | None:
        return ("ana",) if transition == "verify" else ()

    def argument(self, name: str) -> Any:
        return self.values.get(("given", name))

    def handle(self) -> Any:
        return self


FIELDS = ["a", "b", "c"]
leaves = st.sampled_from(FIELDS).map(lambda name: ast.FieldOf((name,))) | st.integers(-2, 2).map(ast.Const)
terms = st.recursive(leaves, lambda t: st.builds(ast.Arithmetic, st.sampled_from("+-*"), t, t), max_leaves=4)
fields = st.sampled_from(FIELDS).map(lambda name: ast.FieldOf((name,)))
symbolic = fields | st.builds(ast.Arithmetic, st.sampled_from("+-*"), fields, terms)
comparisons = st.builds(ast.Compare, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), symbolic, terms)
atoms = (
    comparisons
    | terms.map(ast.Missing)
    | st.builds(ast.OneOf, terms, st.lists(st.integers(-2, 2), max_size=3).map(tuple))
    | st.sampled_from([ast.Everybody(), ast.Internal(), ast.HasRole("dean"), ast.Performed("verify")])
    | st.sampled_from([ast.InState(("open",)), ast.InState(("open",), ("a",))])
)
conditions = st.recursive(
    atoms,
    lambda c: (
        st.lists(c, max_size=3).map(lambda p: ast.All(tuple(p)))
        | st.lists(c, max_size=3).map(lambda p: ast.AnyOf(tuple(p)))
        | c.map(ast.Not)
    ),
    max_leaves=8,
)
rows = st.fixed_dictionaries({(name,): st.none() | st.integers(-3, 3) for name in FIELDS})

TRUE, FALSE, UNKNOWN = 2, 0, 1


def truth(node: Expression, row: Row) -> int:
    """The same meaning written another way: truth as 2, 1, 0, where & is min, | is max and ~ is 2 minus."""
    match node:
        case ast.All(parts):
            return min((truth(p, row) for p in parts), default=TRUE)
        case ast.AnyOf(parts):
            return max((truth(p, row) for p in parts), default=FALSE)
        case ast.Not(part):
            return 2 - truth(part, row)
        case ast.Missing(part):
            return TRUE if number(part, row) is None else FALSE
        case ast.OneOf(part, options):
            value = number(part, row)
            return UNKNOWN if value is None else TRUE if any(value == o for o in options) else FALSE
        case ast.Compare(op, left, right):
            one, other = number(left, row), number(right, row)
            if one is None or other is None:
                return UNKNOWN
            sign = (one > other) - (one < other)
            held = {"==": [0], "!=": [-1, 1], "<": [-1], "<=": [-1, 0], ">": [1], ">=": [0, 1]}[op]
            return TRUE if sign in held else FALSE
        case ast.InState(_, path):
            return UNKNOWN if path else TRUE
        case ast.Internal():
            return FALSE
        case _:
            return TRUE


def number(node: Expression, row: Row) -> int | None:
    match node:
        case ast.Arithmetic(op, left, right):
            one, other = number(left, row), number(right, row)
            if one is None or other is None:
                return None
            return {"+": one + other, "-": one - other, "*": one * other}[op]
        case ast.FieldOf(path):
            return row.values[path]
        case ast.Const(value):
            return value
        case _:
            raise AssertionError(node)


@settings(max_examples=200, deadline=None)
@given(conditions, st.lists(rows, min_size=1, max_size=4))
def test_evaluation_agrees_with_a_second_evaluator(condition: Expression, several: list[Any]) -> None:
    """Also where the meaning is kept, and asked about row after row."""
    kept = meaning(condition)
    for row in map(Row, several):
        expected = {TRUE: True, FALSE: False, UNKNOWN: None}[truth(condition, row)]
        assert kept(row) is expected
        assert evaluate(condition, row) is expected


@settings(max_examples=60, deadline=None)
@given(conditions)
def test_an_expression_renders_as_python_that_means_the_same(condition: Expression) -> None:
    names = {name: Symbol(ast.FieldOf((name,))) for name in FIELDS}
    words: dict[str, Any] = {
        **names,
        "open": "open",
        "everybody": Symbol(ast.Everybody()),
        "internal": Symbol(ast.Internal()),
        "dean": Symbol(ast.HasRole("dean")),
        "verify": "verify",
        "performed": lambda step: Symbol(ast.Performed(step)),
        "missing": lambda part: Symbol(ast.Missing(node(part))),
        "one_of": lambda part, *options: Symbol(ast.OneOf(node(part), options)),
        "in_state": lambda *s, of=None: Symbol(ast.InState(s, () if of is None else of.node.path)),
    }
    text = render(condition)
    if text and all(p for n in walk(condition) if isinstance(n, ast.All | ast.AnyOf) for p in [n.parts]):
        read = node(eval(text, {"__builtins__": {}}, words))  # noqa: S307
        for values in ({("a",): 1, ("b",): 0, ("c",): None}, {("a",): 2, ("b",): 2, ("c",): -1}):
            assert evaluate(read, Row(values)) is evaluate(condition, Row(values)), text


class Symbol:
    """Builds nodes with Python's own operators and precedence."""

    def __init__(self, node_: Expression) -> None:
        self.node = node_

    def __and__(self, other: Any) -> Symbol:
        return Symbol(ast.All((self.node, node(other))))

    def __or__(self, other: Any) -> Symbol:
        return Symbol(ast.AnyOf((self.node, node(other))))

    def __invert__(self) -> Symbol:
        return Symbol(ast.Not(self.node))

    def __bool__(self) -> bool:
        raise AssertionError("a chained comparison")


def node(value: Any) -> Expression:
    return value.node if isinstance(value, Symbol) else ast.Const(value)


def _operators() -> None:
    for name, op in {"add": "+", "sub": "-", "mul": "*"}.items():
        setattr(Symbol, f"__{name}__", lambda s, o, op=op: Symbol(ast.Arithmetic(op, s.node, node(o))))
        setattr(Symbol, f"__r{name}__", lambda s, o, op=op: Symbol(ast.Arithmetic(op, node(o), s.node)))
    for name, op in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
        setattr(Symbol, f"__{name}__", lambda s, o, op=op: Symbol(ast.Compare(op, s.node, node(o))))


_operators()


@settings(max_examples=60, deadline=None)
@given(conditions, conditions)
def test_descriptions_are_canonical_and_tell_expressions_apart(one: Expression, other: Expression) -> None:
    same = canonical.encode(describe(one)) == canonical.encode(describe(other))
    assert same is (one == other)


def test_arithmetic_is_exact_whatever_context_the_process_has_set() -> None:
    total = ast.Arithmetic("*", ast.FieldOf(("a",)), ast.FieldOf(("b",)))
    wide = Decimal("12345678901234567890.123456")
    with localcontext() as context:
        context.prec = 4
        assert evaluate(total, Row({("a",): wide, ("b",): 3})) == Decimal("37037036703703703670.370368")
        price, doubled = Money(wide, "EUR"), Decimal("24691357802469135780.246912")
        assert evaluate(total, Row({("a",): price, ("b",): 2})) == Money(doubled, "EUR")
        assert evaluate(total, Row({("a",): 2, ("b",): price})).currency == "EUR"


def test_times_past_the_calendar_are_compared_and_never_fail() -> None:
    late, long = datetime(9999, 12, 30, tzinfo=UTC), timedelta(days=3_650_000)
    a, b, c = (ast.FieldOf((name,)) for name in FIELDS)
    row = Row({("a",): late, ("b",): long, ("c",): datetime(1, 1, 2, tzinfo=UTC)})
    later = ast.Arithmetic("+", a, b)
    assert evaluate(ast.Compare(">", later, a), row) is True
    assert evaluate(ast.Compare("<=", later, ast.Now()), row) is False
    assert evaluate(ast.Compare("==", ast.Arithmetic("-", later, b), a), row) is True
    assert evaluate(ast.Arithmetic("-", later, a), row) == long
    assert evaluate(ast.Compare("<", ast.Arithmetic("-", c, b), c), row) is True
    assert evaluate(ast.Compare("<", later, ast.Arithmetic("+", later, b)), row) is True


def test_an_anonymous_actor_has_no_subject_and_has_performed_nothing_for_sure() -> None:
    row = Row({("a",): Subject("anonymous")}, actor=anonymous("t"))
    assert evaluate(ast.Compare("==", ast.ActorSubject(), ast.FieldOf(("a",))), row) is None
    assert evaluate(ast.Not(ast.Performed("verify")), row) is None
    assert evaluate(ast.Authenticated(), row) is False
    assert evaluate(ast.Everybody(), row) is True


def test_what_goes_wrong_in_free_python_is_a_fault_of_the_declaration() -> None:
    def odd(_: Any) -> bool:
        return 1 // 0 == 0

    with pytest.raises(BodyFault, match="odd raised ZeroDivisionError"):
        evaluate(ast.Opaque("odd", "", odd), Row())
    assert evaluate(ast.Opaque("fine", "", lambda handle: "yes"), Row()) is True
    assert opaque(ast.All((ast.Not(ast.Opaque("f", "", odd)),))) is True


class Colour(Enum):
    RED = "red"


def test_rendering_reads_like_the_declaration() -> None:
    owner = ast.Compare("==", ast.ActorSubject(), ast.FieldOf(("applicant",)))
    dean = ast.HasRole("dean")
    assert render(ast.AnyOf((owner, dean))) == "(actor == applicant) | dean"
    assert render(ast.All((dean, ast.Not(ast.Performed("verify"))))) == "dean & ~performed(verify)"
    assert render(ast.All((dean, ast.AnyOf((owner, dean))))) == "dean & ((actor == applicant) | dean)"
    assert render(ast.Not(owner)) == "~(actor == applicant)"
    assert render(ast.InState(("open", "held"), ("course",))) == "in_state(open, held, of=course)"
    assert render(ast.Compare("==", ast.FieldOf(("c",)), ast.Const(Colour.RED))) == "c == Colour.RED"
    assert render(ast.Compare("<", ast.Argument("n"), ast.Const("x"))) == "given.n < 'x'"


def test_paths_hold_every_field_that_is_read() -> None:
    condition = ast.All(
        (
            ast.Compare("<", ast.FieldOf(("a",)), ast.FieldOf(("course", "seats"))),
            ast.InState(("x",), ("room",)),
        )
    )
    assert paths(condition) == {("a",), ("course", "seats"), ("room",)}
