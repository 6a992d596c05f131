"""Tasks: what waits for a person, as it is declared: a command, or a call that got stuck."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avow.model.node import Expression
from avow.model.notation import describe
from avow.model.place import Place
from avow.model.trigger import Delay


@dataclass(frozen=True, slots=True)
class Task:
    """What stands in the inbox of a role: a command, for as long as its record is in a state that it leaves;
    a call, for as long as it is stuck.

    role:     whose inbox. escalate: into whose it goes when it is due, if any.
    due:      how long after the state was entered, or the call's last attempt was begun; due_at: or, of a
              command, at which instant; neither: never.
    remind:   how long after the same it is reminded of.
    claim_ms: how long a claim or a delegation lasts, in milliseconds.
    shows:    the fields that stand beside it, for those who may see them.
    """

    role: str
    due: Delay | None = None
    due_at: Expression | None = None
    remind: tuple[Delay, ...] = ()
    escalate: str | None = None
    claim_ms: int = 28_800_000
    shows: tuple[str, ...] = ()
    place: Place = field(default=Place(), compare=False)

    def describe(self) -> dict[str, Any]:
        """As canonical plain data, for the fingerprint."""
        return {
            "role": self.role,
            "due": None if self.due is None else self.due.describe(),
            "due_at": describe(self.due_at),
            "remind": [delay.describe() for delay in self.remind],
            "escalate": self.escalate,
            "claim_ms": self.claim_ms,
            "shows": list(self.shows),
        }
