"""What is due never comes early, whatever clocks do, and a later start never has the earlier due."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.model.calendar import HOLIDAYS_MAX, Calendar, CalendarDays, Exact, WorkingDays
from avow.model.times import DURATION_DAYS_MAX, DURATION_MAX, INSTANT_MAX
from avow.model.trigger import Delay
from avow.model.zone import moment, shown, skipped_days, zone_named

ZONES = ("Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Europe/Berlin", "America/Havana", "UTC")
TICK = timedelta(microseconds=1)
MOST_LATE = timedelta(hours=1)
"""How long a time that comes twice, or one that is left out, lasts in these zones, without Apia's day."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def in_zone(text: str, zone: str, fold: int = 0) -> datetime:
    """The instant of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def wall(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


CHANGES = [
    *map(utc, ("2026-04-04T15:00", "2026-10-03T15:30")),  # Lord Howe: half an hour
    *map(utc, ("2011-12-30T10:00", "2011-09-24T14:00", "2012-03-31T14:00")),  # Apia: a day, and hours
    utc("1985-12-31T18:30"),  # Kathmandu: a quarter
    *map(utc, ("2026-03-29T01:00", "2026-10-25T01:00")),  # Berlin
    *map(utc, ("2026-03-08T05:00", "2026-11-01T05:00")),  # Havana, at midnight
]
near = st.builds(
    lambda change, off: change + off,
    st.sampled_from(CHANGES),
    st.timedeltas(timedelta(days=-9), timedelta(days=9)) | st.timedeltas(-MOST_LATE, MOST_LATE),
)
anywhere = st.datetimes(datetime(1980, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
instants = near | anywhere
zones = st.sampled_from(ZONES)
times_of_day = st.times().map(lambda at: at.replace(fold=0))
clocks = st.none() | times_of_day
holidays = st.lists(
    st.dates(date(2011, 12, 20), date(2012, 1, 10)) | st.dates(date(2026, 3, 1), date(2026, 4, 30)),
    max_size=9,
).map(lambda days: tuple(sorted(set(days))))
workweeks = st.frozensets(st.integers(0, 6), min_size=1)
calendars = st.builds(Calendar, st.just("office"), zones, workweeks, holidays)
exact = st.timedeltas(timedelta(), timedelta(days=500)).map(Exact)
by_days = st.builds(CalendarDays, zones, st.integers(1, 400), clocks)
by_working_days = st.builds(WorkingDays, calendars, st.integers(1, 60), clocks)
delays = exact | by_days | by_working_days


@given(delays, instants, instants)
def test_a_due_is_after_its_start_and_keeps_the_order_of_starts(
    delay: Delay, one: datetime, other: datetime
) -> None:
    early, late = sorted((one, other))
    assert early <= delay.due(early) <= delay.due(late)
    assert isinstance(delay, Exact) or early < delay.due(early)
    assert delay.due(early).tzinfo is UTC


@given(delays, near, st.timedeltas(timedelta(), timedelta(minutes=90)))
def test_the_order_is_kept_where_clocks_are_changed(delay: Delay, start: datetime, gap: timedelta) -> None:
    assert delay.due(start) <= delay.due(start + gap)


@given(zones, st.integers(1, 400), instants)
def test_days_are_never_early_and_late_by_what_clocks_left_out_or_had_twice(
    zone: str, days: int, start: datetime
) -> None:
    wanted = wall(start, zone) + timedelta(days)
    had = wall(CalendarDays(zone, days).due(start), zone)
    assert wanted <= had
    skipped = timedelta(days=1) if wanted.date() in skipped_days(ZoneInfo(zone), wanted.year) else timedelta()
    assert had - wanted <= 2 * MOST_LATE + skipped


@given(zones, st.integers(1, 60), times_of_day, instants)
def test_days_end_at_the_time_of_day_that_is_given(zone: str, days: int, at: time, start: datetime) -> None:
    due = CalendarDays(zone, days, at).due(start)
    wanted = datetime.combine(shown(ZoneInfo(zone), start).date() + timedelta(days), at)
    assert wall(due, zone) == wanted or wall(due - TICK, zone) < wanted < wall(due, zone)


@given(calendars, st.integers(1, 60), clocks, instants)
def test_working_days_are_counted_one_by_one(
    calendar: Calendar, number: int, at: time | None, start: datetime
) -> None:
    zone = ZoneInfo(calendar.zone)
    begun = shown(zone, start).date()
    worked = (day for day in (begun + timedelta(n) for n in count(1)) if is_worked(calendar, day))
    last = [next(worked) for _ in range(number)][-1]
    due = WorkingDays(calendar, number, at).due(start)
    if at is None and not is_worked(calendar, begun):
        assert due == moment(zone, datetime.combine(last + timedelta(1), time()))
    else:
        clock = shown(zone, start).time() if at is None else at
        assert due == moment(zone, datetime.combine(last, clock))


def is_worked(calendar: Calendar, day: date) -> bool:
    """Whether a day comes, isn't a holiday, and is one of the week's working days; asked the long way."""
    hours = (datetime.combine(day, time(hour), ZoneInfo(calendar.zone)) for hour in range(24))
    comes = any(hour.astimezone(UTC).astimezone(hour.tzinfo).replace(fold=0) == hour for hour in hours)
    return comes and day.weekday() in calendar.workdays and day not in calendar.holidays


@given(calendars, st.integers(1, 60), times_of_day.filter(lambda at: time(1, 30) < at < time(22)), instants)
def test_no_due_within_a_day_falls_on_a_day_off(
    calendar: Calendar, number: int, at: time, start: datetime
) -> None:
    due = WorkingDays(calendar, number, at).due(start)
    assert is_worked(calendar, wall(due, calendar.zone).date())


@given(
    st.integers(1, 40), st.integers(1, 40), st.dates(date(2000, 1, 1), date(2030, 1, 1)), holidays, workweeks
)
def test_some_working_days_and_then_some_are_all_of_them(
    one: int, other: int, day: date, off: tuple[date, ...], week: frozenset[int]
) -> None:
    """From a working day, without `at` or changes of clocks: there each end is a start that counts anew."""
    calendar = Calendar("office", "UTC", week, off)
    noon = datetime.combine(day, time(12), UTC)
    if calendar.is_working(day):
        between = WorkingDays(calendar, one).due(noon)
        assert WorkingDays(calendar, other).due(between) == WorkingDays(calendar, one + other).due(noon)


OFFICE = Calendar("office", "Europe/Berlin", holidays=(date(2026, 12, 25), date(2027, 1, 1)))
EXAMPLES = [
    ("a Friday's time", 1, None, "2026-11-20T16:30", "2026-11-23T16:30"),
    ("Saturday ends with Monday", 1, None, "2026-11-21T08:00", "2026-11-24T00:00"),
    ("Sunday does too", 1, None, "2026-11-22T23:59", "2026-11-24T00:00"),
    ("and Monday's first instant", 1, None, "2026-11-23T00:00", "2026-11-24T00:00"),
    ("Friday at a time of day", 1, time(17), "2026-11-20T18:00", "2026-11-23T17:00"),
    ("Saturday at a time of day", 1, time(17), "2026-11-21T18:00", "2026-11-23T17:00"),
    ("a holiday on a Friday", 1, None, "2026-12-24T10:00", "2026-12-28T10:00"),
    ("from that holiday", 2, None, "2026-12-25T10:00", "2026-12-30T00:00"),
    ("over two holidays", 6, None, "2026-12-24T10:00", "2027-01-05T10:00"),
]


@pytest.mark.parametrize(
    ("days", "at", "start", "due"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_working_days_by_example(days: int, at: time | None, start: str, due: str) -> None:
    had = WorkingDays(OFFICE, days, at).due(in_zone(start, OFFICE.zone))
    assert had == in_zone(due, OFFICE.zone)


def test_a_day_over_a_change_of_clocks_has_23_or_25_hours_and_an_exact_one_24() -> None:
    day = CalendarDays("Europe/Berlin", 1)
    for start, length in (("2026-03-28T12:00", 23), ("2026-10-24T12:00", 25)):
        noon = in_zone(start, "Europe/Berlin")
        assert day.due(noon) - noon == timedelta(hours=length)
        assert Exact(timedelta(days=1)).due(noon) - noon == timedelta(hours=24)


def test_a_time_that_does_not_come_moves_to_the_first_instant_after() -> None:
    due = CalendarDays("Europe/Berlin", 1, time(2, 30)).due(in_zone("2026-03-28T12:00", "Europe/Berlin"))
    assert due == utc("2026-03-29T01:00")


def test_of_a_time_that_comes_twice_the_second_is_due() -> None:
    due = CalendarDays("Europe/Berlin", 1, time(2, 30)).due(in_zone("2026-10-24T12:00", "Europe/Berlin"))
    assert due == utc("2026-10-25T01:30")


def test_a_start_in_the_second_pass_counts_as_the_end_of_the_hour() -> None:
    day = CalendarDays("Europe/Berlin", 1)
    first, second = (in_zone("2026-10-25T02:30", "Europe/Berlin", fold) for fold in (0, 1))
    assert day.due(first) == in_zone("2026-10-26T02:30", "Europe/Berlin")
    assert day.due(second) == in_zone("2026-10-26T03:00", "Europe/Berlin")


def test_a_day_that_never_came_is_no_working_day_and_an_end_on_it_moves_to_midnight() -> None:
    apia = Calendar("apia", "Pacific/Apia")
    start = in_zone("2011-12-29T10:00", apia.zone)  # a Thursday; Friday never came
    assert WorkingDays(apia, 1).due(start) == in_zone("2012-01-02T10:00", apia.zone)
    assert CalendarDays(apia.zone, 1).due(start) == in_zone("2011-12-31T00:00", apia.zone)
    assert CalendarDays(apia.zone, 2).due(start) == in_zone("2011-12-31T10:00", apia.zone)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Pacific/Apia", date(2011, 12, 30)),
        ("Pacific/Fakaofo", date(2011, 12, 30)),
        ("Pacific/Kwajalein", date(1993, 8, 21)),
        ("Pacific/Kiritimati", date(1994, 12, 31)),
        ("Asia/Manila", date(1844, 12, 31)),
    ],
)
def test_days_that_never_came_are_found_at_any_place_of_a_year(zone: str, day: date) -> None:
    assert skipped_days(ZoneInfo(zone), day.year) == (day,)
    assert skipped_days(ZoneInfo(zone), day.year + 1) == ()


def test_what_is_past_the_last_instant_is_that_instant() -> None:
    every_monday = Calendar("rare", "Asia/Kathmandu", frozenset({0}))
    most, to_the_end = DURATION_DAYS_MAX, (INSTANT_MAX.date() - date(2026, 1, 1)).days + 1
    for start in (datetime(2026, 1, 1, tzinfo=UTC), INSTANT_MAX - TICK, INSTANT_MAX):
        for longest in (
            Exact(DURATION_MAX),
            CalendarDays("America/Havana", most),
            WorkingDays(every_monday, most),
            WorkingDays(Calendar("all", "UTC", frozenset(range(7))), to_the_end, time.max),
            CalendarDays("Pacific/Apia", to_the_end),
        ):
            assert longest.due(start) == INSTANT_MAX
    assert CalendarDays("UTC", 1).due(INSTANT_MAX - timedelta(hours=1)) == INSTANT_MAX


@pytest.mark.parametrize("first", [datetime(1, 1, 2, tzinfo=UTC), datetime(1, 1, 2, 12, tzinfo=UTC)])
def test_the_first_instant_there_is_can_be_a_start(first: datetime) -> None:
    for zone in ZONES:
        assert CalendarDays(zone, 1).due(first) == first + timedelta(1)
        assert WorkingDays(Calendar("all", zone, frozenset(range(7))), 1).due(first) == first + timedelta(1)


def test_an_exact_delay_is_a_length_of_time() -> None:
    day = Exact(timedelta(days=1))
    assert day == timedelta(days=1)
    assert hash(day) == hash(timedelta(days=1))
    assert datetime(2026, 1, 2, tzinfo=UTC) - day == datetime(2026, 1, 1, tzinfo=UTC)
    assert type(day + day) is type(day * 2) is type(day.length) is timedelta
    for copied in (copy.deepcopy(day), pickle.loads(pickle.dumps(day))):  # noqa: S301
        assert (type(copied), copied) == (Exact, day)


@pytest.mark.parametrize(
    ("delay", "text", "described"),
    [
        (Exact(timedelta(days=14)), "days(14)", {"exact": "PT1209600S"}),
        (Exact(timedelta(hours=36)), "hours(36)", {"exact": "PT129600S"}),
        (Exact(timedelta(minutes=90)), "minutes(90)", {"exact": "PT5400S"}),
        (Exact(timedelta()), "seconds(0)", {"exact": "PT0S"}),
        (Exact(timedelta(seconds=61)), "seconds(61)", {"exact": "PT61S"}),
        (
            Exact(timedelta(seconds=1.5)),
            "timedelta(seconds=1, microseconds=500000)",
            {"exact": "PT1.500000S"},
        ),
        (
            CalendarDays("UTC", 3, calendar="office"),
            "office.days(3)",
            {"days": 3, "at": None, "zone": "UTC"},
        ),
        (
            WorkingDays(Calendar("office", "UTC", frozenset({0, 5}), (date(2026, 12, 25),)), 2, time(17, 30)),
            "office.working_days(2, at=time(17, 30))",
            {
                "working_days": 2,
                "at": "17:30:00",
                "calendar": "office",
                "zone": "UTC",
                "workdays": [0, 5],
                "holidays": ["2026-12-25"],
            },
        ),
    ],
)
def test_a_delay_is_written_as_its_owner_would_and_described_as_plain_data(
    delay: Delay, text: str, described: dict[str, Any]
) -> None:
    assert str(delay) == text
    assert delay.describe() == described


MISFITS = {
    "less than none": lambda: Exact(timedelta(seconds=-1)),
    "too long": lambda: Exact(DURATION_MAX + TICK),
    "no days": lambda: CalendarDays("UTC", 0),
    "too many days": lambda: CalendarDays("UTC", DURATION_DAYS_MAX + 1),
    "half a day": lambda: CalendarDays("UTC", 0.5),  # type: ignore[arg-type]
    "yes many days": lambda: CalendarDays("UTC", True),
    "a zone of its own": lambda: CalendarDays("UTC", 1, time(1, tzinfo=UTC)),
    "no time of day": lambda: WorkingDays(OFFICE, 1, "17:00"),  # type: ignore[arg-type]
    "no working days": lambda: WorkingDays(OFFICE, 0),
    "no workdays": lambda: Calendar("office", "UTC", frozenset()),
    "an eighth day": lambda: Calendar("office", "UTC", frozenset({7})),
    "two words": lambda: Calendar("my office", "UTC"),
    "a holiday twice": lambda: Calendar("office", "UTC", holidays=(date(2026, 1, 1),) * 2),
    "holidays in disorder": lambda: Calendar("office", "UTC", holidays=(date(2026, 1, 2), date(2026, 1, 1))),
    "too many holidays": lambda: Calendar(
        "office", "UTC", holidays=tuple(date.fromordinal(n) for n in range(1, HOLIDAYS_MAX + 2))
    ),
}


@pytest.mark.parametrize("make", MISFITS.values(), ids=MISFITS.keys())
def test_what_can_not_be_a_delay_is_refused_when_it_is_made(make: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make()


@pytest.mark.parametrize(
    "name",
    ["", "Europe", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "localtime", "right/Europe/Paris",
     "posix/UTC", "Europe/Berlin\0", "EST", 5, None],
)  # fmt: skip
def test_a_zone_is_one_that_every_machine_has_alike(name: Any) -> None:
    with pytest.raises(ValueError, match="names no time zone"):
        zone_named(name)
