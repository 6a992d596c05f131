"""The cases of the log with their activities, and which command each activity is."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

RECEIPT = "Confirmation of receipt"
CLOSING = "closing of the case"
"""What isn't an activity of the log, but its end date."""


@dataclass(frozen=True, slots=True)
class Activity:
    """One row. name: its code, such as T02 or T07-1, or RECEIPT."""

    name: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Case:
    """One application. ended: when it was closed; None where the log never says."""

    name: str
    department: str
    channel: str
    responsible: str
    deadline: datetime
    planned_end: datetime
    ended: datetime | None
    activities: tuple[Activity, ...]

    @property
    def received(self) -> datetime:
        """When its permit comes into being."""
        return self.activities[0].at

    @property
    def closing(self) -> datetime | None:
        """When it is closed; not before it was received."""
        return None if self.ended is None else max(self.ended, self.received)


def read_cases(path: Path, every: int) -> list[Case]:
    """Every `every`-th case of the log, in the log's order."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            rows[row["case:concept:name"]].append(row)
    return [_case(name, of_case) for name, of_case in list(rows.items())[::every]]


def _case(name: str, rows: list[dict[str, str]]) -> Case:
    rows.sort(key=lambda row: int(row["event_index"]))
    first = rows[0]
    ended = first["case:enddate"]
    return Case(
        name=name,
        department=first["case:department"],
        channel=first["case:channel"],
        responsible=first["case:responsible"],
        deadline=datetime.fromisoformat(first["case:deadline"]),
        planned_end=datetime.fromisoformat(first["case:enddate_planned"]),
        ended=datetime.fromisoformat(ended) if ended else None,
        activities=tuple(_activity(row) for row in rows),
    )


def _activity(row: Mapping[str, str]) -> Activity:
    name = row["concept:name"]
    short = name if name == RECEIPT else name.partition(" ")[0]
    return Activity(short, datetime.fromisoformat(row["time:timestamp"]), row["org:resource"])


@dataclass(frozen=True, slots=True)
class Means:
    """What an activity is: a command of one of the case's records.

    about:  which of them: a kind of letter, or `stop` for the assessment. begins: whether it creates it;
            where it does only the first time, `again` is the command of the others.
    number: which aspect or party it is about.
    """

    about: str
    command: str
    begins: bool = False
    again: str | None = None
    number: int | None = None


STOP = "stop"
_LETTER = ("draft", "check", "adjust", "determine", "send")
_LETTERS = {
    "confirmation": (RECEIPT, "T02", "T03", "T04", "T05"),
    "missing": ("T11", "T12", "T13", "T14", "T15"),
    "report": ("T16", "T17", "T18", "T19", "T20"),
}
MEANS: Mapping[str, Means] = {
    **{
        activity: Means(kind, command, begins=command == "draft")
        for kind, activities in _LETTERS.items()
        for activity, command in zip(activities, _LETTER, strict=True)
    },
    "T06": Means(STOP, "consider", begins=True, again="reconsider"),
    **{f"T07-{aspect}": Means(STOP, "advise", number=aspect) for aspect in range(1, 6)},
    "T08": Means(STOP, "ask"),
    **{f"T09-{party}": Means(STOP, "hear", number=party) for party in range(1, 5)},
    "T10": Means(STOP, "decide"),
}
