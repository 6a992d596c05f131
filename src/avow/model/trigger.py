"""What makes a transition happen by itself: the outcome of a call, or time. All others are commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

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


Trigger: TypeAlias = OnOutcome | OnTime
