"""The cases of the log with their events, and which command each event is."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.replay_bpic2012.system import Kind

AUTOMATIC = "112"
"""The resource that is no person."""
UNNAMED = "unnamed"
"""Who does what the log gives no resource for."""
SUBMITTED, FORWARDED, APPROVED = "A_SUBMITTED", "A_PARTLYSUBMITTED", "A_APPROVED"
SCHEDULE = "SCHEDULE"


@dataclass(frozen=True, slots=True)
class Event:
    """One row. name: its activity; of human work also what was done: `W_Valideren aanvraag START`."""

    name: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Case:
    """One application, with its events in the order in which they are given."""

    name: str
    amount: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Means:
    """What an event is: a command of one of the case's records.

    about: `application`, `offer`, or the kind of work. begins: the record comes into being with it.
    """

    about: str
    command: str
    begins: bool = False


APPLICATION, OFFER = "application", "offer"
_APPLICATION = {
    "PREACCEPTED": "preaccept",
    "ACCEPTED": "accept",
    "FINALIZED": "finalize",
    "APPROVED": "approve",
    "REGISTERED": "register",
    "ACTIVATED": "activate",
    "DECLINED": "decline",
    "CANCELLED": "cancel",
}
_OFFER = {
    "CREATED": "draw_up",
    "SENT": "send",
    "SENT_BACK": "take_back",
    "ACCEPTED": "accept",
    "DECLINED": "decline",
    "CANCELLED": "cancel",
}
_WORK = {SCHEDULE: "schedule", "START": "begin", "COMPLETE": "lay_down"}
MEANS: Mapping[str, Means] = {
    SUBMITTED: Means(APPLICATION, "submit", begins=True),
    "O_SELECTED": Means(OFFER, "select", begins=True),
    **{f"A_{event}": Means(APPLICATION, command) for event, command in _APPLICATION.items()},
    **{f"O_{event}": Means(OFFER, command) for event, command in _OFFER.items()},
    **{
        f"W_{kind.value} {event}": Means(kind.value, command, begins=event == SCHEDULE)
        for kind in Kind
        for event, command in _WORK.items()
    },
}
"""All but A_PARTLYSUBMITTED, which happens by itself."""


def read_cases(path: Path, every: int) -> list[Case]:
    """Every `every`-th case of the log, in the log's order."""
    rows: dict[str, list[list[str]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        head, *lines = csv.reader(file)
    place = head.index("case:concept:name")
    for line in lines:
        rows[line[place]].append(line)
    wanted = list(rows.items())[::every]
    return [_case(name, [dict(zip(head, line, strict=True)) for line in told]) for name, told in wanted]


def _case(name: str, rows: list[dict[str, str]]) -> Case:
    """Within one instant the log has no order: there, an approval comes before what follows from it."""
    rows.sort(key=lambda row: int(row["event_index"]))
    events = sorted(map(_event, rows), key=lambda event: (event.at, event.name != APPROVED))
    return Case(name, int(rows[0]["case:AMOUNT_REQ"]), tuple(events))


def _event(row: Mapping[str, str]) -> Event:
    activity, done = row["concept:name"], row["lifecycle:transition"]
    name = f"{activity} {done}" if activity.startswith("W_") else activity
    return Event(name, datetime.fromisoformat(row["time:timestamp"]), row["org:resource"] or UNNAMED)
