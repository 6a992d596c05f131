"""A reference backend for what happens by itself: orders that are paid by message, or lapse."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from avow import (
    Entity,
    State,
    Subject,
    actor,
    always,
    authenticated,
    create,
    field,
    given,
    in_state,
    limits,
    not_,
    read,
    refuse,
    role,
    sender,
    sometimes,
    standard_webhooks,
    system,
    transition,
    unique,
)

clerk = role("clerk")


@dataclass(frozen=True)
class Paid:
    """What the bank tells of a payment."""

    number: str
    cents: int


bank = sender("bank", signature=standard_webhooks())
paid = bank.event("payment.arrived", Paid, late="stick")


class Purse(Entity):
    """Money of one person, in whole cents."""

    owner: Subject = field(default=actor)
    cents: int = field(default=0, ge=0)
    put_in: int = field(default=0, ge=0)
    taken_out: int = field(default=0, ge=0)
    visible = read(by=(actor == owner) | clerk)
    adds_up = always(cents == put_in - taken_out, "A purse holds what was put in, less what was taken out.")
    can_be_used = sometimes(taken_out > 0, "Money can be taken out of a purse.")

    open, closed = State(initial=True), State(final=True)
    start = create(open, by=authenticated)
    close = transition(open, to=closed, by=actor == owner, when=cents == 0)

    @transition(open, to=open, by=clerk, when=cents < 3)
    def fill(self, amount: int) -> None:
        if not 1 <= amount <= 2:
            raise refuse("Fill in one cent or two.")
        self.cents += amount
        self.put_in += amount

    @transition(open, to=open, by=actor == owner)
    def take(self, amount: int) -> None:
        if amount < 1:
            raise refuse("Take something.")
        self.cents -= amount
        self.taken_out += amount


class Order(Entity):
    """Something that is bought, and paid within two weeks, at once or in parts."""

    buyer: Subject = field(default=actor)
    number: str = field(max_length=20)
    price: int = field(ge=1)
    received: int = field(default=0, ge=0)
    visible = read(by=(actor == buyer) | clerk)
    once = unique(number)

    waiting, settled = State(initial=True), State()
    lapsed, sent = State(final=True), State(final=True)
    no_money_lost = always(not_(in_state(lapsed)) | (received == 0), "No order lapses that was paid for.")
    nothing_for_free = always(not_(in_state(sent)) | (received >= price), "Nothing is sent that isn't paid.")
    can_be_sent = sometimes(in_state(sent), "An order can be sent.")

    place = create(waiting, by=authenticated, sets=[number, price])
    pay = transition(
        waiting, to=waiting, on=paid, match=number == paid.data.number,
        when=(paid.data.cents >= 1) & (received < price), sets={received: received + paid.data.cents},
    )  # fmt: skip
    settle = transition(waiting, to=settled, by=clerk, when=received >= price)
    lapse = transition(waiting, to=lapsed, after=timedelta(days=14), when=received == 0)
    send = transition(settled, to=sent, by=clerk)


class Outing(Entity):
    """A trip by bus, for which people join in groups."""

    seats: int = field(ge=1)
    taken: int = field(default=0, ge=0)
    visible = read(by=authenticated)
    enough_seats = always(taken <= seats, "An outing has no more people than seats.")
    can_be_full = sometimes(taken == seats, "An outing can be full.")

    open, over = State(initial=True), State(final=True)
    plan = create(open, by=clerk, sets=[seats])
    end = transition(open, to=over, by=clerk)

    @transition(open, to=open, by=authenticated, when=taken + given.people <= seats)
    def join(self, people: Annotated[int, limits(ge=1)]) -> None:
        self.taken += people


app = system("shop", Purse, Order, Outing)
