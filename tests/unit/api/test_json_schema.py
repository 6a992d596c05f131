"""Schemas agree with the types: what a schema admits is accepted, what a type writes is admitted."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from avow.api.openapi.json_schema import nullable, schema_of
from avow.model import types as kinds


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Box:
    width: int
    label: str | None


KINDS: dict[str, kinds.ValueType] = {
    "text": kinds.Text(5, 2),
    "coded": kinds.Text(20, 0, "[A-Z]{2}-[0-9]+"),
    "subject": kinds.SubjectType(),
    "integer": kinds.Integer(),
    "small": kinds.Integer(ge=1, le=9),
    "boolean": kinds.Boolean(),
    "decimal": kinds.DecimalType(6, 2),
    "whole": kinds.DecimalType(6, 0),
    "fraction": kinds.DecimalType(4, 4),
    "positive": kinds.DecimalType(6, 2, ge=Decimal(0)),
    "bounded": kinds.DecimalType(6, 2, ge=Decimal(1), le=Decimal(5)),
    "money": kinds.MoneyType("EUR", 2, ge=Decimal(0)),
    "date": kinds.DateType(),
    "instant": kinds.DateTimeType(),
    "duration": kinds.DurationType(),
    "uuid": kinds.UuidType(),
    "reference": kinds.Reference("Course"),
    "enum": kinds.EnumType("Colour", ("red", "blue"), Colour),
    "list": kinds.ListOf(kinds.Integer(), 2),
    "object": kinds.ObjectOf(
        "Box", (kinds.Member("width", kinds.Integer()), kinds.Member("label", kinds.Text(3), True)), Box
    ),
}
SAMPLES: list[Any] = [
    "",
    "a",
    "ab",
    "abcdef",
    "a\0",
    "AB-1",
    "AB-",
    "x" * 255,
    "x" * 256,
    0,
    1,
    9,
    10,
    -1,
    2**53 - 1,
    2**53,
    True,
    None,
    "0",
    "-0",
    "1",
    "01",
    "1.5",
    "1.50",
    "1.500",
    "1.555",
    "-0.00",
    "-1",
    "9999.99",
    "10000",
    "999999",
    "1000000",
    ".5",
    "0.1234",
    "0.12345",
    "1e2",
    "2026-11-21",
    "2026-13-01",
    "2026-02-29",
    "2026-11-21T09:30:00Z",
    "2026-11-21T09:30:00",
    "2026-11-21t09:30:00.123456+01:00",
    "2026-11-21T09:30:00.1234567Z",
    "2026-11-21T09:30:60Z",
    "2026-11-21T25:00:00Z",
    "P1D",
    "PT1H30M",
    "-PT0.5S",
    "P",
    "PT",
    "P1Y",
    "P1M",
    "P1W",
    "PT5",
    "P5",
    "P999999DT9999999H",
    "1",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "01890A5D-AC96-774B-BCCE-B302099A8057",
    "01890a5dac96774bbcceb302099a8057",
    "red",
    "RED",
    [],
    [1, 2],
    [1, 2, 3],
    ["1"],
    {},
    {"width": 1},
    {"width": 1, "label": None},
    {"width": 1, "label": "abcd"},
    {"label": "a"},
    {"width": 1, "height": 2},
    {"amount": "1.50", "currency": "EUR"},
    {"amount": "1.555", "currency": "EUR"},
    {"amount": "1.50", "currency": "USD"},
    {"amount": "-1.50", "currency": "EUR"},
    {"amount": "1.50"},
]


def accepts(kind: kinds.ValueType, value: Any) -> bool:
    """Whether the type reads this JSON value."""
    try:
        kind.parse(value, "#")
    except kinds.Misfit:
        return False
    return True


def validator(kind: kinds.ValueType) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema_of(kind), validate_formats=True)


@pytest.mark.parametrize("name", KINDS)
def test_schema_and_type_agree_on_every_sample(name: str) -> None:
    """Apart from bounds of decimals, which JSON Schema can't express, and which the description states."""
    kind, admits = KINDS[name], validator(KINDS[name]).is_valid
    differing = [value for value in SAMPLES if admits(value) is not accepts(kind, value)]
    if name == "bounded":
        assert all(Decimal(value) < 1 or Decimal(value) > 5 for value in differing)
        assert "At least 1. At most 5." in schema_of(kind)["description"]
    else:
        assert differing == []


@pytest.mark.parametrize("name", ["decimal", "whole", "fraction", "positive", "duration", "coded", "uuid"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])  # that asks how busy this machine is
@given(data=strategies.data())
def test_whatever_a_pattern_admits_is_accepted(name: str, data: strategies.DataObject) -> None:
    schema = schema_of(KINDS[name])
    patterns = [schema["pattern"], *(part["pattern"] for part in schema.get("allOf", ()))]
    written = strategies.from_regex(re.compile(patterns[-1], re.ASCII), fullmatch=True)
    text = data.draw(written.filter(lambda drawn: not drawn.endswith("\n")))
    if validator(KINDS[name]).is_valid(text):
        assert accepts(KINDS[name], text)


@given(strategies.timedeltas(timedelta(days=-1_000_000), timedelta(days=1_000_000)))
def test_every_written_duration_fits_its_schema(length: timedelta) -> None:
    assert validator(KINDS["duration"]).is_valid(KINDS["duration"].dump(length))


@given(strategies.decimals(Decimal("-9999.99"), Decimal("9999.99"), places=2))
def test_every_written_decimal_fits_its_schema(amount: Decimal) -> None:
    kind = KINDS["decimal"]
    assert validator(kind).is_valid(kind.dump(kind.fit(amount, "#")))


def test_a_pattern_that_only_python_reads_is_told_in_words() -> None:
    schema = schema_of(kinds.Text(5, 0, r"(?i:[a-z]+)\Z"))
    assert "allOf" not in schema
    assert r"(?i:[a-z]+)\Z" in schema["description"]


def test_null_is_admitted_where_a_value_is_optional() -> None:
    for kind in KINDS.values():
        admits = jsonschema_rs.Draft202012Validator(nullable(schema_of(kind))).is_valid
        assert admits(None)
        assert not jsonschema_rs.Draft202012Validator(nullable(schema_of(kind), False)).is_valid(None)
