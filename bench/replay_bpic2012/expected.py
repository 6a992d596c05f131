"""What must come of each case, computed from the file alone. It must know nothing of what it judges.

What may follow on what is written down here once more, by event.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

OPEN = ("partly_submitted", "preaccepted", "accepted", "finalized")
LIVE = ("created", "sent", "returned")
APPLICATIONS: Mapping[str, Mapping[str, str]] = {
    "A_PARTLYSUBMITTED": {"submitted": "partly_submitted"},
    "A_PREACCEPTED": {"partly_submitted": "preaccepted"},
    "A_ACCEPTED": {"preaccepted": "accepted"},
    "A_FINALIZED": {"accepted": "finalized"},
    "A_APPROVED": {"finalized": "approved"},
    "A_REGISTERED": {"approved": "registered", "activated": "completed"},
    "A_ACTIVATED": {"approved": "activated", "registered": "completed"},
    "A_DECLINED": dict.fromkeys(OPEN, "declined"),
    "A_CANCELLED": dict.fromkeys(OPEN, "cancelled"),
}
OFFERS: Mapping[str, Mapping[str, str]] = {
    "O_CREATED": {"selected": "created"},
    "O_SENT": {"created": "sent"},
    "O_SENT_BACK": {"sent": "returned"},
    "O_ACCEPTED": dict.fromkeys(("sent", "returned"), "accepted"),
    "O_DECLINED": dict.fromkeys(("sent", "returned"), "declined"),
    "O_CANCELLED": dict.fromkeys(LIVE, "cancelled"),
}
WORK: Mapping[str, Mapping[str, str]] = {
    "SCHEDULE": {"scheduled": "scheduled", "laid_down": "scheduled", "under_way": "under_way"},
    "START": {"scheduled": "under_way", "laid_down": "under_way"},
    "COMPLETE": {"under_way": "laid_down"},
}


@dataclass
class Expected:
    """What the log demands.

    ends:      the last state by (case, record): `application`, `offer 1`, or the activity of a work item.
    refused:   events that are refused, by (event, code).
    four_eyes: the cases in which one resource accepts and approves.
    tasks:     what still stands in inboxes, by transition.
    """

    ends: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    four_eyes: set[str] = field(default_factory=set[str])
    tasks: Counter[str] = field(default_factory=Counter[str])


def expect(path: Path, every: int) -> Expected:
    """What must come of every `every`-th case."""
    cases: dict[str, list[list[str]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        columns, *lines = csv.reader(file)
    for line in lines:
        cases[line[columns.index("case:concept:name")]].append(line)
    found = Expected()
    for name in list(cases)[::every]:
        case = _Case(found)
        for row in _ordered([dict(zip(columns, line, strict=True)) for line in cases[name]]):
            code = case.happen(row)
            if code is not None:
                found.refused[_name(row), code] += 1
                if code == "four-eyes":
                    found.four_eyes.add(name)
        found.ends.update({(name, about): state for about, state in case.states().items()})
        found.tasks["approve"] += case.application == "finalized"
        found.tasks["begin"] += sum(state == "scheduled" for state in case.work.values())
    return found


def _ordered(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The order of the file, but an approval first among what happens in its instant."""
    found = list(rows)
    for place, row in enumerate(found):
        first = place
        while row["concept:name"] == "A_APPROVED" and first and _at(found[first - 1]) == _at(row):
            first -= 1
        found.insert(first, found.pop(place))
    return found


def _at(row: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(row["time:timestamp"])


def _name(row: Mapping[str, str]) -> str:
    activity = row["concept:name"]
    return f"{activity} {row['lifecycle:transition']}" if activity[0] == "W" else activity


class _Case:
    """One case as it stands. Each event is told why it is refused, or nothing."""

    def __init__(self, found: Expected) -> None:
        self._found = found
        self.application, self.accepted_by = "submitted", ""
        self.offers = list[str]()
        self.work, self.holders = dict[str, str](), dict[str, str]()

    def states(self) -> dict[str, str]:
        offers = {f"offer {number}": state for number, state in enumerate(self.offers, 1)}
        return {"application": self.application, **offers, **self.work}

    def happen(self, row: Mapping[str, str]) -> str | None:
        event, by = row["concept:name"], row["org:resource"]
        if event.startswith("A_"):
            return self._decide(event, by)
        if event.startswith("O_"):
            return self._offer(event)
        return self._work(event.removeprefix("W_"), row["lifecycle:transition"], by)

    def _decide(self, event: str, by: str) -> str | None:
        if event == "A_SUBMITTED":
            return None
        if event == "A_APPROVED" and by == self.accepted_by:
            return "four-eyes"
        if self.application not in APPLICATIONS[event]:
            return "state-conflict"
        self.application = APPLICATIONS[event][self.application]
        if event == "A_ACCEPTED":
            self.accepted_by = by
        return None

    def _offer(self, event: str) -> str | None:
        if event == "O_SELECTED":
            if self.application not in ("accepted", "finalized"):
                return "guard-failed"
            self.offers.append("selected")
            return None
        numbers = range(len(self.offers) - 1, -1, -1)
        meant = [n for n in numbers if event != "O_CANCELLED" or self.offers[n] in LIVE]
        if not meant:
            return "never-begun"
        if self.offers[meant[0]] not in OFFERS[event]:
            return "state-conflict"
        then = OFFERS[event][self.offers[meant[0]]]
        if then == "created" and any(state in LIVE for state in self.offers):
            return "unique-violated"
        self.offers[meant[0]] = then
        return None

    def _work(self, kind: str, event: str, by: str) -> str | None:
        state = self.work.get(kind)
        if state is None and event != "SCHEDULE":
            return "never-begun"
        if state is not None and state not in WORK[event]:
            return "state-conflict"
        if event != "COMPLETE" and self.application in ("declined", "cancelled"):
            return "guard-failed"
        if event == "COMPLETE" and self.holders[kind] != by:
            return "guard-failed"
        self.work[kind] = "scheduled" if state is None else WORK[event][state]
        if event == "START":
            self.holders[kind] = by
        return None
