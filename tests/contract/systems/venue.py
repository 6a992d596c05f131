"""A system of the tests' own: rooms, bookings and seats, with every kind of field, policy and rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
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
    everybody,
    exclude,
    field,
    given,
    in_state,
    internal,
    invariant,
    limits,
    missing,
    one_of,
    opaque,
    performed,
    quota,
    read,
    ref,
    refuse,
    role,
    system,
    transition,
    unique,
)  # fmt: skip

clerk, manager = role("clerk"), role("manager")


class Kind(StrEnum):
    """What a room is for."""

    HALL = "hall"
    STUDIO = "studio"


@dataclass(frozen=True)
class Address:
    """Where a room is."""

    street: str
    town: str
    floor: int | None


class Room(Entity):
    """A room that everybody may look at."""

    name: str = field(max_length=80, min_length=1)
    kind: Kind = field(default=Kind.HALL)
    places: int = field(ge=1, le=10_000)
    area: Decimal = field(default=Decimal("10.5"), digits=8, scale=2, ge=0)
    price: Money = field(default=Money(Decimal("25.00"), "EUR"), currency="EUR", ge=0)
    tags: list[str] = field(default=(), max_items=5)
    address: Address | None = field()
    opened: date | None = field()
    inspected_at: datetime | None = field()
    setup: timedelta | None = field()
    partner: UUID | None = field()
    heated: bool = field(default=False)
    key_code: str | None = field(max_length=40, read=manager)
    keeper: Subject | None = field(read=clerk | manager)
    named_once = unique(name)
    not_free = invariant(area * 2 >= area, "An area is never negative.")
    visible = read(by=everybody)

    offered = State(initial=True)
    retired = State(final=True)

    offer = create(offered, by=clerk | manager, sets=[name, kind, places, area, price, tags, address, opened,
                                                      inspected_at, setup, partner, heated, key_code,
                                                      keeper])  # fmt: skip
    rename = transition(offered, to=offered, by=clerk | manager, sets=[name], precondition=True)
    retire = transition(offered, to=retired, by=manager)
    describe = transition(
        offered, to=offered, by=clerk | manager,
        sets=[address, opened, inspected_at, setup, partner, heated, key_code, keeper, tags],
    )  # fmt: skip

    @transition(offered, to=offered, by=manager)
    def reprice(self, price: Money) -> None:
        """Take another price."""
        if price.amount > 1_000:
            raise refuse("A price over 1000 needs another form.")
        self.price = price

    @transition(offered, to=offered, by=manager)
    def break_down(self) -> None:
        """A bug of the declaration, on purpose."""
        if self.key_code == "jam":
            raise RuntimeError(f"a bug that knows {self.key_code}")

    @transition(offered, to=offered, by=internal)
    def tick(self) -> None:
        """Only another transition may call for it."""


class Booking(Entity):
    """Somebody has a room for a span of time."""

    requested, confirmed = State(initial=True), State(initial=True)
    approved, cancelled, over = State(), State(), State(final=True)

    room: Room = ref()
    holder: Subject = field(default=actor)
    starts: datetime = field()
    ends: datetime = field()
    guests: int = field(default=1, ge=1)
    remark: str = field(default="", max_length=2_000, read=(actor == holder) | manager)
    discount: Decimal | None = field(digits=4, scale=2, read=manager)
    in_order = invariant(starts < ends, "A booking ends after it starts.")
    one_at_a_time = exclude(room, overlapping=(starts, ends), among=[requested, confirmed, approved])
    visible = read(by=(actor == holder) | clerk | manager | (actor == room.keeper))

    request = create(requested, by=authenticated, sets=[room, starts, ends, guests, remark])
    bring_in = create(confirmed, by=manager, sets=[room, holder, starts, ends, discount])

    confirm = transition(requested, to=confirmed, by=clerk | (actor == room.keeper))
    approve = transition(confirmed, to=approved, by=manager & ~performed(confirm))
    remark_on = transition(
        [requested, confirmed], to=requested, by=actor == holder, sets=[remark], precondition=True
    )

    grow = transition(
        [requested, confirmed], to=requested, by=(actor == holder) | clerk, command="resize",
        when=guests < 10,
        sets=[guests],
    )  # fmt: skip
    overgrow = transition(
        [requested, confirmed], to=confirmed, by=manager, command="resize", when=guests >= 10, sets=[guests]
    )

    @transition([requested, confirmed], to=requested, by=clerk, when=given.discount < Decimal(5))
    def grant(self, discount: Annotated[Decimal, limits(digits=4, scale=2)]) -> None:
        """Grant a discount of less than five."""
        self.discount = discount

    @transition(confirmed, to=confirmed, by=clerk, when=opaque(lambda self: len(self.remark) % 2 == 0))
    def stamp(self) -> None:
        """Only when the remark has an even number of characters: free Python."""
        self.guests += 1

    cancel = transition(
        [requested, confirmed, approved], to=cancelled, by=(actor == holder) | manager,
        when=in_state(Room.offered, of=room),
    )  # fmt: skip

    @transition([approved, cancelled], to=over, by=clerk | manager, uses=room)
    def finish(self) -> None:
        self.room.tick()


class Pass(Entity, plural="passes"):
    """The right to enter a room; a room has no more of them than places."""

    issued = State(initial=True)
    returned = State(final=True)

    room: Room = ref()
    code: str = field(max_length=20, pattern="[A-Z0-9]+")
    weight: int = field(default=1, ge=1, le=5)
    owner: Subject | None = field()
    one_code = unique(code, among=[issued])
    enough_places = quota(room, among=[issued], limit=room.places, weight=weight)
    visible = read(by=clerk | missing(owner) | (actor == owner))

    issue = create(issued, by=clerk, sets=[room, code, weight, owner])
    hand_back = transition(issued, to=returned, by=clerk | (actor == owner))


class Memo(Entity):
    """Anybody may leave one; only managers read them."""

    left_here = State(initial=True)
    read_once = State(final=True)

    text: str = field(max_length=200)
    mood: str = field(default="plain", max_length=10)
    known_mood = invariant(one_of(mood, "plain", "angry"), "A memo is plain or angry.")
    visible = read(by=manager)

    leave = create(left_here, by=everybody, sets=[text, mood])
    file = transition(left_here, to=read_once, by=authenticated)


class Complaint(Entity):
    """About a booking that not everybody may know; one for each."""

    open = State(initial=True)
    settled = State(final=True)

    booking: Booking = ref()
    author: Subject = field(default=actor)
    one_each = unique(booking)
    visible = read(by=(actor == author) | manager | (actor == booking.holder))

    complain = create(open, by=authenticated, sets=[booking])
    settle = transition(open, to=settled, by=manager | (actor == author))


app = system("venue", Room, Booking, Pass, Memo, Complaint)
