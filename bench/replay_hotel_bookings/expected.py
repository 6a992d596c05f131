"""How each booking must end, computed from the file alone. It must know nothing of what it judges.

Rooms are calendars here: for each day, from which date on somebody else may have it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
ENDS = {"Check-Out": "departed", "Canceled": "cancelled", "No-Show": "missed"}
DAY = timedelta(days=1)


@dataclass
class Expected:
    """ends: by row, of each booking that gets a room, that room and its last state. refused: by code."""

    ends: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    refused: Counter[str] = field(default_factory=Counter[str])


def expect(path: Path, every: int) -> Expected:
    """What must come of every `every`-th row."""
    with zipfile.ZipFile(path) as packed:
        text = io.TextIOWrapper(packed.open(packed.namelist()[0]), "utf-8", newline="")
        rows = list(enumerate(csv.DictReader(text)))[::every]
    arrivals = {number: _arrival(row) for number, row in rows}
    worst = _worst_days(rows, arrivals)
    calendars: dict[str, list[dict[date, date]]] = {
        kind: [{} for _ in range(max(count * 45 // 100, 1))] for kind, count in worst.items()
    }
    found = Expected()
    for number, row in sorted(rows, key=lambda item: (_asked(item[1], arrivals[item[0]]), item[0])):
        people = sum(int(row[who]) for who in ("adults", "children", "babies") if row[who].isdigit())
        if not 1 <= people <= 5:
            found.refused["guard-failed" if people else "input-invalid"] += 1
            continue
        nights = _nights(row, arrivals[number])
        asked = _asked(row, arrivals[number])
        place = _place(calendars[_kind(row)], nights, asked, _free_from(row, asked, arrivals[number]))
        if place is None:
            found.refused["exclusion-violated"] += 1
        else:
            found.ends[number] = f"{_kind(row)} {place}", ENDS[row["reservation_status"]]
    return found


def _free_from(row: Mapping[str, str], asked: date, arrival: date) -> date:
    """From when on others may ask for the room: who comes and goes on one day keeps it for that day."""
    begun = arrival if row["reservation_status"] == "Check-Out" else asked
    return max(_date(row), begun + DAY)


def _place(rooms: list[dict[date, date]], nights: list[date], asked: date, free: date) -> int | None:
    """The first room that somebody who asks on that date gets; others may ask for it from `free` on."""
    for place, calendar in enumerate(rooms):
        if all(calendar.get(night, date.min) <= asked for night in nights):
            calendar.update(dict.fromkeys(nights, free))
            return place
    return None


def _worst_days(rows: list[tuple[int, dict[str, str]]], arrivals: Mapping[int, date]) -> dict[str, int]:
    per_day: dict[str, Counter[date]] = defaultdict(Counter)
    for number, row in rows:
        per_day[_kind(row)].update(_nights(row, arrivals[number]))
    return {kind: max(days.values()) for kind, days in per_day.items()}


def _kind(row: Mapping[str, str]) -> str:
    return f"{row['hotel']} {row['reserved_room_type']}"


def _arrival(row: Mapping[str, str]) -> date:
    month = MONTHS.index(row["arrival_date_month"]) + 1
    return date(int(row["arrival_date_year"]), month, int(row["arrival_date_day_of_month"]))


def _asked(row: Mapping[str, str], arrival: date) -> date:
    return arrival - int(row["lead_time"]) * DAY


def _date(row: Mapping[str, str]) -> date:
    month, day, year = map(int, row["reservation_status_date"].split("/"))
    return date(year, month, day)


def _nights(row: Mapping[str, str], arrival: date) -> list[date]:
    count = int(row["stays_in_weekend_nights"]) + int(row["stays_in_week_nights"])
    return [arrival + night * DAY for night in range(count or 1)]
