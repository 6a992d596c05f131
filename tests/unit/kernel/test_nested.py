"""Steps inside steps: each one exact, in the order of the versions, and nothing between them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow import (
    Actor,
    Entity,
    State,
    Subject,
    authenticated,
    create,
    field,
    internal,
    invariant,
    opaque,
    read,
    ref,
    system,
    transition,
)
from avow.kernel.command import Command, Decision, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.model.draft import BodyFault

ANA = Actor(Subject("ana"), "t")
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Account(Entity):
    total: int = field(default=0)
    moves: int = field(default=0)
    solvent = invariant(total >= 0, "Never below zero.")
    visible = read(by=authenticated)
    open, frozen, closed = State(initial=True), State(), State(final=True)
    start = create(open, by=authenticated)
    end = transition(frozen, to=closed, by=authenticated)

    @transition(open, to=open, by=internal)
    def add(self, amount: int) -> None:
        self.total += amount
        self.moves += 1

    @transition(open, to=open, by=authenticated)
    def twice(self, amount: int) -> None:
        """Its own change first, then two steps of the same record."""
        self.moves += 10
        self.add(amount)
        self.add(amount)

    @transition(open, to=open, by=authenticated)
    def mistaken(self) -> None:
        self.moves = self.actor  # type: ignore[assignment]  # whoever has no type checker

    @transition(open, to=frozen, by=authenticated)
    def freeze_and_end(self) -> None:
        self.moves = 5
        self.end()

    @transition(open, to=open, by=authenticated)
    def late(self) -> None:
        self.add(1)
        self.moves = 99

    @transition(open, to=frozen, by=authenticated)
    def add_after_freezing(self) -> None:
        self.add(1)

    @transition(open, to=open, by=authenticated)
    def typo(self) -> None:
        handle: Any = self
        handle.toatl = 3

    @transition(
        open, to=open, by=authenticated, when=opaque(lambda account: setattr(account, "total", 5) is None)
    )
    def sly(self) -> None:
        pass


class Transfer(Entity):
    source: Account = ref()
    target: Account = ref()
    amount: int = field(ge=1)
    notes: int = field(default=0)
    visible = read(by=authenticated)
    planned, done = State(initial=True), State(final=True)
    plan = create(planned, by=authenticated, sets=[source, target, amount])

    @transition(planned, to=done, by=authenticated, uses=[source, target])
    def execute(self) -> None:
        self.source.add(-self.amount)
        self.notes = self.target.moves
        self.target.add(self.amount)

    @transition(planned, to=done, by=authenticated, uses=source)
    def reach_over(self) -> None:
        reached: Any = self.source
        reached.total = 10**6

    @transition(planned, to=done, by=authenticated)
    def unloaded(self) -> None:
        reached: Any = self.source
        reached.add(1)


APP = system("bank", Account, Transfer)
A, B, T = UUID(int=1), UUID(int=2), UUID(int=3)


def world(same: bool = False) -> dict[Key, Record]:
    values = {"source": A, "target": A if same else B, "amount": 5, "notes": 0}
    found = [
        Record("Account", A, "open", 3, {"total": 20, "moves": 1}),
        Record("Account", B, "open", 8, {"total": 0, "moves": 0}),
        Record("Transfer", T, "planned", 1, values),
    ]
    return {record.key: record for record in found}


def ask(entity: str, name: str, target: UUID, records: dict[Key, Record] | None = None, **given: Any) -> Any:
    before = world() if records is None else records
    answer = decide(APP, before, Command(entity, name, target, given, ANA, uuid4()), NOW)
    if isinstance(answer, Decision):
        assert_exact(before, answer)
    return answer


def assert_exact(before: dict[Key, Record], decision: Decision) -> None:
    """Each record's steps follow each other without a gap, and their changes add up to what became of it."""
    at = dict(before)
    for step in decision.steps:
        known = at.get(step.after.key)
        assert step.before == known
        version, state = (0, None) if known is None else (known.version, known.state)
        assert step.after.version == version + 1
        assert step.transition.creation or state in step.transition.sources
        assert step.after.state == step.transition.target
        old = {} if known is None else known.values
        assert step.after.values == {**dict.fromkeys(step.after.values), **old, **step.changes}
        assert all(old.get(name) != value for name, value in step.changes.items())
        at[step.after.key] = step.after
    assert {key: at[key] for key in decision.final} == decision.final
    made = {(step.after.key, step.after.version) for step in decision.steps}
    assert [s.cause for s in decision.steps[:1]] == [None]
    assert all(step.cause in made for step in decision.steps[1:])


def test_two_records_move_in_one_decision() -> None:
    decision = ask("Transfer", "execute", T)
    assert [(s.transition.name, s.after.key[1], s.after.version) for s in decision.steps] == [
        ("execute", T, 2), ("add", A, 4), ("add", B, 9),
    ]  # fmt: skip
    assert decision.reads == {("Transfer", T): 1, ("Account", A): 3, ("Account", B): 8}


def test_a_record_that_is_touched_twice_has_two_steps() -> None:
    decision = ask("Transfer", "execute", T, world(same=True))
    assert [(s.after.version, s.changes) for s in decision.steps[1:]] == [
        (4, {"total": 15, "moves": 2}), (5, {"total": 20, "moves": 3}),
    ]  # fmt: skip
    assert decision.result.values["notes"] == 2


def test_a_body_that_calls_its_own_record_completes_its_own_step_first() -> None:
    decision = ask("Account", "twice", A, amount=2)
    assert [(s.transition.name, s.after.version, s.changes) for s in decision.steps] == [
        ("twice", 4, {"moves": 11}),
        ("add", 5, {"total": 22, "moves": 12}),
        ("add", 6, {"total": 24, "moves": 13}),
    ]
    assert [s.cause for s in decision.steps] == [None, (("Account", A), 4), (("Account", A), 4)]


def test_the_next_step_starts_from_the_state_that_the_first_one_led_to() -> None:
    decision = ask("Account", "freeze_and_end", A)
    assert [(s.transition.name, s.after.state) for s in decision.steps] == [
        ("freeze_and_end", "frozen"), ("end", "closed"),
    ]  # fmt: skip
    answer = ask("Account", "add_after_freezing", A)
    assert isinstance(answer, Rejection)
    assert (answer.code, answer.extra["current_state"]) == ("state-conflict", "frozen")


def test_an_invariant_is_judged_on_what_the_command_leaves_behind() -> None:
    records = world()
    records["Account", A] = Record("Account", A, "open", 3, {"total": 4, "moves": 1})
    answer = ask("Transfer", "execute", T, records)
    assert (answer.code, answer.extra["rule"]) == ("invariant-violated", "Account.solvent: total >= 0")
    records = world(same=True)
    records["Account", A] = Record("Account", A, "open", 3, {"total": 4, "moves": 1})
    assert isinstance(ask("Transfer", "execute", T, records), Decision)


@pytest.mark.parametrize(
    ("entity", "name", "target", "words"),
    [
        ("Account", "late", A, "assign before calling"),
        ("Account", "typo", A, "no field `toatl`"),
        ("Account", "mistaken", A, "moves must be an integer, .* and is of the type Actor"),
        ("Account", "sly", A, "a guard may only read"),
        ("Transfer", "reach_over", T, "belongs to another record"),
    ],
)
def test_a_body_that_breaks_the_rules_is_a_fault(entity: str, name: str, target: UUID, words: str) -> None:
    with pytest.raises(BodyFault, match=words):
        ask(entity, name, target)


def test_a_record_that_is_not_loaded_cannot_be_moved() -> None:
    records = world()
    del records["Account", A]
    with pytest.raises(BodyFault, match="name its reference in uses="):
        ask("Transfer", "unloaded", T, records)
