"""The rows of the file. How their dates are read is explained in the package's docstring."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

LATER = timedelta(days=7_305)
"""Twenty years, with their leap days."""
COMES_AT, GOES_AT, DAY_USE_UNTIL = time(15, tzinfo=UTC), time(11, tzinfo=UTC), time(18, tzinfo=UTC)

CHECKED_OUT, CANCELLED, NO_SHOW = "Check-Out", "Canceled", "No-Show"


@dataclass(frozen=True, slots=True)
class Booking:
    """One row. kind: hotel and type of room. ended: the date of the status."""

    number: int
    kind: str
    booked: date
    arrives: date
    nights: int
    people: int
    status: str
    ended: date

    @property
    def days(self) -> int:
        """How many days the room is taken from the arrival on."""
        return max(self.nights, 1)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when until when, as it is sent."""
        first = self.arrives + LATER
        if not self.nights:
            return datetime.combine(first, COMES_AT), datetime.combine(first, DAY_USE_UNTIL)
        last = first + timedelta(days=self.nights)
        return datetime.combine(first, COMES_AT), datetime.combine(last, GOES_AT)

    @property
    def is_confirmed(self) -> bool:
        """Whether the guest stayed with it beyond the day of the reservation."""
        return self.status != CANCELLED or self.ended > self.booked


def read_bookings(path: Path, every: int) -> list[Booking]:
    """Every `every`-th row of the file."""
    with zipfile.ZipFile(path) as packed, packed.open(packed.namelist()[0]) as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
    return [_booking(number, row) for number, row in list(enumerate(rows))[::every]]


def _booking(number: int, row: Mapping[str, str]) -> Booking:
    named = f"{row['arrival_date_day_of_month']} {row['arrival_date_month']} {row['arrival_date_year']}"
    arrives = datetime.strptime(named, "%d %B %Y").replace(tzinfo=UTC).date()
    return Booking(
        number=number,
        kind=f"{row['hotel']} {row['reserved_room_type']}",
        booked=arrives - timedelta(days=int(row["lead_time"])),
        arrives=arrives,
        nights=int(row["stays_in_weekend_nights"]) + int(row["stays_in_week_nights"]),
        people=sum(_count(row[who]) for who in ("adults", "children", "babies")),
        status=row["reservation_status"],
        ended=datetime.strptime(row["reservation_status_date"], "%m/%d/%Y").replace(tzinfo=UTC).date(),
    )


def _count(text: str) -> int:
    """A number of people; nobody has counted where it says NA."""
    return int(float(text)) if text not in ("NA", "NULL", "") else 0
