"""How a first record is come to where much has to fit, and what is looked at once another one has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Annotated
from uuid import UUID

from avow import (
    Entity,
    Money,
    State,
    Subject,
    actor,
    authenticated,
    create,
    field,
    in_state,
    internal,
    invariant,
    limits,
    now,
    read,
    ref,
    refuse,
    sender,
    sometimes,
    standard_webhooks,
    system,
    transition,
    unique,
)
from avow.model.actor import Actor
from avow.prove.act import TENANT, Act
from avow.prove.endings import never_ending
from avow.prove.explore.aims import NEWER_MAX, Aims
from avow.prove.explore.inputs import Accepted, Learned
from avow.prove.explore.path import end_of
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import Search
from avow.prove.explore.situation import Situation
from avow.prove.explore.spoken import lengths_in
from avow.prove.explore.values import Apart, constants_of, lengths_of
from avow.prove.phase import Budget

LONGEST = timedelta(hours=3)
ADA = Actor(Subject("Ada"), TENANT)


class Licence(Entity):
    """Somebody may use something."""

    holder: Subject = field(default=actor)
    sort: int = field(ge=1, le=9)
    visible = read(by=authenticated)
    valid, over = State(initial=True), State(final=True)
    issue = create(valid, by=authenticated, sets=[sort])
    end = transition(valid, to=over, by=authenticated)


class Use(Entity):
    """Something is used for some hours, by whoever has a licence."""

    licence: Licence = ref()
    starts: datetime = field()
    ends: datetime = field()
    hours: int = field(ge=1, le=24)
    forward = invariant(starts < ends, "It ends after it starts.")
    visible = read(by=authenticated)
    asked, done = State(initial=True), State(final=True)

    @create(
        asked,
        by=authenticated,
        sets=[licence, starts, ends, hours],
        when=in_state(Licence.valid, of=licence) & (licence.holder == actor) & (starts > now),
    )
    def ask(self) -> None:
        if self.ends - self.starts > timedelta(hours=self.hours) or self.ends - self.starts > LONGEST:
            raise refuse("That is too long.")
        if self.starts < self.now + timedelta(minutes=30):
            raise refuse("That is too soon.")

    finish = transition(asked, to=done, by=authenticated)


USES = system("uses", Licence, Use)
WIDE = Scope(USES, ("Licence", "Use"))


def test_lengths_of_time_are_read_out_of_bodies() -> None:
    body = USES.entities["Use"].transitions["ask"].body
    assert body is not None
    found = {(length, frozenset(names) >= {"starts", "ends"}) for names, length in lengths_in(body)}
    assert found == {(timedelta(hours=1), True), (LONGEST, True), (timedelta(minutes=30), False)}
    apart = {one.length for one in constants_of(USES)["Use", "ends"] if isinstance(one, Apart)}
    assert {timedelta(hours=1), LONGEST} <= apart
    assert timedelta(minutes=30) in lengths_of(USES), "the time that is compared with a field in a body"
    assert LONGEST not in lengths_of(USES)


class Lock(Entity):
    """It can be made in one way only, and says nothing of what is wrong with the others."""

    first: int = field(ge=1, le=4)
    second: int = field(ge=1, le=4)
    third: int = field(ge=1, le=4)
    visible = read(by=authenticated)
    made, gone = State(initial=True), State(final=True)
    make = create(
        made, by=authenticated, sets=[first, second, third], when=(first == 3) & (second == 4) & (third == 3)
    )
    drop = transition(made, to=gone, by=authenticated)


class Clicks(Entity):
    """There is always more to do with it."""

    lock: Lock | None = ref()
    count: int = field(default=0, ge=0)
    more: int = field(default=0, ge=0)
    visible = read(by=authenticated)
    counting, over = State(initial=True), State(final=True)
    begin = create(counting, by=authenticated)
    end = transition(counting, to=over, by=authenticated, when=count > more)

    @transition(counting, to=counting, by=authenticated)
    def click(self, count: int, more: int) -> None:
        self.count += count
        self.more += more


LOCKS = system("locks", Lock, Clicks)


def test_a_record_that_takes_much_that_has_to_fit_is_made() -> None:
    search = Search(Scope(LOCKS, ("Lock", "Clicks")), learned=Learned())
    for _ in search.steps:
        if ("Lock", "make") in search.found.taken or search.found.tried > 400:
            break
    assert ("Lock", "make") in search.found.taken


def test_where_a_record_has_to_be_named_and_there_is_none_it_is_asked_once() -> None:
    acts, ask = Acts(WIDE), USES.entities["Use"]
    assert len(list(acts.inputs(Situation(), ask, "ask"))) == 1
    issued = end_of(
        USES, (Act("command", "Licence", "issue", 1, {"sort": 1}, Actor(Subject("Ada"), TENANT)),)
    )
    assert issued is not None
    assert len(list(acts.inputs(issued, ask, "ask"))) > 20


def test_until_something_was_accepted_what_was_refused_latest_is_changed() -> None:
    names, each = [*"abcdef"], [[0, 1, 2, 3]] * 6
    near = dict(zip(names, (2, 1, 3, 2, 1, 2), strict=True))
    accepted = Accepted(drawn=99)
    accepted.miss(dict.fromkeys(names, 0), "guard-failed")
    assert not accepted.missed, "that says little"
    accepted.miss(dict.fromkeys(names, 0), "refused")
    accepted.miss(near, "invariant-violated")
    accepted.miss(dict.fromkeys(names, 0), "refused")
    assert [*accepted.missed] == [near]

    def shared(drawn: Accepted) -> int:
        like = [*near.values()]
        return sum(
            sum(a == b for a, b in zip(one, like, strict=True)) >= 4
            for one in islice(drawn.draw(names, each, 1), 60)
        )

    assert shared(accepted) > 20 > shared(Accepted(drawn=99))
    accepted.learn(dict.fromkeys(names, 0))
    assert shared(accepted) < 5


class Tour(Entity):
    """A tour ends, whoever is still on it."""

    visible = read(by=authenticated)
    under_way, over = State(initial=True), State(final=True)
    start = create(under_way, by=authenticated)
    finish = transition(under_way, to=over, by=authenticated)
    unload = transition(under_way, to=under_way, by=internal)


class Parcel(Entity):
    """It is taken down from its tour, so long as there is one."""

    tour: Tour = ref()
    weight: int = field(ge=1)
    visible = read(by=authenticated)
    loaded, down = State(initial=True), State(final=True)
    load = create(loaded, by=authenticated, sets=[tour, weight], when=in_state(Tour.under_way, of=tour))

    @transition(loaded, to=down, by=authenticated, uses=tour)
    def take_down(self) -> None:
        self.tour.unload()


TOURS = system("tours", Tour, Parcel)


def test_what_another_record_leaves_behind_when_it_ends_is_looked_at() -> None:
    """The search that tries everything isn't needed for that: it has hardly begun."""
    search = Search(Scope(TOURS, ("Tour", "Parcel"), frozenset({"Parcel"})))
    for _ in search.steps:
        if search.found.left:
            break
    assert not search.found.closed
    found = [finding.promise for finding in never_ending(TOURS, [search.found], Budget(60.0))]
    assert found == ["Parcel.loaded can end"]


@dataclass(frozen=True)
class Word:
    """What the other side says."""

    name: str
    sequence: int


post = sender("post", signature=standard_webhooks())
heard = post.event("heard", Word)


class Case(Entity):
    """It hears newer words only, but for where it waits."""

    name: str = field(max_length=9)
    last: int = field(default=0, ge=0)
    one = unique(name)
    visible = read(by=authenticated)
    open, waiting, closed = State(initial=True), State(), State(final=True)
    begin = create(open, by=authenticated, sets=[name])
    hear = transition(
        open,
        to=open,
        on=heard,
        match=name == heard.data.name,
        when=heard.data.sequence > last,
        sets={last: heard.data.sequence},
    )
    wait = transition(open, to=waiting, by=authenticated)
    answer = transition(
        waiting, to=open, on=heard, match=name == heard.data.name, sets={last: heard.data.sequence}
    )
    close = transition([open, waiting], to=closed, by=authenticated)


CASES = system("cases", Case)
ADA = Actor(Subject("Ada"), TENANT)


def test_a_word_after_a_newer_one_is_aimed_at_a_few_times() -> None:
    begun, waited = (
        Act("command", "Case", "begin", 1, {"name": "a"}, ADA),
        Act("command", "Case", "wait", 1, {}, ADA),
    )
    events = [Act("event", "Case", "post:heard", 1, {"name": "a", "sequence": number}) for number in (1, 2)]
    aims = Aims(CASES, ("Case",))
    for name in CASES.entities["Case"].transitions:
        aims.reached(("Case", name))
    for at, path in enumerate([(begun, waited), (begun, events[0], waited), (begun, events[1], waited)]):
        situation = end_of(CASES, path)
        assert situation is not None
        aims.put(at, situation)
    taken = list[int | None]()
    for _ in range(2 * NEWER_MAX + 1):
        taken.append(aims.take())
        aims.again()
    assert taken[0] == 2
    assert taken[-1] is None


@dataclass(frozen=True)
class Transfer:
    """Money that has come in, in cents, for a debt."""

    debt: UUID
    cents: int


bank = sender("bank", signature=standard_webhooks())
came_in = bank.event("came_in", Transfer)


def eur(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


class Debt(Entity):
    """It is over when all of it is paid back, with a fee that is worked out."""

    borrowed: Money = field(currency="EUR", ge=eur("20.00"))
    owed: Money = field(currency="EUR", default=eur("0.00"), ge=eur("0.00"))
    visible = read(by=authenticated)
    open, paid = State(initial=True), State(final=True)
    can_be_paid = sometimes(in_state(paid), "A debt can be paid.")

    @create(open, by=authenticated, sets=[borrowed])
    def borrow(self) -> None:
        self.owed = self.borrowed + eur("3.07")

    @transition(open, to=open, on=came_in, match=came_in.data.debt)
    def receive(self, data: Transfer) -> None:
        amount = Money(Decimal(data.cents) / 100, "EUR")
        if data.cents <= 0 or amount > self.owed:
            raise refuse("That isn't owed.")
        self.owed -= amount

    @transition(open, to=open, by=authenticated)
    def pay(self, amount: Annotated[Money, limits(currency="EUR")]) -> None:
        self.owed -= amount

    end = transition(open, to=paid, by=authenticated, when=owed == eur("0.00"))


DEBTS = system("debts", Debt)


def test_what_a_record_holds_is_given_next_also_in_its_smallest_units() -> None:
    """Nobody could know it from the declaration."""
    situation = end_of(DEBTS, (Act("command", "Debt", "borrow", 1, {"borrowed": eur("20.00")}, ADA),))
    assert situation is not None
    acts = list(Acts(Scope(DEBTS, ("Debt",))).possible(situation, 0))
    told = {act.input["cents"] for act in acts if act.kind == "event"}
    assert {2307} <= told
    assert eur("23.07") in {act.input["amount"] for act in acts if act.command == "pay"}
    search = Search(Scope(DEBTS, ("Debt",)))
    for _ in search.steps:
        if "Debt.can_be_paid" in search.found.goals or search.found.tried > 2_000:
            break
    assert "Debt.can_be_paid" in search.found.goals
