"""Whether a decision rests on the time: what looks at it is seen looking, in conditions and in Python."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from avow import Entity, State, authenticated, create, field, now, read, system, transition
from avow.kernel.command import Command, Decision, Record
from avow.kernel.decide import decide
from avow.kernel.plan import plans_of
from avow.model.actor import Actor
from avow.model.values import Subject
from tests.store.payment import Outside, payments

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANN = Actor(Subject("ann"), "main", frozenset(), "key:ann")
ID, COMMAND = UUID(int=1), UUID(int=2)
LATER = NOW + timedelta(days=1)


class Offer(Entity):
    """An offer that ends."""

    ends: datetime = field()
    made: datetime = field(default=now)
    taken: int = field(default=0)
    visible = read(by=authenticated)
    open = State(initial=True)
    gone = State(final=True)

    make = create(open, by=authenticated, sets=[ends])
    take = transition(open, to=open, by=authenticated, when=ends > now)
    hold = transition(open, to=open, by=authenticated & (ends > now))
    touch = transition(open, to=open, by=authenticated)
    drop = transition(open, to=gone, by=authenticated)

    @transition(open, to=open, by=authenticated)
    def count(self) -> None:
        self.taken += 1

    @transition(open, to=open, by=authenticated)
    def look(self) -> None:
        try:
            self.taken += self.now.day
        finally:
            pass


class Ephemeral(Entity):
    """Seen until it ends."""

    ends: datetime = field()
    visible = read(by=authenticated & (ends > now))
    open = State(initial=True)
    gone = State(final=True)
    make = create(open, by=authenticated, sets=[ends])
    drop = transition(open, to=gone, by=authenticated)


offers = system("offers", Offer, Ephemeral)


def decided(word: str, given: Mapping[str, Any] | None = None) -> Decision:
    record = Record("Offer", ID, "open", 1, {"ends": LATER, "made": NOW, "taken": 0})
    records = {} if word == "make" else {record.key: record}
    found = decide(offers, records, Command("Offer", word, ID, given or {}, ANN, COMMAND), NOW)
    assert isinstance(found, Decision), found
    return found


@pytest.mark.parametrize("word", ["take", "hold", "look"])
def test_a_guard_a_policy_and_a_body_that_look_at_the_time_are_seen(word: str) -> None:
    assert decided(word).timed


def test_a_default_that_looks_at_the_time_is_seen() -> None:
    assert decided("make", {"ends": LATER}).timed


@pytest.mark.parametrize("word", ["touch", "count"])
def test_what_does_not_look_at_the_time_does_not_rest_on_it(word: str) -> None:
    assert not decided(word).timed


def test_a_view_that_may_look_at_the_time_is_known_before() -> None:
    plans = offers.derived(plans_of)
    assert plans["Ephemeral"].shown_timed
    assert not plans["Offer"].shown_timed


def test_a_call_that_begins_at_once_does_not_rest_on_the_time() -> None:
    system_ = payments(Outside())
    record = Record(
        "Payment", ID, "authorized", 1, {"amount": 5, "receipt": "", "reason_code": "", "reminded": 0}
    )
    record = record._replace(values={**record.values, "expires": None})
    found = decide(system_, {record.key: record}, Command("Payment", "start", ID, {}, ANN, COMMAND), NOW)
    assert isinstance(found, Decision)
    assert found.steps[0].waits["capture"] is not None
    assert not found.timed
