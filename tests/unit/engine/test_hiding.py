"""What is private is taken out of a free text in whatever form it stands there; the rest of it stays."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from avow.engine.privacy import hidden, holds_any

NAME = 'Zo\u00eb "O\'Brien" <\u738b>\\'


@dataclass(frozen=True)
class Address:
    """A value object."""

    street: str
    town: str


HOME = Address("Elm Row 12", "Ulm")
FORMS = [
    NAME,
    json.dumps(NAME),
    json.dumps(NAME, ensure_ascii=False),
    json.dumps(json.dumps({"name": NAME})),
    repr(NAME),
    quote(NAME),
    quote_plus(NAME),
    escape(NAME),
    NAME.upper(),
    NAME.lower(),
    "Brien, Zo\u00eb",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_name_is_found_however_it_is_written(form: str) -> None:
    told = hidden(f"the registry says: {form} is unknown", [NAME])
    assert told.startswith("the registry says: ")
    assert told.endswith(" is unknown")
    assert "[private]" in told
    assert "brien" not in told.lower()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("+49 170 1234567", "491701234567"),
        ("DE44500105175407324931", "DE44 5001 0517 5407 3249 31"),
        (("A-17", "B-2233"), "B-2233"),
        (HOME, "Elm Row"),
        (HOME, f"{HOME}"),
        (date(1980, 2, 3), "1980-02-03"),
        (date(1980, 2, 3), "03.02.1980"),
        (date(1980, 2, 3), "2/3/1980".replace("2/3", "02/03")),
        (Decimal("1234.50"), "1234.50"),
        (["x", "Canary-1"], "canary 1"),
    ],
)
def test_so_are_members_and_other_spellings(value: Any, said: str) -> None:
    told = hidden(f"no: {said}.", [value])
    assert told.startswith("no: ")
    assert not re.search("[0-9]{2}|Elm|B-|anary", told)


def test_the_rest_of_a_text_stays() -> None:
    said = "402 Payment Required: card ended in 4711, ann cannot"
    assert hidden(said, ["Ann", "", None, True, ()]) == said.replace(" ann ", " [private] ")
    assert hidden(said, []) == said


def test_stretches_that_meet_are_one() -> None:
    assert hidden("<Anna Smith-Jones>", ["Anna Smith", "Smith-Jones"]) == "<[private]>"


def test_a_long_text_is_looked_through_in_time_and_cut_where_that_ends() -> None:
    values = [[f"value {number} of many, {number * 7919}" for number in range(100)]] * 3
    assert len(hidden("x " * 1_000_000, values)) == 20_000


@pytest.mark.parametrize(
    ("value", "kept", "found"),
    [
        (NAME, {"at": [NAME]}, True),
        (("A-17", "B-2233"), {"at": "B-2233"}, True),
        (HOME, {"at": {"street": "Elm Row 12"}}, True),
        (date(1980, 2, 3), {"born": "1980-02-03"}, True),
        (("a", "b"), {"at": "a step"}, False),
        ("a whole sentence", {"at": "a step"}, False),
        ("", {"at": ""}, False),
    ],
)
def test_what_is_to_be_kept_is_known_to_hold_one(value: Any, kept: Any, found: bool) -> None:
    assert holds_any(json.dumps(kept, ensure_ascii=False), [value]) is found
