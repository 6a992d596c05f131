"""Clocks on walls: what they show in a time zone, and when they show it.

Where clocks are set back, a time comes twice; where they are set forward, some times don't come at all, and
once whole days didn't (Samoa, 2011-12-30). Both functions here are monotone all the same: `shown` never goes
back, and `moment` never comes before what it is asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from avow.model.times import INSTANT_MAX

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_ACROSS_THE_DATE_LINE = timedelta(hours=12)
# Without the machine's own zone, and without the trees that count leap seconds or say the same again.
_NAME = re.compile(r"UTC|(?!posix/|right/)[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2}", re.ASCII)


def zone_named(name: str) -> ZoneInfo:
    """The time zone of an IANA name such as Europe/Berlin, or UTC. Raises ValueError."""
    fault = f"{name!r:.60} names no time zone"
    if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(fault)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no zone's data; a folder of zones
        raise ValueError(fault) from None


def shown(zone: ZoneInfo, instant: datetime) -> datetime:
    """The latest time that clocks in the zone have shown up to an instant, without its zone.

    Where they are set back, it stands still until they have caught up.
    """
    local = instant.astimezone(zone)
    if not local.fold:
        return local.replace(tzinfo=None)
    before, after = _offsets(zone, local)
    return (_changed(zone, instant - (before - after), instant) + before).replace(tzinfo=None)


def moment(zone: ZoneInfo, wall: datetime) -> datetime:
    """The instant in UTC at which clocks in the zone show a time, and from which they show no earlier one.

    Of a time that comes twice, the second; for one that doesn't come, the first instant after the gap. At
    most the last instant there is.
    """
    if wall.date() >= INSTANT_MAX.date() + _DAY:
        return INSTANT_MAX
    before, after = _offsets(zone, wall)
    instant = wall.replace(tzinfo=UTC) - after
    if before < after:
        instant = _changed(zone, instant, wall.replace(tzinfo=UTC) - before)
    return min(instant, INSTANT_MAX)


def skipped_days(zone: ZoneInfo, year: int) -> tuple[date, ...]:
    """The days of a year that never came in the zone, as it moved across the date line."""
    first = date(year, 1, 1)
    ends = (datetime(year, 1, 1), datetime(year, 12, 31))  # noqa: DTZ001
    begun, ended = _offsets(zone, ends[0])[0], _offsets(zone, ends[1])[1]
    if abs(ended - begun) < _ACROSS_THE_DATE_LINE:
        return ()
    days = (first + timedelta(days) for days in range(366))
    return tuple(day for day in days if day.year == year and not _comes(zone, day))


def _comes(zone: ZoneInfo, day: date) -> bool:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001
    return moment(zone, midnight).astimezone(zone).date() == day


def _offsets(zone: ZoneInfo, wall: datetime) -> tuple[timedelta, timedelta]:
    """The offsets from UTC of a local time by the rules before a change of clocks there, and after it."""
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset()
    return before or timedelta(), after or timedelta()


def _changed(zone: ZoneInfo, early: datetime, late: datetime) -> datetime:
    """The first instant after `early` and up to `late` that has the offset of `late`."""
    offset = late.astimezone(zone).utcoffset()
    while late - early > _TICK:
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late
