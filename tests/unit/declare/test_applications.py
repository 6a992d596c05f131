"""Four small backends, declared and driven through the kernel: what the notation can say."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from avow import (
    Actor,
    Entity,
    Money,
    State,
    Subject,
    actor,
    authenticated,
    create,
    exclude,
    field,
    internal,
    invariant,
    quota,
    read,
    ref,
    role,
    system,
    transition,
    unique,
)  # fmt: skip
from avow.kernel.command import Command, Decision, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.model.system import System

NOW = datetime(2026, 11, 21, tzinfo=UTC)
clerk, manager = role("clerk"), role("manager")


class Stock(Entity):
    on_hand: int = field(ge=0)
    reserved: int = field(default=0, ge=0)
    never_promised_twice = invariant(reserved <= on_hand, "No more is reserved than there is.")
    visible = read(by=authenticated)
    listed, gone = State(initial=True), State(final=True)
    list_it = create(listed, by=clerk, sets=[on_hand])
    drop = transition(listed, to=gone, by=clerk, when=reserved == 0)

    @transition(listed, to=listed, by=internal)
    def reserve(self, count: int) -> None:
        self.reserved += count


class Coupon(Entity):
    uses: int = field(default=0)
    uses_max: int = field(ge=1)
    percent: Decimal = field(ge=0, le=100, digits=5, scale=2)
    within = invariant((uses >= 0) & (uses <= uses_max), "A coupon is used at most uses_max times.")
    visible = read(by=authenticated)
    live, spent = State(initial=True), State(final=True)
    issue = create(live, by=manager, sets=[uses_max, percent])
    retire = transition(live, to=spent, by=manager | clerk)

    @transition(live, to=live, by=internal, when=uses < uses_max)
    def redeem(self) -> None:
        self.uses += 1


class Order(Entity):
    buyer: Subject = field(default=actor)
    stock: Stock = ref()
    coupon: Coupon | None = ref()
    quantity: int = field(ge=1, le=100)
    price: Money = field(currency="EUR", ge=0)
    visible = read(by=(actor == buyer) | clerk)
    basket, placed, done = State(initial=True), State(), State(final=True)
    begin = create(basket, by=authenticated, sets=[stock, coupon, quantity, price])
    finish = transition(placed, to=done, by=(actor == buyer) | clerk)

    @transition(
        basket,
        to=placed,
        by=actor == buyer,
        uses=(stock, coupon),
        when=stock.reserved + quantity <= stock.on_hand,
    )
    def place(self) -> None:
        self.stock.reserve(self.quantity)
        if self.coupon is not None:
            self.coupon.redeem()
            self.price = Money(round(self.price.amount * (100 - self.coupon.percent) / 100, 2), "EUR")


class Room(Entity):
    seats: int = field(ge=1)
    visible = read(by=authenticated)
    open, closed = State(initial=True), State(final=True)
    add = create(open, by=manager, sets=[seats])
    close = transition(open, to=closed, by=manager)


class Booking(Entity):
    guest: Subject = field(default=actor)
    room: Room = ref()
    people: int = field(ge=1)
    starts: datetime = field()
    ends: datetime = field()
    forward = invariant((starts < ends) & (ends - starts <= timedelta(hours=8)), "At most eight hours.")
    visible = read(by=(actor == guest) | clerk | manager)
    held, confirmed, cancelled = State(initial=True), State(), State(final=True)
    no_overlap = exclude(room, overlapping=(starts, ends), among=[held, confirmed])
    hold = create(held, by=authenticated, sets=[room, people, starts, ends], when=people <= room.seats)
    confirm = transition(held, to=confirmed, by=clerk)
    cancel = transition([held, confirmed], to=cancelled, by=(actor == guest) | manager)

    @transition(held, to=held, by=actor == guest)
    def move(self, starts: datetime, ends: datetime) -> None:
        self.starts, self.ends = starts, ends


class Tour(Entity):
    places: int = field(ge=1)
    visible = read(by=authenticated)
    planned, over = State(initial=True), State(final=True)
    plan = create(planned, by=manager, sets=[places])
    end = transition(planned, to=over, by=manager)


class Group(Entity):
    leader: Subject = field(default=actor)
    tour: Tour = ref()
    people: int = field(ge=1, le=50)
    visible = read(by=(actor == leader) | manager)
    asked, booked, left = State(initial=True), State(), State(final=True)
    fits = quota(tour, among=[booked], limit=tour.places, weight=people, message="The tour is full.")
    one_each = unique(leader, tour, among=[asked, booked])
    ask = create(asked, by=authenticated, sets=[tour, people])
    book = transition(asked, to=booked, by=manager)
    leave = transition([asked, booked], to=left, by=actor == leader)


SHOP = system("shop", Stock, Coupon, Order)
ROOMS = system("rooms", Room, Booking)
TOURS = system("tours", Tour, Group)
BOSS = Actor(Subject("boss"), "t", frozenset({"clerk", "manager", "registrar", "dean"}))
ANA = Actor(Subject("ana"), "t")


class Drive:
    """Sends commands to the kernel, and keeps what was decided."""

    def __init__(self, app: System) -> None:
        self.app, self.records, self.ids = app, dict[Key, Record](), 0

    def create(self, entity: str, name: str, who: Actor = ANA, **given: Any) -> UUID:
        self.ids += 1
        answer = self.send(entity, name, UUID(int=self.ids), who, **given)
        assert isinstance(answer, Decision), answer
        return UUID(int=self.ids)

    def send(
        self, entity: str, name: str, target: UUID, who: Actor = ANA, **given: Any
    ) -> Decision | Rejection:
        command = Command(entity, name, target, given, who, UUID(int=99))
        answer = decide(self.app, self.records, command, NOW)
        if isinstance(answer, Decision):
            self.records.update(answer.final)
        return answer


def test_stock_and_coupon_move_with_the_order_or_not_at_all() -> None:
    drive = Drive(SHOP)
    stock = drive.create("Stock", "list_it", BOSS, on_hand=5)
    coupon = drive.create("Coupon", "issue", BOSS, uses_max=1, percent=Decimal(10))
    orders = [
        drive.create(
            "Order", "begin", stock=stock, coupon=coupon, quantity=2, price=Money(Decimal("9.99"), "EUR")
        )
        for _ in range(2)
    ]
    placed = drive.send("Order", "place", orders[0])
    assert isinstance(placed, Decision)
    assert [step.transition.name for step in placed.steps] == ["place", "reserve", "redeem"]
    assert placed.result.values["price"] == Money(Decimal("8.99"), "EUR")
    second = drive.send("Order", "place", orders[1])
    assert isinstance(second, Rejection)
    assert (second.code, second.extra["rule"]) == ("guard-failed", "Coupon.redeem: uses < uses_max")
    assert drive.records["Stock", stock].values["reserved"] == 2
    assert SHOP.entities["Order"].transitions["place"].loads == (("coupon",), ("stock",))


def test_a_booking_is_guarded_by_its_room_and_bounded_in_time() -> None:
    drive = Drive(ROOMS)
    room = drive.create("Room", "add", BOSS, seats=4)
    when = {"starts": NOW, "ends": NOW + timedelta(hours=2)}
    booking = drive.create("Booking", "hold", room=room, people=4, **when)
    crowd = drive.send("Booking", "hold", UUID(int=50), room=room, people=5, **when)
    assert isinstance(crowd, Rejection)
    assert crowd.extra["rule"] == "Booking.hold: people <= room.seats"
    backwards = drive.send("Booking", "move", booking, starts=NOW, ends=NOW - timedelta(hours=1))
    assert isinstance(backwards, Rejection)
    assert backwards.code == "invariant-violated"
    (rule,) = ROOMS.entities["Booking"].exclusions
    assert (rule.fields, rule.start, rule.end, rule.states) == (
        ("room",),
        "starts",
        "ends",
        ("held", "confirmed"),
    )


def test_a_quota_is_declared_over_the_fields_of_its_anchor() -> None:
    (rule,) = TOURS.entities["Group"].quotas
    assert (rule.anchor, rule.weight, rule.states) == ("tour", "people", ("booked",))
    drive = Drive(TOURS)
    tour = drive.create("Tour", "plan", BOSS, places=4)
    group = drive.create("Group", "ask", tour=tour, people=5)
    # The kernel knows no counts: the store holds this under the tour's lock.
    assert isinstance(drive.send("Group", "book", group, BOSS), Decision)


def test_the_enrollment_example_walks_from_draft_to_archive() -> None:
    path = Path(__file__).parents[3] / "examples" / "enrollment" / "system.py"
    spec = importlib.util.spec_from_file_location("enrollment_example", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    drive = Drive(example.app)
    course = drive.create("Course", "announce", BOSS, title="Logic", seats=1)
    other = Actor(Subject("dora"), "t", frozenset({"dean"}))
    forms = [
        drive.create("Enrollment", "start", Actor(Subject(who), "t"), course=course) for who in ("ana", "ben")
    ]
    for who, form in zip(("ana", "ben"), forms, strict=True):
        assert isinstance(
            drive.send("Enrollment", "submit", form, Actor(Subject(who), "t"), essay="!"), Decision
        )
        assert isinstance(drive.send("Enrollment", "verify", form, BOSS), Decision)
    answers = [
        drive.send("Enrollment", "approve", forms[0], BOSS),
        drive.send("Enrollment", "approve", forms[0], other),
        drive.send("Enrollment", "approve", forms[1], other),
        drive.send("Enrollment", "leave", forms[0]),
        drive.send("Enrollment", "approve", forms[1], other),
        drive.send("Enrollment", "archive", forms[0], BOSS),
    ]
    assert [a.code if isinstance(a, Rejection) else a.result.state for a in answers] == [
        "four-eyes", "approved", "invariant-violated", "left", "approved", "archived",
    ]  # fmt: skip


def test_a_fingerprint_follows_the_boundary_and_not_the_words_around_it() -> None:
    def declared(limit: int, text: str) -> System:
        class Thing(Entity):
            count: int = field(default=0)
            bounded = invariant(count <= limit, text)
            visible = read(by=clerk)
            here = State(initial=True, final=True)
            start = create(here, by=clerk)

        return system("things", Thing)

    assert declared(3, "a").fingerprint == declared(3, "b").fingerprint != declared(4, "a").fingerprint
    assert len(declared(3, "a").fingerprint) == 32
