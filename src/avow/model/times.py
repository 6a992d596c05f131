"""Days, instants and lengths of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from avow.canonical import JsonValue
from avow.model.flaw import misfit

DURATION_DAYS_MAX = 3_650_000

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)
_DURATION = re.compile(
    r"(-)?P(?:([0-9]{1,7})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,12})(?:\.([0-9]{1,6}))?S)?)?"
)
DURATION_MAX = timedelta(days=DURATION_DAYS_MAX)
_INSTANT_MIN = datetime(1, 1, 2, tzinfo=UTC)
INSTANT_MAX = datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DateType:
    """A calendar day, written 2026-11-21."""

    def parse(self, raw: Any, at: str) -> date:
        if isinstance(raw, str) and _DATE.fullmatch(raw):
            try:
                return date.fromisoformat(raw)
            except ValueError:
                pass
        raise misfit(at, "not-a-date", "must be a date such as 2026-11-21")

    def fit(self, value: Any, at: str) -> date:
        if isinstance(value, datetime) or not isinstance(value, date):
            raise misfit(at, "not-a-date", "must be a date")
        return value

    def dump(self, value: date) -> JsonValue:
        return value.isoformat()

    def describe(self) -> dict[str, Any]:
        return {"type": "date"}


@dataclass(frozen=True, slots=True)
class DateTimeType:
    """An instant (RFC 3339), kept in UTC to the microsecond."""

    def parse(self, raw: Any, at: str) -> datetime:
        if isinstance(raw, str) and _DATETIME.fullmatch(raw):
            try:
                return self.fit(datetime.fromisoformat(raw.upper()), at)
            except (ValueError, OverflowError):
                pass
        raise misfit(at, "not-an-instant", "must be an RFC 3339 time such as 2026-11-21T09:30:00Z")

    def fit(self, value: Any, at: str) -> datetime:
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise misfit(at, "not-an-instant", "must be a time with its offset from UTC")
        if not _INSTANT_MIN <= value <= INSTANT_MAX:
            raise misfit(at, "out-of-range", "must lie from 0001-01-02T00:00:00Z to 9999-12-30T00:00:00Z")
        return value.astimezone(UTC)

    def dump(self, value: datetime) -> JsonValue:
        return instant(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "instant"}


def instant(value: datetime) -> str:
    """Write an instant in UTC with six digits of a second: 2026-11-21T09:30:00.000000Z."""
    in_utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return f"{in_utc.isoformat('T', 'microseconds')[:-6]}Z"  # the zone is written +00:00


@dataclass(frozen=True, slots=True)
class DurationType:
    """A length of time (ISO 8601: days, hours, minutes, seconds; no months or years)."""

    def parse(self, raw: Any, at: str) -> timedelta:
        match = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
        if match is None or not any(match.groups()[1:]):
            raise misfit(at, "not-a-duration", "must be a duration such as P14D or PT1H30M")
        sign, days, hours, minutes, seconds, fraction = match.groups()
        micros = int((fraction or "").ljust(6, "0"))
        length = timedelta(int(days or 0), int(seconds or 0), micros, 0, int(minutes or 0), int(hours or 0))
        return self.fit(-length if sign else length, at)

    def fit(self, value: Any, at: str) -> timedelta:
        if not isinstance(value, timedelta):
            raise misfit(at, "not-a-duration", "must be a duration")
        if not -DURATION_MAX <= value <= DURATION_MAX:
            raise misfit(at, "out-of-range", f"must be at most {DURATION_DAYS_MAX:,} days")
        return value

    def dump(self, value: timedelta) -> JsonValue:
        micros = value // timedelta(microseconds=1)
        seconds, rest = divmod(abs(micros), 1_000_000)
        fraction = f".{rest:06d}" if rest else ""
        return f"{'-' if micros < 0 else ''}PT{seconds}{fraction}S"

    def describe(self) -> dict[str, Any]:
        return {"type": "duration"}
