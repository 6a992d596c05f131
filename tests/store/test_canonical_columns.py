"""A row of every type, read back in the form of its entries, is what its entries say, and any edit isn't."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from avow import Entity, Money, State, Subject, actor, create, everybody, field, read, system, transition
from avow.engine.verify import verify
from avow.store.pool import connect
from tests.acting import Acting, acting
from tests.fix_database import MakeDatabase


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Spot:
    """A value object."""

    row: int
    lit: bool
    note: str | None = None


class Sample(Entity):
    """One field of each type."""

    text: str = field(max_length=4000)
    owner: Subject = field(default=actor)
    number: int = field()
    flag: bool = field()
    price: Decimal = field(digits=12, scale=4)
    cost: Money = field(currency="EUR")
    day: date = field()
    moment: datetime = field()
    length: timedelta = field()
    token: UUID = field()
    colour: Colour = field()
    words: list[str] = field(max_items=5)
    numbers: list[int] = field(max_items=5)
    prices: list[Decimal] = field(max_items=5, digits=9, scale=2)
    moments: list[datetime] = field(max_items=5)
    lengths: list[timedelta] = field(max_items=5)
    spot: Spot = field()
    spots: list[Spot] = field(max_items=5)
    nothing: str | None = field()
    visible = read(by=everybody)

    here, gone = State(initial=True), State(final=True)
    put = create(
        here, by=everybody,
        sets=[text, number, flag, price, cost, day, moment, length, token, colour, words, numbers, prices,
              moments, lengths, spot, spots, nothing],
    )  # fmt: skip
    change = transition(here, to=here, by=everybody, sets=[nothing])
    end = transition(here, to=gone, by=everybody)


app = system("samples", Sample)

PLAIN: dict[str, Any] = {
    "text": 'a\n\u2028\U0001f600 "quoted" \\ text',
    "number": 2**53 - 1,
    "flag": True,
    "price": Decimal("1.5"),
    "cost": Money(Decimal("10.00"), "EUR"),
    "day": date(2026, 2, 28),
    "moment": datetime(2026, 11, 21, 9, 30, 0, 120, tzinfo=UTC),
    "length": timedelta(days=14, microseconds=5),
    "token": UUID(int=1),
    "colour": Colour.RED,
    "words": ("a", "", 'b,"c}{'),
    "numbers": (1, -2),
    "prices": (Decimal("0.10"), Decimal("-3.00")),
    "moments": (datetime(2026, 1, 1, tzinfo=UTC),),
    "lengths": (timedelta(0), timedelta(seconds=90, microseconds=1)),
    "spot": Spot(1, True),
    "spots": (Spot(1, False, "x"), Spot(0, True)),
    "nothing": None,
}
EDGES: dict[str, Any] = {
    **PLAIN,
    "text": "",
    "number": -(2**53) + 1,
    "flag": False,
    "price": Decimal("-99999999.9999"),
    "cost": Money(Decimal("-0.01"), "EUR"),
    "day": date(1, 1, 1),
    "moment": datetime(1, 1, 2, tzinfo=UTC),
    "length": timedelta(days=3_650_000),
    "token": UUID(int=2**128 - 1),
    "words": (),
    "numbers": (),
    "prices": (),
    "moments": (datetime(9999, 12, 30, tzinfo=UTC),),
    "lengths": (timedelta(days=3_650_000),),
    "spot": Spot(-1, False, ""),
    "spots": (),
    "nothing": "null",
}
LATE: dict[str, Any] = {**PLAIN, "day": date(9999, 12, 31), "text": "long " * 700, "length": timedelta(0)}


@pytest.fixture
async def sample(database: MakeDatabase) -> AsyncIterator[tuple[Acting, Any]]:
    made = database(app)
    connection = await connect(made.admin_url)
    async with acting(made) as act:
        yield act, connection
    await connection.close()


@pytest.mark.parametrize("given", [PLAIN, EDGES, LATE], ids=["plain", "edges", "late"])
async def test_every_type_comes_back_as_its_entry_has_it(
    sample: tuple[Acting, Any], given: dict[str, Any]
) -> None:
    record = await sample[0].do("Sample", "put", None, given, "ana")
    await sample[0].do("Sample", "change", record, {"nothing": "something"}, "ana")
    result = await verify(sample[1], app)
    assert [(f.field, f.code) for f in result.findings] == []
    assert result.entries == 2


EDITS = {
    "text": ["text || ' '"],
    "owner": ["'bob'"],
    "number": ["number - 1"],
    "flag": ["NOT flag"],
    "price": ["price + 0.0001", "'NaN'"],
    "cost": ["-cost"],
    "day": ["'2026-02-28 BC'", "'infinity'", "day + 1"],
    "moment": ["moment + interval '1 microsecond'", "'infinity'", "'2026-11-21 09:30:00.00012+00 BC'"],
    "length": ["length + interval '1 microsecond'", "-length", "interval '1 month'"],
    "token": ["'00000000-0000-0000-0000-000000000002'"],
    "colour": ["'blue'"],
    "words": ["'{a}'", "words || NULL::text", "ARRAY[words]", "'{}'"],
    "numbers": ["'{-2,1}'", "'{}'"],
    "prices": ["'{0.10,-3.01}'"],
    "moments": ["'{infinity}'"],
    "lengths": ["'{}'"],
    "spot": ["jsonb_set(spot, '{row}', 'true')", "jsonb_set(spot, '{row}', '1.0')", "spot - 'note'", "'[]'"],
    "spots": ["spots || '[null]'", "'{}'"],
    "nothing": ["''"],
}


@pytest.mark.parametrize(("name", "edit"), [(name, edit) for name, edits in EDITS.items() for edit in edits])
async def test_an_edit_of_any_type_is_found(sample: tuple[Acting, Any], name: str, edit: str) -> None:
    """Also where the value becomes one that no command could have written."""
    act, connection = sample
    await act.do("Sample", "put", None, PLAIN, "ana")
    checks = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'samples.samples'::regclass AND contype = 'c'"
    )
    for check in checks:
        await connection.execute(f'ALTER TABLE samples.samples DROP CONSTRAINT "{check[0]}"')
    await connection.execute(f"UPDATE samples.samples SET {name} = {edit}")
    result = await verify(connection, app)
    assert [(f.field, f.code) for f in result.findings] == [(name, "value-edited")]


def test_every_field_is_edited_in_some_way() -> None:
    assert set(EDITS) == set(app.entities["Sample"].fields)
