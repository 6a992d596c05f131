"""What is proposed where not all can be tried: inputs near what was accepted, and ways with others beside."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

from avow import (
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    create,
    field,
    invariant,
    missing,
    read,
    ref,
    refuse,
    system,
    transition,
    unique,
)
from avow.model.actor import Actor
from avow.prove.act import TENANT, Act, Path, Ref
from avow.prove.effects import by_turns
from avow.prove.explore.aims import Aims
from avow.prove.explore.compose import chained, composed, ways_of
from avow.prove.explore.inputs import Accepted, Learned
from avow.prove.explore.path import end_of
from avow.prove.explore.people import people_of
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import Search
from avow.prove.explore.together import named_together
from avow.prove.schedule import Schedule

ADA = Actor(Subject("Ada"), TENANT)
BEN = Actor(Subject("Ben"), TENANT)
NAMES = [*"abcdefghij"]


class Purse(Entity):
    """Money, which may go on into another purse."""

    owner: Subject = field(default=actor)
    coins: int = field(ge=0)
    into: Purse | None = ref()
    visible = read(by=authenticated)
    open, empty = State(initial=True), State(final=True)
    one_open = unique(owner, among=[open])
    fill = create(open, by=authenticated, sets=[coins])

    @transition(open, to=open, by=authenticated)
    def take(self, count: int) -> None:
        self.coins -= count

    @transition(open, to=empty, by=authenticated, sets=[into], uses=into)
    def pour(self) -> None:
        if self.into is None:
            raise refuse("Name another one.")
        self.into.take(-self.coins)


class Order(Entity):
    """Something that is paid with a card, or two."""

    price: int = field(ge=1)
    first: str | None = field(max_length=9)
    second: str | None = field(max_length=9)
    on_first: int = field(ge=0, le=9)
    on_second: int = field(ge=0, le=9)
    tip: int = field(ge=0, le=9)
    bags: int = field(ge=0, le=9)
    adds_up = invariant(on_first + on_second + tip + bags <= price + 30, "It isn't too much.")
    with_first = invariant((on_first == 0) | ~missing(first), "Name a card.")
    with_second = invariant((on_second == 0) | ~missing(second), "Name another card.")
    visible = read(by=authenticated)
    placed, gone = State(initial=True), State(final=True)
    place = create(placed, by=authenticated, sets=[price, first, second, on_first, on_second, tip, bags])
    ship = transition(placed, to=gone, by=authenticated)


SHOP, PURSES = system("shop", Order), system("purses", Purse)


def acts_of_purses(*words: tuple[str, int, dict[str, object]]) -> Path:
    return tuple(Act("command", "Purse", word, record, given, ADA) for word, record, given in words)  # type: ignore[arg-type]


def test_what_one_condition_names_is_changed_together() -> None:
    assert frozenset({"on_second", "second"}) in named_together(SHOP)["Order"]
    accepted = Accepted()
    accepted.learn(dict.fromkeys(NAMES))
    each = [[None, 1] for _ in NAMES]
    alone = list(islice(accepted.near(NAMES, each, 0), 200))
    together = list(islice(accepted.near(NAMES, each, 0, [(3, 7)]), 200))
    both = [places for places in together if places[3] == places[7] == 1]
    assert len(both) > 5 * sum(places[3] == places[7] == 1 for places in alone)
    acts = Acts(Scope(SHOP, ("Order",), wide=True))
    place = SHOP.entities["Order"].of_command("place")[0]
    names = [parameter.name for parameter in place.parameters]
    groups = acts.together("Order", "place", names)
    assert (names.index("second"), names.index("on_second")) in groups


def test_of_each_kind_the_last_input_is_kept_and_amounts_that_were_seldom_accepted_come_first() -> None:
    accepted = Accepted()
    for price in (1, 1, 2):
        accepted.learn({"price": price})
    assert [*accepted.kinds.values()] == [{"price": 2}]
    for _ in range(20):
        accepted.learn({"price": 1})
    tried = [places[0] for places in islice(accepted.near(["price"], [[1, 2]], 0), 200)]
    assert sum(tried) > 150, "mostly 2"


def test_in_each_step_something_is_made_with_other_values() -> None:
    search = Search(Scope(SHOP, ("Order",)), learned=Learned())
    for steps, _ in enumerate(search.steps):
        if steps == 300:
            break
    made = [node for node in search.found.nodes if node.depth == 1]
    assert len(made) > 100, "and not only those few that are tried where there is no order yet"


def test_ways_are_gone_beside_others_that_go_the_same_and_are_gone_once_more_and_with_more() -> None:
    path = acts_of_purses(("fill", 1, {"coins": 2}), ("take", 1, {"count": 1}))
    ways = ways_of(PURSES, {("Purse", "fill"): path[:1], ("Purse", "take"): path})
    found = {
        tuple((act.command, act.record, *act.input.values()) for act in seed[0])
        for seed in composed(PURSES, "Purse", {}, ways, 2)
    }
    beside = (("fill", 1, 2), ("fill", 2, 2), ("take", 2, 1))
    assert {beside, (*beside, ("take", 2, 1)), (*beside[:2], ("take", 2, 2))} <= found


def test_a_record_that_another_has_gone_into_goes_into_a_third_one() -> None:
    into = {"into": Ref("Purse", 2)}
    first, second, last = acts_of_purses(
        ("fill", 1, {"coins": 1}), ("fill", 2, {"coins": 1}), ("pour", 1, into)
    )
    path = first, replace(second, actor=BEN), last
    seeds = [seed[0] for seed in chained(PURSES, ("Purse", "pour"), path)]
    then = [(act.command, act.record, act.input.get("into")) for act in seeds[0]]
    assert then[-2:] == [("fill", 3, None), ("pour", 2, Ref("Purse", 3))]
    assert list(chained(PURSES, ("Purse", "fill"), path[:1])) == []


def test_where_each_person_may_have_one_there_are_as_many_people_as_records_side_by_side() -> None:
    assert len(people_of(PURSES)) == 3
    assert len(people_of(SHOP)) == 2


def test_each_root_goes_wrong_in_one_way_before_any_does_in_another() -> None:
    each = [[Schedule(order=(root, way)) for way in range(2 + root)] for root in range(3)]
    order = [schedule.order for schedule in by_turns(map(iter, each))]
    assert order[:3] == [(0, 0), (1, 0), (2, 0)]
    assert all(one[1] <= other[1] for one, other in pairwise(order))
    assert len(order) == 2 + 3 + 4


def test_a_situation_is_nearer_to_what_names_another_record_where_there_is_one() -> None:
    first, second = acts_of_purses(("fill", 1, {"coins": 1}), ("fill", 2, {"coins": 1}))
    aims = Aims(PURSES, ("Purse",))
    for other in ("fill", "take"):
        aims.reached(("Purse", other))
    for at, path in enumerate(((first,), (first, replace(second, actor=BEN)))):
        end = end_of(PURSES, path)
        assert end is not None
        aims.put(at, end)
    assert aims.take() == 1
