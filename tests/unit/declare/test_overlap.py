"""Two conditions overlap when some values make both true, as far as comparisons with constants tell."""

from __future__ import annotations

from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.declare.overlap import ATOMS_MAX, can_both_hold
from avow.model import expression as ast
from avow.model.expression import Expression, evaluate
from tests.unit.declare.plain_row import PlainRow


class Kind(Enum):
    A = "a"
    B = "b"


X, Y, PAID = ast.FieldOf(("x",)), ast.FieldOf(("y",)), ast.FieldOf(("paid",))


def cmp(op: str, value: object, left: Expression = X) -> Expression:
    return ast.Compare(op, left, ast.Const(value))


CASES: list[tuple[Expression | None, Expression | None, bool]] = [
    (None, None, True),
    (None, cmp("<", 5), True),
    (cmp("<", 5), cmp(">=", 5), False),
    (cmp("<=", 5), cmp(">=", 5), True),
    (cmp("<", 5), cmp(">", 3), True),
    (cmp("<", 3), cmp(">", 5), False),
    (cmp("<=", 100), cmp(">", 1000), False),
    (ast.All((cmp(">", 100), cmp("<=", 1000))), cmp("<=", 100), False),
    (ast.All((cmp(">", 100), cmp("<=", 1000))), cmp(">", 1000), False),
    (cmp("==", 5), cmp("==", 6), False),
    (cmp("==", 5), cmp("!=", 5), False),
    (cmp("==", 5), cmp("<", 5), False),
    (cmp("==", 5), cmp("<", 6), True),
    (cmp("==", Kind.A), cmp("==", Kind.B), False),
    (ast.OneOf(X, (1, 2)), ast.OneOf(X, (3,)), False),
    (ast.OneOf(X, (1, 2)), ast.OneOf(X, (2, 3)), True),
    (ast.Missing(X), cmp(">", 3), False),
    (ast.Missing(X), ast.Not(cmp(">", 3)), False),
    (ast.Missing(X), ast.Not(ast.Missing(X)), False),
    (PAID, ast.Not(PAID), False),
    (cmp("==", True, PAID), cmp("==", False, PAID), False),
    (PAID, cmp("!=", True, PAID), False),
    (ast.InState(("a",), ("r",)), ast.InState(("b",), ("r",)), False),
    (ast.InState(("a", "c"), ("r",)), ast.InState(("b", "c"), ("r",)), True),
    (ast.Compare("<", X, Y), ast.Compare(">=", X, Y), False),
    (ast.Compare("<", X, Y), ast.Compare(">", Y, X), True),
    (ast.Compare("<", X, Y), ast.Compare("<", Y, X), False),
    (ast.Compare("==", X, Y), ast.Compare("<", X, Y), False),
    (ast.HasRole("a"), ast.HasRole("b"), True),
    (ast.HasRole("a"), ast.Not(ast.HasRole("a")), False),
]


@pytest.mark.parametrize(("one", "other", "expected"), CASES)
def test_overlap(one: Expression | None, other: Expression | None, expected: bool) -> None:
    assert can_both_hold(one, other) is expected
    assert can_both_hold(other, one) is expected


def test_too_many_comparisons_count_as_overlapping() -> None:
    many = ast.All(tuple(cmp("==", number, ast.FieldOf((f"f{number}",))) for number in range(ATOMS_MAX + 1)))
    assert can_both_hold(many, ast.Not(many)) is True


atoms = st.builds(
    cmp, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.integers(0, 3), st.sampled_from([X, Y])
)
conditions = st.recursive(
    atoms | st.sampled_from([ast.Missing(X), ast.OneOf(Y, (0, 2)), ast.Compare("<", X, Y)]),
    lambda c: (
        st.lists(c, min_size=1, max_size=2).map(lambda p: ast.All(tuple(p)))
        | st.lists(c, min_size=1, max_size=2).map(lambda p: ast.AnyOf(tuple(p)))
        | c.map(ast.Not)
    ),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(conditions, conditions)
def test_two_that_can_both_fire_are_never_passed(one: Expression, other: Expression) -> None:
    values = [None, -1, 0, 0.5, 1, 1.5, 2, 2.5, 3, 4]
    rows = (PlainRow({("x",): x, ("y",): y}) for x in values for y in values)
    if any(evaluate(one, row) is True and evaluate(other, row) is True for row in rows):
        assert can_both_hold(one, other) is True
