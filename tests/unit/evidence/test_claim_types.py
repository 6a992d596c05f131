"""A claim by the declaration: whatever is written about whatever field has an answer, and never a fault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest

from avow import Entity, Money, State, Subject, create, everybody, field, private, read, ref, system
from avow.evidence.claim_types import typed
from avow.evidence.verifier import Invalid
from avow.evidence.verifier.claim import parse_claim, written


@dataclass(frozen=True)
class Place:
    """A value object."""

    town: str
    number: int


class Colour(Enum):
    RED = "red"


class Thing(Entity):
    """A field of each type."""

    text: str | None = field()
    number: int | None = field()
    yes: bool | None = field()
    exact: Decimal | None = field()
    price: Money | None = field(currency="EUR")
    day: date | None = field()
    moment: datetime | None = field()
    length: timedelta | None = field()
    code: UUID | None = field()
    who: Subject = field(default=Subject("ann"))
    colour: Colour | None = field()
    place: Place | None = field()
    texts: list[str] | None = field()
    other: Thing | None = ref()
    secret: str | None = private(of=who)
    hidden: Place | None = private(of=who)
    visible = read(by=everybody)
    there = State(initial=True, final=True)
    make = create(there, by=everybody)


THING = system("things", Thing).entities["Thing"]
CONSTANTS = (
    "x", '"x"', "there", "7", "-0", "7.50", "7.50 EUR", "7 USD", "true", "none", "2026-01-02", "red",
    '""', "9" * 38,
    '"2026-01-02T03:04:05Z"', "00000000-0000-7000-8000-000000000000", "PT1H",
)  # fmt: skip


@pytest.mark.parametrize("name", ["state", "nothing", *THING.fields])
def test_a_claim_about_any_field_is_taken_or_refused(name: str) -> None:
    taken = 0
    for constant in CONSTANTS:
        for path in (name, f"{name}.town", f"{name}.private"):
            for op in ("=", "<"):
                claim = parse_claim(f"{path} {op} {constant}")
                try:
                    assert parse_claim(written(typed(claim, THING)))
                    taken += 1
                except Invalid:
                    continue
    assert taken or name == "nothing"


def test_a_private_value_is_claimed_by_its_digest_alone() -> None:
    with pytest.raises(Invalid, match=r"secret is private: .* secret\.private"):
        typed(parse_claim("secret = x"), THING)
    assert written(typed(parse_claim("secret.private = kD3v"), THING)) == "secret.private = kD3v"
