"""A described expression comes back as what it was, so that old rules can be read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.evidence.expression_text import expression_of, text_of
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
    describe,
    render,
)
from avow.model.values import Money
from examples.enrollment.system import app

WORDS = st.sampled_from(["taken", "seats", "verify", "dean", "draft"])
CONSTANTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.text(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-999, max_value=999),
    st.builds(Money, st.integers(0, 99), st.just("EUR")),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.timedeltas(),
    st.sampled_from(
        ["2026-02-31T00:00:00.000000Z", "2026-02-31", "1 day, 99:00:00", "9999999999999 days, 0:00:00"]
    ),
    st.tuples(st.integers(0, 9), st.text(max_size=2)),
)
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Const, CONSTANTS),
    st.builds(FieldOf, st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
    st.builds(Argument, WORDS, st.lists(WORDS, max_size=2).map(tuple)),
    st.sampled_from([ActorSubject(), Now(), Everybody(), Authenticated(), Internal()]),
    st.builds(HasRole, WORDS),
    st.builds(Performed, WORDS),
    st.builds(
        InState, st.lists(WORDS, min_size=1, max_size=2).map(tuple), st.lists(WORDS, max_size=1).map(tuple)
    ),
    st.builds(Opaque, WORDS, WORDS, st.just(bool)),
)


def _wider(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Compare, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*"]), inner, inner),
        st.builds(All, several),
        st.builds(AnyOf, several),
        st.builds(Not, inner),
        st.builds(Missing, inner),
        st.builds(OneOf, inner, st.lists(CONSTANTS, max_size=3).map(tuple)),
    )


EXPRESSIONS = st.recursive(LEAVES, _wider, max_leaves=12)


@given(EXPRESSIONS)
def test_what_comes_back_has_the_same_description(node: Expression) -> None:
    described = describe(node)
    assert describe(expression_of(described)) == described


@given(EXPRESSIONS, st.sampled_from(["integer", "decimal", "instant", "duration", "date", "text"]))
def test_types_of_fields_change_no_description(node: Expression, kind: str) -> None:
    types = {"taken": {"type": kind}, "seats": {"type": "boolean"}}
    described = describe(node)
    assert describe(expression_of(described, types)) == described


def test_the_rules_of_the_example_read_as_they_are_written() -> None:
    for entity in app.entities.values():
        for transition in entity.transitions.values():
            assert text_of(describe(transition.by)) == render(transition.by)
        for invariant in entity.invariants:
            assert text_of(describe(invariant.condition)) == render(invariant.condition)


@pytest.mark.parametrize(
    ("kind", "constant", "text"),
    [
        ("decimal", Decimal("12.5"), "price <= 12.5"),
        ("instant", datetime(2026, 1, 2, tzinfo=UTC), "price <= 2026-01-02 00:00:00+00:00"),
        ("text", "a", "price <= 'a'"),
    ],
)
def test_a_constant_beside_a_field_reads_in_its_type(kind: str, constant: Any, text: str) -> None:
    described = describe(Compare("<=", FieldOf(("price",)), Const(constant)))
    assert text_of(described, {"price": {"type": kind}}) == text


SINCE, LENGTH, PRICE, DAY = (FieldOf((name,)) for name in ("since", "length", "price", "day"))
TIMES = {
    name: {"type": kind}
    for name, kind in [("since", "instant"), ("length", "duration"), ("price", "decimal"), ("day", "date")]
}


@pytest.mark.parametrize(
    "node",
    [
        Compare("<=", Arithmetic("-", SINCE, Const(timedelta(days=1))), Now()),
        Compare("<=", Arithmetic("-", Now(), SINCE), Const(timedelta(days=400))),
        Compare("<=", Now(), Const(datetime(2026, 1, 31, tzinfo=UTC))),
        Compare("<", LENGTH, Const(timedelta(hours=-1))),
        Compare("<", FieldOf(("room", "length")), Const(timedelta(days=2, microseconds=1))),
        Compare("<", Arithmetic("*", PRICE, Const(Decimal("1.5"))), Const(Decimal("2.5"))),
        Compare("<", DAY, Const(date(2024, 2, 29))),
        Compare("<", Arithmetic("+", DAY, Const(timedelta(days=1))), Const(date(2024, 2, 29))),
    ],
)
def test_times_and_what_is_calculated_with_them_read_as_they_are_written(node: Expression) -> None:
    assert text_of(describe(node), TIMES) == render(node)


@pytest.mark.parametrize("described", ["nobody", {}, {"eval": "x"}, {"all": [], "any": []}, 5, []])
def test_what_no_description_looks_like_is_refused(described: Any) -> None:
    with pytest.raises(ValueError, match="expression"):
        expression_of(described)


def test_a_guard_in_free_python_cannot_be_run_again() -> None:
    node = expression_of({"opaque": ["fits", "ab"]})
    assert render(node) == "opaque fits()"

    assert isinstance(node, Opaque)
    with pytest.raises(ValueError, match="earlier boundary"):
        node.python(None)


def test_no_rule_at_all_has_no_text() -> None:
    assert text_of(None) is None
