"""Words for lengths of time become delays; exact ones become constants where they're calculated with."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from avow import (
    Entity,
    State,
    calendar,
    create,
    days,
    everybody,
    field,
    hours,
    minutes,
    now,
    one_of,
    read,
    seconds,
    system,
    transition,
    weeks,
)
from avow.model.calendar import Calendar, CalendarDays, Exact, WorkingDays
from avow.model.expression import render
from avow.model.node import Arithmetic, Const, FieldOf, OneOf
from avow.model.trigger import OnTime

office = calendar("office", zone="Europe/Berlin", holidays=["2027-01-01", date(2026, 12, 25), "2027-01-01"])
OFFICE = Calendar("office", "Europe/Berlin", holidays=(date(2026, 12, 25), date(2027, 1, 1)))


class Stay(Entity):
    """A stay, with times of every kind."""

    check_in: datetime = field()
    check_out: datetime = field()
    grace: timedelta = field(default=hours(2))
    visible = read(by=everybody)
    booked, gone = State(initial=True), State(final=True)
    book = create(booked, by=everybody, sets=[check_in, check_out], when=(check_out - check_in >= days(1)))
    in_length = transition(booked, to=gone, after=timedelta(days=14))
    in_word = transition(booked, to=gone, after=minutes(90))
    in_days = transition(booked, to=gone, after=office.days(3))
    in_working_days = transition(booked, to=gone, after=office.working_days(2, at=time(17)))
    again = transition(booked, to=booked, every=weeks(1))
    before = transition(booked, to=gone, at=check_in - days(1))
    short = transition(booked, to=gone, by=everybody, when=one_of(grace, seconds(1), hours(1)), command="go")
    late = transition(
        booked, to=gone, by=everybody, when=(grace > hours(1)) & (now > check_in + days(2)), command="go"
    )

    @transition(booked, to=booked, by=everybody)
    def extend(self) -> None:
        self.grace = self.grace + hours(1)
        self.check_out = self.check_out + days(1)


STAY = system("stays", Stay).entities["Stay"]
TRANSITIONS = STAY.transitions


@pytest.mark.parametrize(
    ("name", "delay", "shown"),
    [
        ("in_length", Exact(timedelta(days=14)), "after days(14)"),
        ("in_word", Exact(timedelta(minutes=90)), "after minutes(90)"),
        ("in_days", CalendarDays("Europe/Berlin", 3), "after office.days(3)"),
        ("in_working_days", WorkingDays(OFFICE, 2, time(17)), "after office.working_days(2, at=time(17, 0))"),
        ("again", Exact(timedelta(weeks=1)), "every days(7)"),
    ],
)
def test_a_transition_waits_for_what_was_written(name: str, delay: Any, shown: str) -> None:
    trigger = TRANSITIONS[name].trigger
    assert isinstance(trigger, OnTime)
    assert trigger.delay == delay
    assert type(trigger.delay) is type(delay)
    assert str(trigger) == shown


def test_an_exact_delay_is_a_plain_constant_in_an_expression() -> None:
    trigger, when = TRANSITIONS["before"].trigger, TRANSITIONS["short"].when
    assert isinstance(trigger, OnTime)
    before, default = trigger.at, STAY.fields["grace"].default
    assert before == Arithmetic("-", FieldOf(("check_in",)), Const(timedelta(days=1)))
    assert default == Const(timedelta(hours=2))
    assert isinstance(when, OneOf)
    constants = [before.right.value, default.value, *when.options]
    assert [type(value) for value in constants] == [timedelta] * 4
    assert str(trigger) == "at check_in - days(1)"


def test_a_length_of_time_is_shown_as_its_owner_would_write_it() -> None:
    late = TRANSITIONS["late"].when
    assert late is not None
    assert render(late) == "(grace > hours(1)) & (now > check_in + days(2))"
    assert render(Const(timedelta(days=-1))) == "-1 day, 0:00:00"


@pytest.mark.parametrize(
    ("written", "workdays"),
    [
        ("Mon-Fri", {0, 1, 2, 3, 4}),
        ("Sun-Thu", {6, 0, 1, 2, 3}),
        ("Fri-Mon", {4, 5, 6, 0}),
        ("Wed", {2}),
        ("Mon-Sun", set(range(7))),
        (["Mon-Wed", "Sat"], {0, 1, 2, 5}),
    ],
)
def test_working_days_are_spans_of_the_week(written: Any, workdays: set[int]) -> None:
    delay = calendar("office", zone="UTC", workdays=written).working_days(1)
    assert delay.calendar.workdays == workdays


def test_the_words_have_the_lengths_of_their_names() -> None:
    assert [seconds(2), minutes(2), hours(2), days(2), weeks(2)] == [
        timedelta(seconds=2), timedelta(minutes=2), timedelta(hours=2), timedelta(days=2), timedelta(weeks=2),
    ]  # fmt: skip
