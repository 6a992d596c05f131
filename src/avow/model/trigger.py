"""What makes a transition happen by itself: a call's outcome, an event, or time. All others are commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from avow.model.flaw import ValueType
from avow.model.node import Expression
from avow.model.notation import describe, render


class Delay(Protocol):
    """A length of time, possibly by a calendar."""

    def due(self, start: datetime) -> datetime:
        """The instant at which it has passed since `start`; never before it."""
        ...

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        ...


@dataclass(frozen=True, slots=True)
class OnOutcome:
    """The call that the state invokes has ended so: `done`, `failed` or `unknown`."""

    effect: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.effect}.{self.outcome}"

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        return {"on": [self.effect, self.outcome]}


@dataclass(frozen=True, slots=True)
class OnTime:
    """Time has come: `delay` after the state was entered, or the instant that `at` has as its value.

    again: it comes again and again, each time `delay` after the last, while the record stays in the state.
    """

    delay: Delay | None = None
    at: Expression | None = None
    again: bool = False

    def __str__(self) -> str:
        if self.at is not None:
            return f"at {render(self.at)}"
        return f"{'every' if self.again else 'after'} {self.delay}"

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        delay = None if self.delay is None else self.delay.describe()
        return {"after": delay, "at": describe(self.at), "again": self.again}


DATA = "data"
"""The one argument of a transition that an event makes: what is read of it."""
EVENTS = "events"
"""Where events that came too early wait, beside the destinations of calls."""
PARK, REFUSE, STICK = "park", "refuse", "stick"
"""What is done about an event that came too early or too late: kept, refused, left to a person."""


@dataclass(frozen=True, slots=True)
class OnEvent:
    """A sender has told us of an event.

    data:     the type of what is read of it.
    match:    the field that names the record; None: what is read is the record's id.
    told:     the member of the data that has that value.
    early:    `park` or `refuse`: the record isn't there yet, or can still reach a state that takes the event.
    late:     `refuse` or `stick`: it can't any more.
    parked_s: how long an early event is kept, in seconds, before a person has to look at it.
    """

    sender: str
    event: str
    data: ValueType
    match: str | None
    told: str
    early: str
    late: str
    parked_s: float

    def __str__(self) -> str:
        return f"{self.sender}:{self.event}"

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        how = {"early": self.early, "late": self.late, "parked_ms": round(self.parked_s * 1_000)}
        return {"event": [self.sender, self.event], "match": [self.match, self.told], **how}


Trigger: TypeAlias = OnOutcome | OnTime | OnEvent
