"""The words for lengths of time: `days(14)`, `hours(2)`, `calendar(...).working_days(3)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Final

from avow.declare.place import misuse
from avow.model.calendar import WEEKDAYS, Calendar, CalendarDays, Exact, WorkingDays
from avow.model.times import DURATION_DAYS_MAX

_DAY_S = 86_400
_COUNT = "Write a whole number from 0 to {:,}."


def seconds(n: int) -> Exact:
    """An exact length of time: so many seconds."""
    return _exact("seconds", n, 1)


def minutes(n: int) -> Exact:
    """An exact length of time: so many times 60 seconds."""
    return _exact("minutes", n, 60)


def hours(n: int) -> Exact:
    """An exact length of time: so many times 3,600 seconds."""
    return _exact("hours", n, 3_600)


def days(n: int) -> Exact:
    """An exact length of time: so many times 24 hours. `calendar` has days that follow the clock."""
    return _exact("days", n, _DAY_S)


def weeks(n: int) -> Exact:
    """An exact length of time: so many times 168 hours."""
    return _exact("weeks", n, 7 * _DAY_S)


class CalendarWord:
    """A calendar under its name; its delays go into `after=` and `every=`."""

    def __init__(self, declared: Calendar) -> None:
        self._declared: Final = declared

    def __repr__(self) -> str:
        return f"calendar({self._declared.name!r})"

    def days(self, n: int, *, at: time | None = None) -> CalendarDays:
        """So many days by the calendar's clock, at the time of day of the start, or at `at`."""
        zone, name = self._declared.zone, self._declared.name
        try:
            return CalendarDays(zone, n, at, name)
        except ValueError as fault:
            _misfit(name, "days", n, fault)
            return CalendarDays(zone, 1, None, name)

    def working_days(self, n: int, *, at: time | None = None) -> WorkingDays:
        """So many working days after that of the start, at the start's time of day, or at `at`."""
        try:
            return WorkingDays(self._declared, n, at)
        except ValueError as fault:
            _misfit(self._declared.name, "working_days", n, fault)
            return WorkingDays(self._declared, 1)


def calendar(
    name: str,
    *,
    zone: str,
    workdays: str | Iterable[str] = "Mon-Fri",
    holidays: Iterable[date | str] = (),
) -> CalendarWord:
    """Name a calendar: which days are worked on, and by which clock they begin.

    name:     one word, under which its delays are shown.
    zone:     an IANA time zone such as "Europe/Berlin", or "UTC".
    workdays: a span of days of the week, a day, or a list of these: "Mon-Fri", ["Mon-Thu", "Sat"].
    holidays: days that aren't worked on, as dates or such as "2026-12-25"; at most 10,000.
    """
    try:
        return CalendarWord(Calendar(name, zone, frozenset(_workdays(workdays)), _holidays(holidays)))
    except (ValueError, TypeError) as fault:
        misuse("calendar-unreadable", f"{fault!s:.200}", _CALENDAR)
        return CalendarWord(Calendar("calendar", "UTC"))


_CALENDAR = 'Write calendar("office", zone="Europe/Berlin", workdays="Mon-Fri", holidays=["2026-12-25"]).'


def _exact(word: str, n: int, size_s: int) -> Exact:
    most = DURATION_DAYS_MAX * _DAY_S // size_s
    if type(n) is int and 0 <= n <= most:
        return Exact(timedelta(seconds=n * size_s))
    misuse("delay-bounds", f"{word}({n!r:.40}) is no length of time to wait for", _COUNT.format(most))
    return Exact(timedelta(seconds=size_s))


def _misfit(name: str, word: str, n: object, fault: ValueError) -> None:
    misuse("delay-bounds", f"{name}.{word}({n!r:.40}): {fault}", f"Write {name}.{word}(3, at=time(17)).")


def _workdays(given: str | Iterable[str]) -> Iterator[int]:
    for span in (given,) if isinstance(given, str) else given:
        ends = str(span).split("-")
        if len(ends) > 2 or not set(ends) <= set(WEEKDAYS):
            raise ValueError(f"{span!r:.40} names no days of the week")
        first, last = WEEKDAYS.index(ends[0]), WEEKDAYS.index(ends[-1])
        yield from (day % 7 for day in range(first, last + 1 if first <= last else last + 8))


def _holidays(given: Iterable[date | str]) -> tuple[date, ...]:
    return tuple(sorted({_holiday(day) for day in given}))


def _holiday(given: date | str) -> date:
    if isinstance(given, str):
        return date.fromisoformat(given)
    if isinstance(given, datetime) or not isinstance(given, date):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{given!r:.60} isn't a day")
    return given
