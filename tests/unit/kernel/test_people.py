"""Approvals are counted by people, stand for what was seen, and can't be had by letting another do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from avow import Entity, State, authenticated, create, everybody, read, system, transition, votes
from avow.kernel.command import Acted, Begun, Command, Decision, Key, OpenTask, Record, Rejection, Step
from avow.kernel.decide import decide
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from tests.store.expense import expenses

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY: Key = ("Expense", UUID(int=1))


@dataclass
class Desk:
    """One expense, and the commands that are given to it."""

    system: System = field(default_factory=expenses)
    records: dict[Key, Record] = field(default_factory=dict[Key, Record])

    def do(self, who: str, roles: str, command: str, **given: Any) -> Step | str:
        """The step that a command makes; or the code of its refusal."""
        actor = Actor(Subject(who), "main", frozenset(roles.split()))
        decided = decide(
            self.system, self.records, Command("Expense", command, KEY[1], given, actor, UUID(int=2)), NOW
        )
        if isinstance(decided, Rejection):
            return decided.code
        assert isinstance(decided, Decision)
        self.records[KEY] = decided.result
        return decided.steps[0]

    def task(self, **changed: Any) -> None:
        """Let something have been done with the task of `approve`."""
        record = self.records[KEY]
        task = record.tasks["approve"]
        self.records[KEY] = record._replace(tasks={"approve": task._replace(acts=task.acts + 1, **changed)})

    @property
    def record(self) -> Record:
        return self.records[KEY]


def checked(amount: int) -> Desk:
    desk = Desk()
    assert isinstance(desk.do("ann", "boss", "start", amount=amount), Step)
    assert isinstance(desk.do("ann", "boss", "submit"), Step)
    assert isinstance(desk.do("carl", "clerk", "check"), Step)
    return desk


def test_each_tier_demands_its_number() -> None:
    for amount, needed in ((0, 1), (99, 1), (100, 2), (999, 2), (1_000, 3)):
        desk = checked(amount)
        for n in range(1, needed + 1):
            assert desk.record.state == "checked"
            desk.do(f"boss {n}", "boss", "approve")
        assert (desk.record.state, len(desk.record.performers["approve"])) == ("approved", needed)


def test_nobody_counts_twice() -> None:
    desk = checked(500)
    assert isinstance(desk.do("bob", "boss", "approve"), Step)
    assert desk.do("bob", "boss", "approve") == "four-eyes"
    assert desk.record.state == "checked"


def test_votes_are_counted_by_people_and_not_by_acts() -> None:
    class Expense(Entity):
        """One that needs two signatures."""

        everybody_in = read(by=everybody)
        open, closed = State(initial=True), State(final=True)
        start = create(open, by=authenticated)
        sign = transition(open, to=open, by=authenticated)
        close = transition(open, to=closed, by=authenticated, when=votes(sign) >= 2)

    desk = Desk(system("expenses", Expense))
    for who, command in (("ann", "start"), ("bob", "sign"), ("bob", "sign")):
        assert isinstance(desk.do(who, "", command), Step)
    assert desk.do("ann", "", "close") == "guard-failed"
    desk.do("ann", "", "sign")
    assert isinstance(desk.do("ann", "", "close"), Step)


def test_an_edit_voids_what_was_agreed_and_who_delegated_it() -> None:
    desk = checked(500)
    desk.task(delegated={"bob": ("bea",)})
    desk.do("bob", "boss", "approve")
    assert desk.record.performers["approve.for"] == ("bea",)
    step = desk.do("ann", "boss", "edit", amount=600)
    assert isinstance(step, Step)
    assert {name: subjects for name, subjects in desk.record.performers.items() if subjects} == {}
    desk.do("carl", "clerk", "check")
    assert isinstance(desk.do("bea", "boss", "approve"), Step)


def test_what_is_not_voided_stays() -> None:
    desk = checked(500)
    desk.do("bob", "boss", "approve")
    desk.do("ann", "boss", "reword", note="clearer")
    desk.do("bea", "boss", "approve")
    assert desk.record.state == "approved"


def test_who_lets_another_do_it_has_done_it_and_counts_for_nothing() -> None:
    desk = checked(500)
    desk.task(holder="bob", held_until=NOW + timedelta(hours=1), delegated={"bob": ("bea",)})
    desk.do("bob", "boss", "approve")
    assert desk.record.performers["approve"] == ("bob",)
    assert desk.record.state == "checked"
    assert desk.do("bea", "boss", "approve") == "four-eyes"
    desk.do("boris", "boss", "approve")
    assert desk.do("bea", "boss", "pay") == "four-eyes"
    assert isinstance(desk.do("ben", "boss", "pay"), Step)


def test_what_one_holds_no_other_does_until_the_time_is_over() -> None:
    desk = checked(50)
    desk.task(holder="bea", held_until=NOW + timedelta(microseconds=1))
    assert desk.do("bob", "boss", "approve") == "task-claimed"
    desk.task(held_until=NOW)
    assert isinstance(desk.do("bob", "boss", "approve"), Step)


def test_a_task_begins_with_its_state_and_ends_with_it() -> None:
    desk = Desk()
    desk.do("ann", "boss", "start", amount=500)
    step = desk.do("ann", "boss", "submit")
    assert isinstance(step, Step)
    assert step.tasks == {"check": Begun("clerk", None, None, (), 28_800_000)}
    step = desk.do("carl", "clerk", "check")
    assert isinstance(step, Step)
    due, remind = NOW + timedelta(days=3), (NOW + timedelta(days=2),)
    assert step.tasks == {
        "check": Acted(0, ends=True),
        "approve": Begun("boss", due, "board", remind, 28_800_000),
    }
    step = desk.do("ann", "boss", "withdraw")
    assert isinstance(step, Step)
    assert step.tasks == {"approve": None}


def test_an_approval_that_is_not_the_last_lets_the_task_stand_for_the_next() -> None:
    desk = checked(500)
    desk.task(holder="bob", held_until=NOW + timedelta(hours=1))
    step = desk.do("bob", "boss", "approve")
    assert isinstance(step, Step)
    assert (step.transition.name, step.tasks) == ("approve.vote", {"approve": Acted(1, ends=False)})
    task: OpenTask = desk.record.tasks["approve"]
    assert (task.acts, task.holder) == (2, None)
