"""What a search follows at once, whatever else there is to do: it would come there late, or never."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from avow import (
    Call,
    Entity,
    State,
    authenticated,
    create,
    effect,
    field,
    internal,
    now,
    read,
    ref,
    system,
    transition,
)
from avow.kernel.command import Record
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.prove.act import TENANT, Act, Path, Ref
from avow.prove.explore.compose import composed, in_part
from avow.prove.explore.kinds import kind_of_record
from avow.prove.explore.path import end_of
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import FLOWING, PORTION, Search
from avow.prove.explore.situation import Situation

ADA = Actor(Subject("Ada"), TENANT, frozenset())


@effect(destination="bell")
async def ring(guest: Guest, call: Call) -> None:
    await call.http.post("/rings", json={"guest": str(guest.id)})


class Hall(Entity):
    """Seats for guests."""

    seats: int = field(ge=1, le=3)
    taken: int = field(default=0, ge=0)
    visible = read(by=authenticated)
    open, closed = State(initial=True), State(final=True)
    build = create(open, by=authenticated, sets=[seats])
    close = transition(open, to=closed, by=authenticated)

    @transition(open, to=open, by=internal)
    def take(self) -> None:
        self.taken += 1


class Guest(Entity):
    """Somebody who comes by invitation or without, is seated, and is rung for."""

    hall: Hall = ref()
    row: int = field(ge=0, le=9)
    age: int = field(ge=0, le=99)
    bags: int = field(ge=0, le=9)
    coats: int = field(ge=0, le=9)
    dogs: int = field(ge=0, le=9)
    name: str = field(max_length=20)
    came: datetime = field(default=now)
    visible = read(by=authenticated)
    waiting, seated = State(initial=True), State()
    rung, unheard, gone = State(invoke=ring), State(), State(final=True)
    arrive = create(waiting, by=authenticated, sets=[hall, row, age, bags, coats, dogs, name])
    invite = create(waiting, by=authenticated, sets=[hall, row, age, bags, coats, dogs, name])
    leave = transition(
        [waiting, seated, unheard], to=gone, by=authenticated, when=now >= came + timedelta(hours=1)
    )

    @transition(waiting, to=seated, by=authenticated, uses=hall)
    def seat(self) -> None:
        self.hall.take()

    call = transition(seated, to=rung, by=authenticated)
    heard = transition(rung, to=gone, on=ring.done)
    missed = transition(rung, to=unheard, on=ring.failed)


HOUSE = system("house", Hall, Guest)
INPUT = {"hall": Ref("Hall", 1), "row": 0, "age": 2, "bags": 0, "coats": 2, "dogs": 0, "name": "b"}
BUILT = Act("command", "Hall", "build", 1, {"seats": 2}, ADA)
ARRIVED = Act("command", "Guest", "arrive", 1, INPUT, ADA)
SEATED = Act("command", "Guest", "seat", 1, {}, ADA)
CALLED = Act("command", "Guest", "call", 1, {}, ADA)


def ended(path: Path) -> Situation:
    end = end_of(HOUSE, path)
    assert end is not None
    return end


def test_what_one_command_was_accepted_with_is_tried_of_one_that_makes_the_same() -> None:
    acts = Acts(Scope(HOUSE, ("Hall", "Guest"), wide=True))
    acts.learn(ARRIVED)
    tried = islice(acts.inputs(ended((BUILT,)), HOUSE.entities["Guest"], "invite"), 3)
    assert INPUT in list(tried)
    assert acts.cut, "of hundreds of others"


def test_an_instant_is_tried_as_it_is_and_a_second_after_it() -> None:
    acts = Acts(Scope(HOUSE, ("Hall", "Guest")))
    possible = acts.possible(ended((BUILT, ARRIVED)), 0)
    assert {act.later_s for act in possible if act.command == "leave"} >= {3600.0, 3601.0}


def test_a_call_of_what_looks_new_ends_in_the_next_step_however_much_else_there_is() -> None:
    scope = Scope(HOUSE, ("Hall", "Guest"), several=frozenset({"Hall", "Guest"}), wide=True)
    search = Search(scope, [[(BUILT, ARRIVED, SEATED, CALLED)]])
    reached = dict[str, int]()
    for _ in search.steps:
        for _, state in search.found.states:
            reached.setdefault(state, search.found.tried)
        if "unheard" in reached:
            break
    assert reached["unheard"] - reached["rung"] <= PORTION + FLOWING + 1


def test_those_that_have_moved_what_they_share_come_by_turns_with_the_shortest() -> None:
    paths = [(BUILT, ARRIVED), (BUILT, ARRIVED, SEATED), (BUILT, ARRIVED, SEATED, CALLED)]
    alone = {kind_of_record(HOUSE, guest_of(path)): (path, Ref("Guest", 1)) for path in paths}
    first = [ways[0] for ways in islice(composed(HOUSE, "Guest", alone, {}, 2), 4)]
    assert [sum(act.command == "seat" for act in path) for path in first] == [2, 2, 2, 1]


def guest_of(path: Path) -> Record:
    return next(record for record in ended(path).records.values() if record.entity == "Guest")


def test_no_record_is_made_where_one_is_though_a_path_has_left_out_an_earlier_one() -> None:
    path = (BUILT, replace(ARRIVED, record=2), replace(SEATED, record=2))
    acts = Acts(Scope(HOUSE, ("Hall", "Guest"), several=frozenset({"Guest"})))
    made = {act.record for act in acts.possible(ended(path), 0) if act.command == "arrive"}
    assert made == {3}
    alone = {kind_of_record(HOUSE, guest_of(path)): (path, Ref("Guest", 2))}
    scarce, _ = next(composed(HOUSE, "Guest", alone, {}, 2))
    assert [act.record for act in scarce if act.command == "arrive"] == [2, 3]


class Purse(Entity):
    """Coins, and what of them was lent."""

    coins: int = field(ge=0)
    lent: int = field(default=0, ge=0)
    visible = read(by=authenticated)
    open, closed = State(initial=True), State(final=True)
    fill = create(open, by=authenticated, sets=[coins])
    close = transition(open, to=closed, by=authenticated, when=lent == 0)

    @transition(open, to=open, by=authenticated)
    def lend(self, count: int) -> None:
        self.coins -= count
        self.lent += count

    @transition(open, to=open, by=authenticated)
    def take_back(self, count: int) -> None:
        self.coins += self.lent
        self.lent -= count


def test_a_part_is_taken_of_what_there_is_more_of() -> None:
    purse = system("purse", Purse)
    path = tuple(
        Act("command", "Purse", command, 1, {name: 1}, ADA)
        for command, name in (("fill", "coins"), ("lend", "count"), ("take_back", "count"))
    )
    ways = {("Purse", "fill"): (path[:1], path[0].ref), ("Purse", "take_back"): (path, path[0].ref)}
    found = [end_of(purse, way) for (way,) in in_part(ways)]
    assert [next(iter(end.records.values())).values for end in found if end] == [{"coins": 2, "lent": 1}]
