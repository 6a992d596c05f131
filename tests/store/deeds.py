"""A system of the tests' own in which one entry is about two persons, and who is forgotten comes back."""

from __future__ import annotations

from avow import (
    Entity,
    State,
    Subject,
    create,
    field,
    private,
    read,
    role,
    system,
    transition,
)

clerk, officer = role("clerk"), role("officer")


class Deed(Entity):
    """Who sells what to whom: private about the one and about the other."""

    seller: Subject = field()
    buyer: Subject = field()
    iban: str | None = private(of=seller, max_length=40)
    home: str | None = private(of=buyer, max_length=40)
    note: str = field(default="", max_length=40)
    visible = read(by=clerk | officer)

    drawn = State(initial=True)
    filed = State(final=True)
    draw = create(drawn, by=clerk, sets=[seller, buyer, iban, home, note])
    move = transition(drawn, to=drawn, by=clerk, sets=[home])
    sell_anonymously = transition(drawn, to=drawn, by=clerk, sets=[iban], erases=seller)
    close = transition(drawn, to=filed, by=clerk)


class Person(Entity):
    """Somebody who may be forgotten, and may come back, and may be forgotten again."""

    who: Subject = field()
    visible = read(by=officer)

    known = State(initial=True)
    gone = State(final=True)
    meet = create(known, by=officer, sets=[who])
    forget = transition(known, to=known, by=officer, erases=who)
    greet = transition(known, to=known, by=officer)
    leave = transition(known, to=gone, by=officer)


app = system("deeds", Deed, Person)
