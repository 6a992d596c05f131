"""What a command costs in Python, counted in calls: the same on every machine, and on every day.

The budgets lie a little above what was reached. Who needs more for a good reason raises them; who needs
less lowers them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import pytest

import avow
from avow import Entity, State, create, field, invariant, read, role, system, transition
from avow.engine.entries import entries_of
from avow.kernel.command import Command, Decision, Key, Record
from avow.kernel.decide import decide
from avow.kernel.view import seen_by
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from examples.enrollment.system import app as enrollment

SOURCES = str(Path(avow.__file__).parent)
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

clerk = role("clerk")


class Payment(Entity):
    """A payment that is captured in parts."""

    amount: int = field(ge=1)
    captured: int = field(default=0, ge=0)
    never_over = invariant(captured <= amount, "Never more captured than authorized.")
    visible = read(by=clerk)
    open = State(initial=True)
    closed = State(final=True)
    authorize = create(open, by=clerk, sets=[amount])
    close = transition(open, to=closed, by=clerk)

    @transition(open, to=open, by=clerk)
    def capture(self, amount: int) -> None:
        self.captured += amount


payment = system("payment", Payment)


@dataclass(frozen=True)
class Case:
    """One command, and what it may cost: calls of functions of ours, and keys that are hashed."""

    system: System
    record: Record
    others: tuple[Record, ...]
    name: str
    given: dict[str, Any]
    actor: Actor
    decide: int
    entries: int
    shown: int
    hashes: int

    @property
    def records(self) -> dict[Key, Record]:
        return {record.key: record for record in (self.record, *self.others)}

    @property
    def command(self) -> Command:
        return Command(
            self.record.entity, self.name, self.record.id, self.given, self.actor, UUID(int=9), None
        )


COURSE = Record("Course", UUID(int=1), "open", 3, {"title": "Greek", "seats": 30, "taken": 4})
ASKED = {"applicant": Subject("ana"), "course": COURSE.id, "essay": "because"}
ENROLLMENT = Record("Enrollment", UUID(int=2), "verified", 3, ASKED, {"verify": ("rita",)})
PAID = Record("Payment", UUID(int=3), "open", 7, {"amount": 100, "captured": 12})


def actor(who: str, *roles: str) -> Actor:
    return Actor(Subject(who), "main", frozenset(roles))


CASES = {
    "capture": Case(
        payment, PAID, (), "capture", {"amount": 1}, actor("ann", "clerk"),
        decide=35, entries=11, shown=7, hashes=13,
    ),
    "approve": Case(
        enrollment, ENROLLMENT, (COURSE,), "approve", {}, actor("dora", "dean"),
        decide=65, entries=20, shown=28, hashes=25,
    ),
}  # fmt: skip


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often which function is called: those of ours, and the hash of an id.

    Not the bodies of comprehensions, which newer Pythons don't call.
    """
    found = Counter[str]()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        ours = code.co_filename.startswith(SOURCES) and not code.co_name.endswith(("comp>", "expr>"))
        if event == "call" and (ours or code is UUID.__hash__.__code__):
            found[code.co_qualname] += 1

    work()  # what is made once isn't counted
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_command_costs_no_more_calls_than_its_budget(name: str) -> None:
    case = CASES[name]
    records, command = case.records, case.command
    decision = decide(case.system, records, command, NOW)
    assert isinstance(decision, Decision)
    result = decision.result
    costs = {
        "decide": calls(lambda: decide(case.system, records, command, NOW)),
        "entries": calls(lambda: entries_of(case.system, command, decision, NOW, "request")),
        "shown": calls(lambda: seen_by(case.system, result, command.actor, NOW, records)),
    }
    hashes = sum(cost.pop("UUID.__hash__", 0) for cost in costs.values())
    for part, cost in costs.items():
        assert cost.total() <= getattr(case, part), (part, cost)
    assert hashes <= case.hashes
