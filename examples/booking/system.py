"""A booking backend: rooms that are let to one party at a time, and tours with a waiting list."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from avow import Entity, State, Subject, World, actor, always, authenticated, create, days, exclude, field
from avow import in_state, internal, invariant, minutes, now, performed, private, quota, read, ref, reveal
from avow import role, seconds, sometimes, system, transition

desk, privacy = role("desk"), role("privacy")

HOLD = minutes(30)
"""How long a room or a place is kept for somebody who hasn't confirmed."""


class Room(Entity):
    """A room with so many beds."""

    number: str = field(max_length=20)
    beds: int = field(ge=1, le=20)
    visible = read(by=authenticated)

    let, withdrawn = State(initial=True), State(final=True)

    add = create(let, by=desk, sets=[number, beds])
    withdraw = transition(let, to=withdrawn, by=desk)


class Booking(Entity):
    """A stay of one party in one room, from the hold to the departure."""

    guest: Subject = field(default=actor)
    room: Room = ref()
    arrives: datetime = field()
    leaves: datetime = field()
    people: int = field(ge=1)
    name: str | None = private(of=guest, max_length=200)
    visible = read(by=(actor == guest) | desk)

    held, confirmed, staying = State(initial=True), State(), State()
    lapsed, cancelled = State(final=True), State(final=True)
    missed, departed = State(final=True), State(final=True)

    forwards = invariant(arrives < leaves, "A stay ends after it begins.")
    one_party = exclude(
        room, overlapping=(arrives, leaves), among=[held, confirmed, staying],
        message="The room is taken for a part of this time.",
    )  # fmt: skip

    room_enough = always(people <= room.beds, "A party isn't larger than its room.")
    can_depart = sometimes(in_state(departed), "A stay can come to its end.")

    hold = create(
        held, by=authenticated, sets=[room, arrives, leaves, people, name],
        when=(people <= room.beds) & in_state(Room.let, of=room),
    )  # fmt: skip
    see_name = reveal(name, by=(actor == guest) | desk, among=[confirmed, staying])
    confirm = transition(held, to=confirmed, by=actor == guest)
    lapse = transition(held, to=lapsed, after=HOLD)
    cancel = transition([held, confirmed], to=cancelled, by=(actor == guest) | desk)
    check_in = transition(confirmed, to=staying, by=desk, when=now < leaves)
    miss = transition(confirmed, to=missed, at=arrives + days(1))
    note_absence = transition(confirmed, to=missed, by=desk)
    check_out = transition(staying, to=departed, by=desk)


@dataclass(frozen=True)
class Left:
    """Where in a line somebody stood, and with how many."""

    turn: int
    people: int


class Tour(Entity):
    """An outing for so many people. Who comes too late waits in line.

    asked: how many people have asked so far; a party's turn is what this was when it came.
    given_back: places of those who have left; with the others, up to where in the line there is a place.
    left: who left before it was their turn; they give back once it would be.
    """

    title: str = field(max_length=200)
    places: int = field(ge=1)
    asked: int = field(default=0, ge=0)
    given_back: int = field(default=0, ge=0)
    left: list[Left] = field(default=(), max_items=1_000)
    starts: datetime = field()
    visible = read(by=authenticated)

    open, over = State(initial=True), State(final=True)

    offer = create(open, by=desk, sets=[title, places, starts])
    end = transition(open, to=over, at=starts + days(1))

    @transition(open, to=open, by=internal)
    def line_up(self, people: int) -> None:
        self.asked += people

    @transition(open, to=open, by=internal)
    def give_back(self, turn: int, people: int) -> None:
        left = sorted([*self.left, Left(turn, people)], key=lambda one: one.turn)
        while left and left[0].turn - left[0].people < self.places + self.given_back:
            self.given_back += left.pop(0).people
        self.left = left


class Party(Entity, plural="parties"):
    """People who want to come along on a tour: in line, then with places held for them, then coming."""

    leader: Subject = field(default=actor)
    tour: Tour = ref()
    people: int = field(ge=1, le=50)
    turn: int = field(default=0, ge=0)
    visible = read(by=(actor == leader) | desk)

    waiting, held, coming = State(initial=True), State(), State()
    gone, came = State(final=True), State(final=True)

    never_more_than_places = quota(
        tour, among=[held, coming, came], limit=tour.places, weight=people,
        message="The tour is full.",
    )  # fmt: skip

    can_come = sometimes(
        in_state(came) & (turn == tour.places) & (tour.given_back == 0),
        "A party can come along, also with the last place.",
    )  # fmt: skip
    can_wait = sometimes(
        in_state(waiting) & (turn > tour.places + tour.given_back), "Who comes too late can wait in line."
    )
    in_turn = always(
        in_state(waiting, gone) | (turn <= tour.places + tour.given_back),
        "Nobody has a place before those who stand in front have theirs.",
    )  # fmt: skip

    @create(waiting, by=authenticated, sets=[tour, people], uses=tour)
    def ask(self) -> None:
        """Stand in line: first come, first served."""
        self.tour.line_up(self.people)
        self.turn = self.tour.asked

    its_turn = turn <= tour.places + tour.given_back
    step_up = transition(waiting, to=held, after=seconds(0), when=its_turn, uses=tour)
    move_up = transition(waiting, to=held, every=minutes(1), when=its_turn, uses=tour)
    confirm = transition(held, to=coming, by=actor == leader)
    check = transition(coming, to=came, by=desk)

    @transition(waiting, to=gone, by=(actor == leader) | desk, uses=tour)
    def leave_line(self) -> None:
        """Whoever stands behind moves up by as many."""
        give_back(self)

    @transition([held, coming], to=gone, by=(actor == leader) | desk, uses=tour)
    def cancel(self) -> None:
        give_back(self)

    @transition(held, to=gone, after=HOLD, uses=tour)
    def lapse(self) -> None:
        """Held for half an hour; then the next in line may have the places."""
        give_back(self)


def give_back(party: Any) -> None:
    """A party's places go to who stands behind; once the tour is over, nobody waits for them."""
    if party.tour.state == "open":
        party.tour.give_back(party.turn, party.people)


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, agreed to by another."""

    person: Subject = field()
    grounds: str = field(max_length=500)
    visible = read(by=privacy)

    asked, erased = State(initial=True), State(final=True)

    ask = create(asked, by=privacy, sets=[person, grounds])
    agree = transition(asked, to=erased, by=privacy & ~performed(ask), erases=person)


@always("No two parties are in one room at a time.")
def rooms_are_let_once(world: World) -> bool:
    stays = [one for one in world.all(Booking) if one.state in ("held", "confirmed", "staying")]
    return not any(
        one.room == other.room and one.arrives < other.leaves and other.arrives < one.leaves
        for one, other in combinations(stays, 2)
    )


@always("No tour has more people than places.")
def tours_fit(world: World) -> bool:
    people = Counter[Tour]()
    for party in world.all(Party):
        people[party.tour] += party.people if party.state in ("held", "coming", "came") else 0
    return all(people[tour] <= tour.places for tour in world.all(Tour))


@always("Whoever has asked is in line, has a place, or has given it back.")
def lines_add_up(world: World) -> bool:
    people = Counter[Tour]()
    for party in world.all(Party):
        people[party.tour] += party.people if party.state != "gone" else 0
    open_ = [tour for tour in world.all(Tour) if tour.state == "open"]
    left = {tour: sum(one.people for one in tour.left) for tour in open_}
    return all(people[tour] == tour.asked - tour.given_back - left[tour] for tour in open_)


@always("Whoever has left the line gives back once their turn has come.")
def line_moves(world: World) -> bool:
    open_ = [tour for tour in world.all(Tour) if tour.state == "open"]
    return all(
        left.turn - left.people >= tour.places + tour.given_back for tour in open_ for left in tour.left
    )


@always("Until a tour is over, there are places for everybody whose turn it is.")
def turns_have_places(world: World) -> bool:
    def has_turn(one: Party) -> bool:
        due = one.state == "waiting" and one.turn <= one.tour.places + one.tour.given_back
        return due or one.state in ("held", "coming")

    people = Counter[Tour]()
    for party in world.all(Party):
        people[party.tour] += party.people if has_turn(party) else 0
    return all(people[tour] <= tour.places for tour in world.all(Tour) if tour.state == "open")


@always("Only the guest confirms; what is confirmed doesn't lapse, and who came then stays until they leave.")
def stays_are_kept(world: World) -> bool:
    def kept(one: Booking) -> bool:
        confirmed, came = world.performers(one, Booking.confirm), world.performers(one, Booking.check_in)
        lost = (confirmed and one.state == "lapsed") or (
            came and (not confirmed or one.state not in ("staying", "departed"))
        )
        return confirmed <= {one.guest} and not lost

    return all(kept(one) for one in world.all(Booking))


@always("Nobody is missed before a day has gone by, unless somebody says so.")
def missed_late(world: World) -> bool:
    missed = [one for one in world.all(Booking) if one.state == "missed"]
    return all(
        one.arrives + days(1) <= world.now or world.performers(one, Booking.note_absence) for one in missed
    )


@always("Only who leads a party confirms, and who came has; it is kept until somebody gives it up.")
def places_are_kept(world: World) -> bool:
    def kept(one: Party) -> bool:
        confirmed, given_up = world.performers(one, Party.confirm), world.performers(one, Party.cancel)
        lost = (confirmed and one.state == "gone" and not given_up) or (one.state == "came" and not confirmed)
        return confirmed <= {one.leader} and not lost

    return all(kept(one) for one in world.all(Party))


@always("It takes two people for somebody to be forgotten.")
def forgotten_by_two(world: World) -> bool:
    return not any(
        world.performers(one, Erasure.ask) & world.performers(one, Erasure.agree)
        for one in world.all(Erasure)
    )


app = system(
    "booking", Room, Booking, Tour, Party, Erasure,
    promises=[
        rooms_are_let_once, tours_fit, lines_add_up, line_moves, turns_have_places, stays_are_kept,
        missed_late, places_are_kept, forgotten_by_two,
    ], operators=role("operator"),
)  # fmt: skip
