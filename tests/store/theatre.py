"""A system of the tests' own, with every rule that the database holds: CHECK, unique, exclusion, quota."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from avow import (
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
    performed,
    quota,
    read,
    ref,
    system,
    transition,
    unique,
)  # fmt: skip


class Hall(Entity):
    """Where tickets lead to: so many places, so much weight on its floor."""

    name: str = field(default="", max_length=20_000)
    plan: str = field(default="", max_length=20_000)
    places: int = field(default=1_000, ge=0)
    load: int = field(default=1_000_000, ge=0)
    sold: int = field(default=0, ge=0)
    never_negative = invariant(places * load >= 0, "Places and load are never negative.")
    never_oversold = invariant(sold <= places, "No more places are sold than there are.")
    visible = read(by=authenticated)

    opened = State(initial=True)
    closed = State(final=True)

    found = create(opened, by=authenticated, sets=[name, plan, places, load])
    rename = transition(opened, to=opened, by=authenticated, sets=[name])
    resize = transition(opened, to=opened, by=authenticated, sets=[places, load])
    close = transition(opened, to=closed, by=authenticated)

    @transition(opened, to=opened, by=internal)
    def sell(self) -> None:
        self.sold += 1

    @transition(opened, to=opened, by=authenticated)
    def sell_one(self) -> None:
        """One more, without a ticket: what makes one row hot."""
        self.sold += 1


class Ticket(Entity):
    """A place in a hall."""

    hall: Hall = ref()
    other: Hall | None = ref()
    holder: Subject = field(default=actor)
    code: str = field(default="", max_length=50)
    weight: int = field(default=1, ge=0)
    visible = read(by=authenticated)

    held, paid = State(initial=True), State()
    void = State(final=True)
    few = quota(hall, among=[paid], limit=hall.places, message="The hall is full.")
    light = quota(hall, among=[paid], limit=hall.load, weight=weight, message="The floor can't carry more.")
    one_code = unique(hall, code, among=[paid])

    reserve = create(held, by=authenticated, sets=[hall, other, code, weight])
    pay = transition(held, to=paid, by=authenticated)
    move = transition(paid, to=paid, by=authenticated, sets=[hall])
    weigh = transition(paid, to=paid, by=authenticated, sets=[weight])
    check = transition(paid, to=paid, by=authenticated)
    enter = transition(held, to=held, by=authenticated, when=hall.load > 0)
    cancel = transition([held, paid], to=void, by=authenticated & ~performed(check))

    @transition(held, to=held, by=authenticated, uses=[hall, other])
    def sell_both(self) -> None:
        """Two halls in one transaction."""
        self.hall.sell()
        if self.other is not None:
            self.other.sell()


class Booking(Entity):
    """Spans that never overlap, over each type that a span can have."""

    room: UUID | None = field()
    label: str | None = field(max_length=50)
    number: int | None = field()
    first_day: date | None = field()
    last_day: date | None = field()
    begins: datetime | None = field()
    ends: datetime | None = field()
    low: int | None = field()
    high: int | None = field()
    price: Money | None = field(currency="EUR")
    rate: Decimal | None = field(digits=8, scale=2)
    visible = read(by=authenticated)

    asked = State(initial=True)
    gone = State(final=True)
    days_apart = exclude(room, overlapping=(first_day, last_day), among=[asked])
    times_apart = exclude(label, overlapping=(begins, ends), among=[asked])
    numbers_apart = exclude(number, overlapping=(low, high), among=[asked])

    ask = create(
        asked, by=authenticated,
        sets=[room, label, number, first_day, last_day, begins, ends, low, high, price, rate],
    )  # fmt: skip
    leave = transition(asked, to=gone, by=authenticated)


theatre = system("theatre", Hall, Ticket, Booking)
