"""The rows of the file, and in which order their steps are sent. The reading of the dates is explained in
the package's docstring; how a row ends isn't known here."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SEATS_PERCENT = 95

Kind = Literal["approve", "leave"]


@dataclass(frozen=True, slots=True)
class Registration:
    """One row. Days count from the presentation's first day; None where the file has no date."""

    presentation: str
    student: str
    registered: int | None
    unregistered: int | None

    @property
    def is_handed_in(self) -> bool:
        """Whether the registration was ever completed."""
        return self.registered is not None

    @property
    def is_withdrawn_early(self) -> bool:
        """Whether the application is withdrawn before anybody approves it."""
        if self.unregistered is None:
            return False
        return self.registered is None or self.unregistered < 0

    @property
    def approval_day(self) -> int:
        """On which day it is approved, if it gets that far."""
        return max(self.registered or 0, 0)


def read_registrations(path: Path, every: int) -> list[Registration]:
    """Every `every`-th row of the file."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))[::every]
    return [
        Registration(
            presentation=f"{row['code_module']}-{row['code_presentation']}",
            student=row["id_student"],
            registered=_day(row["date_registration"]),
            unregistered=_day(row["date_unregistration"]),
        )
        for row in rows
    ]


def seats_of(registrations: Sequence[Registration]) -> dict[str, int]:
    """The places of each presentation."""
    counts: dict[str, int] = defaultdict(int)
    for row in registrations:
        counts[row.presentation] += 1
    return {name: max(count * SEATS_PERCENT // 100, 1) for name, count in sorted(counts.items())}


def in_order_of_arrival(registrations: Sequence[Registration]) -> list[Registration]:
    """The order in which applications are started; approvals can follow closely behind."""
    return sorted(registrations, key=lambda row: (row.approval_day, row.registered or 0, int(row.student)))


def seat_events(registrations: Sequence[Registration]) -> dict[str, list[tuple[Kind, Registration]]]:
    """Approvals and departures of each presentation, in the order in which they take and free places."""
    found: dict[str, list[tuple[int, Kind, Registration]]] = defaultdict(list)
    for row in registrations:
        if not row.is_handed_in or row.is_withdrawn_early:
            continue
        found[row.presentation].append((row.approval_day, "approve", row))
        if row.unregistered is not None:
            found[row.presentation].append((row.unregistered, "leave", row))
    return {
        presentation: [(kind, row) for _, kind, row in sorted(events, key=_order)]
        for presentation, events in found.items()
    }


def _order(event: tuple[int, Kind, Registration]) -> tuple[int, bool, int, int]:
    day, kind, row = event
    return day, kind == "leave", row.registered or 0, int(row.student)


def _day(text: str) -> int | None:
    return int(text) if text else None
