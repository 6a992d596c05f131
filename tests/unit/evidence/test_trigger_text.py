"""A described trigger comes back as its owner wrote it, so that a transition that came by itself says why."""

from __future__ import annotations

from datetime import time, timedelta

import pytest

from avow import calendar
from avow.evidence.trigger_text import trigger_text
from avow.model.calendar import CalendarDays, Exact
from avow.model.expression import Arithmetic, Const, FieldOf
from avow.model.trigger import OnOutcome, OnTime, Trigger
from examples.verification.system import app

OFFICE = calendar("office", zone="Europe/Berlin", holidays=["2027-01-01"])
LEAVES = Arithmetic("+", FieldOf(("leaves",)), Const(timedelta(days=1)))


@pytest.mark.parametrize(
    "trigger",
    [
        OnOutcome("capture", "done"),
        OnTime(at=LEAVES),
        OnTime(Exact(timedelta(hours=36))),
        OnTime(Exact(timedelta(days=2)), again=True),
        OnTime(OFFICE.working_days(10, at=time(17, 30))),
        OnTime(CalendarDays("Europe/Berlin", 3)),
    ],
)
def test_a_trigger_reads_as_it_is_written(trigger: Trigger) -> None:
    assert trigger_text(trigger.describe(), {}) == str(trigger)


def test_those_of_an_example_all_read_as_they_are_written() -> None:
    for entity in app.entities.values():
        for transition in entity.transitions.values():
            described = {} if transition.trigger is None else transition.trigger.describe()
            written = None if transition.trigger is None else str(transition.trigger)
            assert trigger_text(described, {}) == written
