"""What the database's clock shows, known from the last time that it was read.

Every load brings the database's time. From then on the process's own steady clock tells how much has
passed. What is given is a time that the database's clock had reached when the reading arrived, and what
has passed since: never ahead of that clock, and behind it by a round trip at most. It is given only
while readings bear it out: never from a clock that stands still (as tests make it) or has jumped.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

TRIP_S_MAX: Final = 0.1
"""A reading whose round trip took longer says too little."""
PROOF_S: Final = 0.5
"""How far apart two readings are that show whether both clocks run alike: several round trips."""
FRESH_S: Final = 1.0
"""How long a reading counts. A jump of the database's clock is noticed after so long at the latest."""


class Reading(NamedTuple):
    """The time that was shown, when that arrived by the steady clock, and how long the round trip took."""

    shown: datetime
    told_s: float
    trip_s: float


class DatabaseClock:
    """The clock of one database, as a process knows it; seconds are those of `time.monotonic`."""

    __slots__ = ("_anchor", "_given", "_latest", "_proven")

    def __init__(self) -> None:
        self._anchor: Reading | None = None
        self._latest: Reading | None = None
        self._given: datetime | None = None
        self._proven = False

    def read(self, shown: datetime, asked_s: float, told_s: float) -> None:
        """Take note of what the clock showed between `asked_s` and `told_s`."""
        if told_s - asked_s > TRIP_S_MAX:
            return
        self._latest = reading = Reading(shown, told_s, told_s - asked_s)
        anchor = self._anchor
        if anchor is None:
            self._anchor = reading
        elif told_s - anchor.told_s >= PROOF_S:
            self._proven, self._anchor = _agree(anchor, reading), reading
            if not self._proven:
                self._given = None

    def now(self, at_s: float) -> datetime | None:
        """The time at `at_s`, which is now; None where it has to be read. It never goes back."""
        latest = self._latest
        if latest is None or not self._proven or at_s - latest.told_s > FRESH_S:
            return None
        now = latest.shown + timedelta(seconds=at_s - latest.told_s)
        if self._given is None or now > self._given:
            self._given = now
        return self._given


def _agree(earlier: Reading, later: Reading) -> bool:
    """Whether as much has passed on one clock as on the other, as closely as round trips can tell."""
    passed_s = (later.shown - earlier.shown).total_seconds()
    return abs(passed_s - (later.told_s - earlier.told_s)) <= earlier.trip_s + later.trip_s
