"""A small system with every kind of rule that the engine holds, on which planted defects must be found."""

from __future__ import annotations

from avow.declare.build import system
from avow.declare.delay import minutes
from avow.declare.effect import Call, effect, forever
from avow.declare.expression import actor, authenticated, internal, role
from avow.declare.rule import invariant, quota, unique
from avow.declare.saga import saga, step
from avow.declare.surface import Entity, State, create, field, in_state, publish, read, ref, transition
from avow.model.values import Subject

clerk = role("clerk")


@effect()
async def charge(ticket: Ticket, call: Call) -> str:
    """Take the money."""
    return call.key


@effect(retry=forever)
async def refund(ticket: Ticket, call: Call) -> None:
    """Give the money back."""


@effect()
async def seat(ticket: Ticket, call: Call) -> None:
    """Have a place kept."""


class Hall(Entity):
    """So many places. partner: the hall that has to be open for this one to close."""

    places: int = field(ge=1, le=9)
    sold: int = field(default=0, ge=0)
    partner: Hall | None = ref()
    never_oversold = invariant(sold <= places, "No more places are sold than there are.")
    visible = read(by=authenticated)

    opened, closed = State(initial=True), State(final=True)

    found = create(opened, by=clerk, sets=[places, partner])
    pair = transition(opened, to=opened, by=clerk, sets=[partner])
    close = transition(opened, to=closed, by=clerk, when=in_state(opened, of=partner))

    @transition(opened, to=opened, by=internal)
    def sell(self) -> None:
        self.sold += 1


class Ticket(Entity):
    """A place in a hall, to be paid in time."""

    hall: Hall = ref()
    code: str = field(max_length=20)
    holder: Subject = field(default=actor)
    receipt: str | None = field(max_length=100)
    problem: str | None = field(max_length=100)
    visible = read(by=authenticated)

    held, asked = State(initial=True), State()
    paid, gone, lapsed = State(final=True), State(final=True), State(final=True)
    one_code = unique(code, among=[held, asked, paid])
    few = quota(hall, among=[held, asked, paid], limit=hall.places)

    hold = create(held, by=authenticated, sets=[hall, code], when=in_state(Hall.opened, of=hall))
    lapse = transition(held, to=lapsed, after=minutes(30))
    told = publish(lapse, by=clerk)

    @transition(held, to=asked, by=actor == holder, uses=hall)
    def buy(self) -> None:
        self.hall.sell()

    pay = saga(
        step(charge, undo=refund, sets={receipt: charge.result}),
        step(seat),
        start=asked, done=paid, failed=gone, cancel=actor == holder, reason=problem,
    )  # fmt: skip


reference = system("reference", Hall, Ticket)
