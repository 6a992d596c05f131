"""Conditions over what may be missing, as three type checkers take them: no line needs to be excused."""

from datetime import datetime

from avow import (
    Entity,
    Money,
    State,
    Subject,
    actor,
    authenticated,
    create,
    days,
    everybody,
    exclude,
    field,
    invariant,
    missing,
    now,
    one_of,
    quota,
    read,
    ref,
    system,
    transition,
    value,
)


class Van(Entity):
    """What parcels may be on."""

    driver: Subject | None = field()
    places: int | None = field(ge=1)
    visible = read(by=everybody)

    parked, gone = State(initial=True), State(final=True)
    park = create(parked, by=authenticated, sets=[driver, places])
    leave = transition(parked, to=gone, by=actor == driver)


class Parcel(Entity):
    """What may be on a van, weighed, and due."""

    van: Van | None = ref()
    grams: int | None = field(ge=1)
    starts: datetime | None = field()
    ends: datetime | None = field()
    worth: Money | None = field(currency="EUR")
    fee: Money | None = field(currency="EUR")
    forward = invariant(value(starts) < value(ends), "It ends after it starts.")
    cheap = invariant(value(fee) <= value(worth), "Sending it costs no more than it is worth.")
    light = invariant(missing(grams) | (value(grams) * 2 <= 60_000), "It isn't too heavy.")
    alone = exclude(van, overlapping=(starts, ends))
    visible = read(by=everybody)

    there, sent, lapsed = State(initial=True), State(final=True), State(final=True)
    room = quota(van, among=[there], limit=value(van).places)
    bring = create(there, by=authenticated, sets=[van, grams, starts, ends, worth, fee])
    send = transition(
        there, to=sent, by=actor == value(van).driver, uses=van,
        when=(now < value(ends)) & (value(ends) - days(1) >= value(starts)) & one_of(grams, 1, 2),
    )  # fmt: skip
    lapse = transition(there, to=lapsed, at=value(ends) + days(1))


app = system("parcels", Van, Parcel)
