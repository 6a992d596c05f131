"""Lengths of time: exact ones, days of a time zone, and working days of a calendar.

Each is a `Delay` and keeps the same promises: a due never comes before its start, never before its time, and
of two starts the later one never has the earlier due. A due past the last instant there is, is that instant.

Where clocks are changed, the rules are those of avow.model.zone. A start in the second pass of an hour that
comes twice counts as the end of that hour: its due may be late by that hour, and is never early. A due whose
time of day comes twice is the second of them; one whose time doesn't come is the first instant after the gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from avow.model.times import DURATION_DAYS_MAX, DURATION_MAX, INSTANT_MAX, DurationType
from avow.model.zone import moment, shown, skipped_days, zone_named

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOLIDAYS_MAX = 10_000

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


class Exact(timedelta):
    """An exact length of time, whatever clocks on walls do in it; none at all is "at once".

    It is a timedelta: it compares and calculates like one, and what is calculated with it is a plain one.
    """

    __slots__ = ()

    def __new__(cls, length: timedelta) -> Exact:
        """Raises ValueError where it is below nothing, or more than a duration may be."""
        if not timedelta() <= length <= DURATION_MAX:
            raise ValueError(f"a delay isn't below nothing, and at most {DURATION_DAYS_MAX:,} days")
        return super().__new__(cls, length.days, length.seconds, length.microseconds)

    def __reduce__(self) -> tuple[type[Exact], tuple[timedelta]]:
        return Exact, (self.length,)

    @property
    def length(self) -> timedelta:
        """The same as a plain timedelta."""
        return timedelta(self.days, self.seconds, self.microseconds)

    def due(self, start: datetime) -> datetime:
        """The instant at which it has passed."""
        return INSTANT_MAX if self > INSTANT_MAX - start else start + self

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        return {"exact": DurationType().dump(self)}

    def __str__(self) -> str:
        seconds = self.days * 86_400 + self.seconds
        if self.microseconds:
            return f"timedelta(seconds={seconds}, microseconds={self.microseconds})"
        if not self:
            return "seconds(0)"
        return next(f"{unit}({seconds // size})" for size, unit in _UNITS if seconds % size == 0)

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are worked on, and by which clock a day begins.

    name:     what its owner calls it. zone: an IANA name such as Europe/Berlin.
    workdays: of each week, Monday is 0. holidays: days that aren't worked on, in order, each once.
    Raises ValueError where one of them can't be.
    """

    name: str
    zone: str
    workdays: frozenset[int] = frozenset(range(5))
    holidays: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError("the name of a calendar is one word, as a variable has it")
        zone_named(self.zone)
        if not self.workdays or not self.workdays <= frozenset(range(7)):
            raise ValueError("a calendar has one to seven working days a week")
        if len(self.holidays) > HOLIDAYS_MAX:
            raise ValueError(f"a calendar has at most {HOLIDAYS_MAX:,} holidays")
        if list(self.holidays) != sorted(set(self.holidays)):
            raise ValueError("the holidays of a calendar stand in order, each once")

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        return {
            "calendar": self.name,
            "zone": self.zone,
            "workdays": sorted(self.workdays),
            "holidays": [day.isoformat() for day in self.holidays],
        }

    def is_working(self, day: date) -> bool:
        """Whether a day is worked on."""
        return day.weekday() in self.workdays and day not in self._days_off(day, day)

    def working_day(self, after: date, number: int) -> date | None:
        """The working day of that number after a day; None past the last day there is."""
        while number:
            end = self._workday(after, number)
            if end is None:
                return None
            after, number = end, len(self._days_off(after + timedelta(1), end))
        return after

    def _workday(self, after: date, number: int) -> date | None:
        """The same by the days of the week alone, in one step however far it is."""
        weeks, rest = divmod(number - 1, len(self.workdays))
        ahead = [days for days in range(1, 8) if (after.weekday() + days) % 7 in self.workdays]
        return _later(after, 7 * weeks + ahead[rest])

    def _days_off(self, first: date, last: date) -> set[date]:
        """The days from the first to the last that would be worked on by the week, and aren't."""
        zone = zone_named(self.zone)
        skipped = (day for year in range(first.year, last.year + 1) for day in skipped_days(zone, year))
        days = (*self.holidays, *skipped)
        return {day for day in days if first <= day <= last and day.weekday() in self.workdays}


@dataclass(frozen=True, slots=True)
class CalendarDays:
    """Some days on, at the time of day of its start, or at that time of day.

    Days count by the zone's clock: where clocks are changed, one has 23 or 25 hours.
    calendar: what its owner calls the calendar. Raises ValueError where a part can't be.
    """

    zone: str
    days: int
    at: time | None = None
    calendar: str = field(default="calendar", compare=False)

    def __post_init__(self) -> None:
        zone_named(self.zone)
        _demand(self.days, self.at)

    def due(self, start: datetime) -> datetime:
        """The instant at which they have passed."""
        zone = zone_named(self.zone)
        wall = shown(zone, start)
        day, clock = _later(wall.date(), self.days), wall.time() if self.at is None else self.at
        return INSTANT_MAX if day is None else moment(zone, datetime.combine(day, clock))

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        return {"days": self.days, "at": _described(self.at), "zone": self.zone}

    def __str__(self) -> str:
        return f"{self.calendar}.days({', '.join(_arguments(self.days, self.at))})"


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """Some working days on, at the time of day of its start, or at that time of day.

    It ends on the working day of that number after the day of its start. A start on a day that isn't worked
    on counts as that day's end: without `at`, its due is the end of the working day, at midnight. So one
    working day from a time on Friday ends on Monday at that time; from any time on Saturday or Sunday at the
    end of Monday; from Monday at 0:00 on Tuesday at 0:00, which is the same. Raises ValueError where a part
    can't be.
    """

    calendar: Calendar
    days: int
    at: time | None = None

    def __post_init__(self) -> None:
        _demand(self.days, self.at)

    def due(self, start: datetime) -> datetime:
        """The instant at which they have passed."""
        zone = zone_named(self.calendar.zone)
        wall = shown(zone, start)
        day: date | None = self.calendar.working_day(wall.date(), self.days)
        clock = self.at
        if clock is None and self.calendar.is_working(wall.date()):
            clock = wall.time()
        if clock is None and day is not None:
            day, clock = _later(day, 1), time()
        return INSTANT_MAX if day is None or clock is None else moment(zone, datetime.combine(day, clock))

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        return {"working_days": self.days, "at": _described(self.at), **self.calendar.describe()}

    def __str__(self) -> str:
        return f"{self.calendar.name}.working_days({', '.join(_arguments(self.days, self.at))})"


def _demand(days: int, at: time | None) -> None:
    if type(days) is not int or not 1 <= days <= DURATION_DAYS_MAX:
        raise ValueError(f"days are counted in whole numbers from 1 to {DURATION_DAYS_MAX:,}")
    if at is not None and (not isinstance(at, time) or at.tzinfo is not None or at.fold):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("a time of day is a plain time, without a zone of its own")


def _later(day: date, days: int) -> date | None:
    """So many days on; None past the last day there is."""
    return None if days > (date.max - day).days else day + timedelta(days)


def _described(at: time | None) -> str | None:
    return None if at is None else at.isoformat()


def _arguments(days: int, at: time | None) -> Iterator[str]:
    yield str(days)
    if at is not None:
        yield f"at={repr(at).removeprefix('datetime.')}"
