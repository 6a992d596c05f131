"""When there is no worker: spans of the log's time, from the file alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.replay_receipt.log import Case

OUTAGE = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Outage:
    """From the moment at which both workers are killed until the one at which they are started again."""

    begins: datetime
    ends: datetime


def plan(cases: Sequence[Case], count: int) -> list[Outage]:
    """So many outages, at even distances between the first activity and the last; each begins at midnight."""
    times = [activity.at for case in cases for activity in case.activities]
    first, last = min(times), max(times)
    found: list[Outage] = []
    for number in range(1, count + 1):
        moment = (first + (last - first) * number / (count + 1)).astimezone(UTC)
        begins = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        found.append(Outage(begins, begins + OUTAGE))
    return found
