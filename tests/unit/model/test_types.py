"""Every type writes what it reads, keeps one normal form, and refuses whatever it would have to bend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow import canonical
from avow.model import types as kinds
from avow.model.types import Member, Misfit, ValueType
from avow.model.values import Money, Subject, currency_scale, plain


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Mixed(str, Enum):  # noqa: UP042
    A = "a"


@dataclass(frozen=True)
class Span:
    first: date
    last: date | None = None
    note: str = "none"

    def __post_init__(self) -> None:
        if self.last is not None and self.last < self.first:
            raise ValueError("ends before it starts")


SPAN = kinds.ObjectOf(
    "Span",
    (
        Member("first", kinds.DateType()),
        Member("last", kinds.DateType(), True, True),
        Member("note", kinds.Text(), False, True),
    ),
    Span,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50)
decimals = st.decimals(min_value=-(10**11), max_value=10**11, places=6, allow_nan=False)
instants = st.datetimes(
    datetime(1, 1, 4),  # noqa: DTZ001
    datetime(9999, 12, 28),  # noqa: DTZ001
    timezones=st.just(UTC) | st.timezones(),
)
spans = st.dates().map(lambda day: Span(day)) | st.dates().map(lambda day: Span(day, date.max, "x"))

PAIRS: list[tuple[ValueType, st.SearchStrategy[Any]]] = [
    (kinds.Text(), texts),
    (kinds.SubjectType(), texts.filter(bool).map(Subject)),
    (kinds.Integer(), st.integers(-canonical.INTEGER_MAX, canonical.INTEGER_MAX)),
    (kinds.Boolean(), st.booleans()),
    (kinds.DecimalType(), decimals),
    (
        kinds.DecimalType(38, 38),
        st.decimals(min_value=-1, max_value=1, places=37).filter(lambda d: abs(d) < 1),
    ),
    (kinds.DecimalType(38, 0), st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)),
    (
        kinds.MoneyType("EUR", 2),
        st.decimals(min_value=-1000, max_value=1000, places=2).map(lambda d: Money(d, "EUR")),
    ),
    (kinds.DateType(), st.dates()),
    (kinds.DateTimeType(), instants),
    (kinds.DurationType(), st.timedeltas(timedelta(days=-3_650_000), timedelta(days=3_650_000))),
    (kinds.UuidType(), st.uuids()),
    (kinds.Reference("Course"), st.uuids()),
    (kinds.EnumType("Colour", ("red", "green"), Colour), st.sampled_from(Colour)),
    (kinds.ListOf(kinds.Text()), st.lists(texts, max_size=5).map(tuple)),
    (kinds.ListOf(SPAN), st.lists(spans, max_size=3).map(tuple)),
    (SPAN, spans),
]


@pytest.mark.parametrize(("kind", "values"), PAIRS, ids=lambda held: type(held).__name__)
def test_what_is_written_is_read_back_equal_and_is_canonical(kind: ValueType, values: Any) -> None:
    @settings(max_examples=40, deadline=None)
    @given(values)
    def holds(value: Any) -> None:
        fitted = kind.fit(value, "")
        written = kind.dump(fitted)
        # Python calls no instant equal to one in an hour that a clock change repeats or leaves out.
        given_value = value.astimezone(UTC) if isinstance(value, datetime) else value
        assert kind.parse(written, "") == fitted == given_value
        assert kind.dump(kind.parse(written, "")) == written
        assert canonical.decode(canonical.encode({"v": written})) == {"v": written}
        assert kind.fit(fitted, "") == fitted
        canonical.encode(kind.describe())

    holds()


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text("+-.:0123456789eE PTDHMSZ"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(json)
def test_reading_whatever_json_there_is_fits_or_is_told_and_never_fails(raw: Any) -> None:
    for kind, _ in PAIRS:
        try:
            value = kind.parse(raw, "#/x")
        except Misfit as misfit:
            told = [flaw.pointer.startswith("#/x") for flaw in misfit.flaws]
        else:
            told = [kind.parse(kind.dump(value), "") == value]
        assert all(told)


REFUSED: list[tuple[ValueType, Any, str]] = [
    (kinds.Integer(), True, "not-an-integer"),
    (kinds.Integer(), 1.0, "not-an-integer"),
    (kinds.Integer(), "1", "not-an-integer"),
    (kinds.Integer(), 2**53, "out-of-range"),
    (kinds.Integer(ge=1), 0, "too-small"),
    (kinds.Boolean(), 1, "not-a-boolean"),
    (kinds.Text(3), "four", "too-long"),
    (kinds.Text(3), "x" * 10_000_000, "too-long"),
    (kinds.Text(), "a\x00", "character-refused"),
    (kinds.Text(), "\ud800", "character-refused"),
    (kinds.Text(pattern="[a-z]+"), "abc\n", "pattern-mismatch"),
    (kinds.SubjectType(), "", "too-short"),
    (kinds.DecimalType(), 1, "not-a-decimal"),
    (kinds.DecimalType(), "1e3", "not-a-decimal"),
    (kinds.DecimalType(), "01", "not-a-decimal"),
    (kinds.DecimalType(), "\u0661", "not-a-decimal"),
    (kinds.DecimalType(), "NaN", "not-a-decimal"),
    (kinds.DecimalType(4, 2), "1.234", "scale-exceeded"),
    (kinds.DecimalType(4, 2), "100", "too-large"),
    (kinds.DecimalType(4, 2), "9" * 30, "too-large"),
    (kinds.MoneyType("EUR", 2), {"amount": "1"}, "not-money"),
    (kinds.MoneyType("EUR", 2), {"amount": "1", "currency": "USD"}, "currency-mismatch"),
    (kinds.MoneyType("EUR", 2), {"amount": "1.001", "currency": "EUR"}, "scale-exceeded"),
    (kinds.DateType(), "2026-02-30", "not-a-date"),
    (kinds.DateTimeType(), "2026-11-21T09:30:00", "not-an-instant"),
    (kinds.DateTimeType(), "2026-11-21T09:30:00+05:75", "not-an-instant"),
    (kinds.DateTimeType(), "2026-11-21T23:59:60Z", "not-an-instant"),
    (kinds.DateTimeType(), "0001-01-01T00:00:00+14:00", "out-of-range"),
    (kinds.DurationType(), "P", "not-a-duration"),
    (kinds.DurationType(), "P1DT", "not-a-duration"),
    (kinds.DurationType(), "P9999999D", "out-of-range"),
    (kinds.UuidType(), "00000000-0000-0000-0000-00000000000A", "not-a-uuid"),
    (kinds.EnumType("Colour", ("red", "green"), Colour), "RED", "not-an-option"),
    (kinds.ListOf(kinds.Text(), 1), ["a", "b"], "too-many"),
    (kinds.ListOf(kinds.Text()), "ab", "not-a-list"),
    (SPAN, {"first": "2026-01-02", "last": "2026-01-01"}, "object-refused"),
    (SPAN, {"first": "2026-01-02", "other": 1}, "unknown"),
    (SPAN, {}, "missing"),
    (SPAN, [], "not-an-object"),
]


@pytest.mark.parametrize(("kind", "raw", "code"), REFUSED)
def test_nothing_is_coerced(kind: ValueType, raw: Any, code: str) -> None:
    with pytest.raises(Misfit) as caught:
        kind.parse(raw, "#/x")
    assert caught.value.flaws[0].code == code


def test_every_flaw_of_a_list_is_told_with_its_place() -> None:
    with pytest.raises(Misfit) as caught:
        kinds.ListOf(SPAN).parse([{}, {"first": "x"}, {"first": "2026-01-01", "a/b": 1}], "#/spans")
    assert [flaw.pointer for flaw in caught.value.flaws] == [
        "#/spans/0/first",
        "#/spans/1/first",
        "#/spans/2/a~1b",
    ]


def test_numbers_and_times_have_one_normal_form() -> None:
    decimal = kinds.DecimalType(6, 2)
    assert decimal.dump(decimal.parse("-0.00", "")) == "0.00"
    assert decimal.dump(decimal.fit(Decimal("-0"), "")) == "0.00"
    assert decimal.dump(decimal.fit(Decimal("1E+1"), "")) == decimal.dump(decimal.parse("10", "")) == "10.00"
    assert decimal.fit(5, "") == Decimal("5.00")
    money = kinds.MoneyType("EUR", 2)
    assert money.fit(Money(Decimal("-0"), "EUR"), "").amount.is_signed() is False
    assert Money(Decimal("1.0"), "EUR") == Money(Decimal("1.00"), "EUR") == Money(1, "EUR")  # type: ignore[arg-type]
    east = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    instant = kinds.DateTimeType()
    assert instant.dump(instant.fit(east, "")) == "2026-01-01T00:00:00.000000Z"
    assert instant.fit(east, "").tzinfo is UTC
    assert instant.parse("2026-01-01t00:00:00z", "") == east
    assert instant.dump(datetime(2, 1, 1, tzinfo=UTC)) == "0002-01-01T00:00:00.000000Z"
    day = kinds.ObjectOf("D", (Member("d", decimal),), lambda d: d)  # type: ignore[arg-type]
    assert day.describe()["members"]["d"]["type"] == "decimal"


def test_exact_numbers_do_not_depend_on_the_context_of_the_process() -> None:
    wide = kinds.DecimalType(38, 2)
    with localcontext() as context:
        context.prec = 5
        assert (
            wide.dump(wide.parse("123456789012345678901234567890.12", ""))
            == "123456789012345678901234567890.12"
        )
        total = Money(Decimal("1234567.89"), "EUR") + Money(Decimal("0.01"), "EUR")
        assert str(total) == "1234567.90 EUR"
        assert plain(Decimal("1E2")) == "100"
        assert plain(Decimal("-0.0")) == "0"


def test_texts_are_kept_as_they_were_sent_and_lengths_count_characters() -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    text = kinds.Text(2)
    assert text.parse(decomposed, "") == decomposed != composed
    assert text.parse("\U0001f600\U0001f600", "") == "\U0001f600" * 2


def test_subclasses_of_str_become_plain_text_by_value() -> None:
    for given_ in (Mixed.A, Subject("a"), StrEnum("S", {"A": "a"}).A):  # type: ignore[arg-type]
        fitted = kinds.Text().fit(given_, "")
        assert (type(fitted), fitted) == (str, "a")


def test_a_value_object_is_kept_in_the_normal_form_of_its_members() -> None:
    @dataclass(frozen=True)
    class Price:
        amount: Decimal

    kind = kinds.ObjectOf("Price", (Member("amount", kinds.DecimalType(6, 2)),), Price)
    assert kind.dump(kind.fit(Price(Decimal("-0")), "")) == {"amount": "0.00"}
    assert kind.parse({"amount": "1.5"}, "") == Price(Decimal("1.50"))
    assert SPAN.parse({"first": "2026-01-01"}, "").note == "none"


def test_money_is_made_of_exact_amounts_and_codes() -> None:
    for amount in (1.5, "1", True, Decimal("NaN"), None):
        with pytest.raises(TypeError):
            Money(amount, "EUR")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(Decimal(1), "euro")
    euro, dollar = Money(Decimal(3), "EUR"), Money(Decimal(3), "USD")
    assert 2 * euro == euro * 2 == euro + euro == Money(Decimal(6), "EUR")
    assert euro - euro == -Money(Decimal(0), "EUR")
    assert euro != dollar
    for operate in (lambda: euro + dollar, lambda: euro < dollar, lambda: euro - dollar):
        with pytest.raises(TypeError):
            operate()
    assert [currency_scale(c) for c in ("EUR", "JPY", "KWD", "CLF")] == [2, 0, 3, 4]


def test_a_fitting_subclass_of_uuid_is_a_uuid() -> None:
    assert kinds.UuidType().fit(UUID(int=1), "") == UUID(int=1)
    with pytest.raises(Misfit):
        kinds.UuidType().fit("00000000-0000-0000-0000-000000000001", "")
