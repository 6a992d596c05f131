"""Rows become records exactly, whatever arithmetic the process has set."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from avow import Entity, Money, State, create, everybody, field, read, system
from avow.store.columns import reader

LARGE, SMALL = Decimal("9" * 38), Decimal(f"0.{'1' * 38}")
RICH = Decimal(f"{'9' * 36}.99")


class Exact(Entity):
    """Numbers of as many digits as there may be: more than Python's own arithmetic keeps."""

    large: Decimal = field(digits=38, scale=0)
    small: Decimal = field(digits=38, scale=38)
    many: list[Decimal] = field(digits=38, scale=38)
    cost: Money = field(currency="EUR", digits=38)
    visible = read(by=everybody)
    here = State(initial=True, final=True)
    put = create(here, by=everybody, sets=[large, small, many, cost])


app = system("exact", Exact)


@pytest.mark.parametrize("negative", [False, True])
def test_numbers_of_as_many_digits_as_there_may_be_are_read(negative: bool) -> None:
    sign = -1 if negative else 1
    held = (LARGE.copy_sign(sign), SMALL.copy_sign(sign), [SMALL.copy_sign(sign)], RICH.copy_sign(sign))
    record = reader(app.entities["Exact"]).read((UUID(int=1), "here", 1, b"", *held), 0)
    assert record is not None
    large, small, many, cost = held
    assert record.values == {"large": large, "small": small, "many": tuple(many), "cost": Money(cost, "EUR")}
