"""The exploration of the model: what is the same is seen once, what is possible is tried, rules are seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from avow import (
    Entity,
    State,
    World,
    always,
    create,
    days,
    everybody,
    field,
    hours,
    invariant,
    now,
    read,
    ref,
    system,
    transition,
)
from avow.model.actor import Actor
from avow.model.expression import All, Authenticated, HasRole, Not
from avow.model.times import DateTimeType
from avow.model.types import Integer, Text
from avow.model.values import Subject
from avow.prove.act import TENANT, Act, Path, Ref
from avow.prove.explore.path import end_of, follow, shorter
from avow.prove.explore.people import people_of
from avow.prove.explore.possible import Scope, sampled_in
from avow.prove.explore.search import components, search
from avow.prove.explore.shape import Shapes
from avow.prove.explore.situation import Happened, Refusal, Situation, happen
from avow.prove.explore.values import constants_of, spelled, values_of
from avow.prove.finding import EXHAUSTED
from avow.prove.model import Model, coverage_of
from avow.prove.phase import Bench
from avow.prove.promises import asked_steps, broken
from avow.prove.reach import but_sampled, tallies
from tests.canaries.mutants import counted
from tests.unit.prove.systems import SOUND, UNSOUND, Book

ADA, BEN = (Actor(Subject(name), TENANT, frozenset({"clerk"})) for name in ("Ada", "Ben"))


def built(ordinal: int, room: int = 1, by: Actor = ADA) -> Act:
    return Act("command", "Shelf", "build", ordinal, {"room": room}, by)


def brought(ordinal: int, title: str, shelf: int, by: Actor = ADA) -> Act:
    return Act("command", "Book", "bring", ordinal, {"title": title, "shelf": Ref("Shelf", shelf)}, by)


def did(word: str, ordinal: int, by: Actor) -> Act:
    return Act("command", "Book", word, ordinal, {}, by)


def at_end(path: Path) -> Situation:
    situation = end_of(SOUND, path)
    assert situation is not None, follow(SOUND, path)
    return situation


def code_of(path: Path) -> str:
    outcome = happen(SOUND, at_end(path[:-1]), path[-1])
    return outcome.rejection.code if isinstance(outcome, Refusal) else ""


def test_situations_are_the_same_up_to_names_and_order() -> None:
    shapes = Shapes(SOUND)
    one = at_end((built(1), built(2, 2), brought(1, "a", 2, ADA), did("keep", 1, BEN)))
    other = at_end((built(1, 2), built(2), brought(1, "a", 1, BEN), did("keep", 1, ADA)))
    assert shapes.shape_of(one).key == shapes.shape_of(other).key
    elsewhere = at_end((built(1), built(2, 2), brought(1, "a", 1, ADA), did("keep", 1, BEN)))
    assert shapes.shape_of(one).key != shapes.shape_of(elsewhere).key, "it stands on another shelf"
    unkept = at_end((built(1), built(2, 2), brought(1, "a", 2, ADA)))
    assert shapes.shape_of(one).key != shapes.shape_of(unkept).key


def test_rules_that_the_database_holds_are_held_in_the_model_too() -> None:
    assert code_of((built(1), brought(1, "a", 1), brought(2, "a", 1))) == "unique-violated"
    full = (built(1), brought(1, "a", 1), brought(2, "b", 1), did("keep", 1, BEN), did("keep", 2, BEN))
    assert code_of(full) == "invariant-violated"
    assert code_of((built(1), brought(1, "a", 1), did("keep", 1, ADA))) == "four-eyes"


def test_the_oracle_sees_what_a_database_might_hold_wrongly() -> None:
    good = at_end((built(1), brought(1, "a", 1), brought(2, "b", 1), did("keep", 1, BEN)))
    key = next(key for key in good.records if key[0] == "Book" and key[1].int & 0xFF == 2)
    wrong = good.records[key]._replace(state="kept", values={**good.records[key].values, "title": "a"})
    found = broken(SOUND, {**good.records, key: wrong}, good.performers, good.now)
    assert {one.promise for one in found} == {"Book.one_each", "Book.fits"}
    assert broken(SOUND, good.records, good.performers, good.now) == []
    seen = {**good.performers, key: {"bring": frozenset({"Ada"}), "keep": frozenset({"Ada"})}}
    assert [one.promise for one in broken(SOUND, good.records, seen, good.now)] == ["by_another"]


def test_a_small_model_is_searched_to_its_end() -> None:
    found = search(Scope(SOUND, ("Shelf", "Book")), lambda _: True)
    coverage = coverage_of(SOUND, [found])
    assert found.closed
    assert coverage.missed == ()
    assert len(coverage.transitions["Book", "keep"]) == 3
    refused = {(one.act.command, one.code) for one in coverage.refused["Book", "gone"]}
    assert {("keep", "state-conflict"), ("fetch", "state-conflict")} <= refused
    for all_ in coverage.refused.values():
        for one in all_:
            before = at_end(one.path or ())
            outcome = happen(SOUND, before, one.act)
            assert isinstance(outcome, Refusal)
            assert outcome.rejection.code == one.code


def test_where_only_some_values_were_tried_it_is_not_said_that_all_were() -> None:
    whole, sampled = Scope(SOUND, ("Shelf",)), Scope(SOUND, ("Shelf", "Book"))
    assert sampled_in(whole) == (), "one, two or three: each room is tried"
    assert sampled_in(sampled) == ("title",)
    assert but_sampled(sampled) == "; of title only values at the boundaries"
    found = [search(scope, lambda _: True) for scope in (whole, sampled)]
    assert all(one.closed for one in found)
    assert [next(tallies(SOUND, [one], [])).reach == EXHAUSTED for one in found] == [True, False]


def test_whoever_has_a_role_that_a_policy_shuns_also_comes_without_it() -> None:
    book = SOUND.entities["Book"]
    keep = replace(book.transitions["keep"], by=All((Not(HasRole("clerk")), Authenticated())))
    shunning = replace(book, transitions={**book.transitions, "keep": keep})
    people = people_of(replace(SOUND, entities={**SOUND.entities, "Book": shunning}))
    assert {(str(one.subject), one.roles) for one in people} == {
        (name, roles) for name in ("Ada", "Ben") for roles in (frozenset({"clerk"}), frozenset[str]())
    }
    assert {one.roles for one in people_of(SOUND)} == {frozenset({"clerk"})}


async def test_a_broken_promise_is_told_by_the_shortest_path_and_again_a_hundred_times() -> None:
    bench = Bench(UNSOUND, 0)
    findings = (await Model().run(bench, counted(2_000))).findings
    (finding,) = findings
    assert finding.promise == "shelves_stay"
    assert [act.command for act in finding.schedule.acts] == ["build", "bring", "pull_down", "keep"]
    assert all(act.actor and act.actor.roles <= {"clerk"} for act in finding.schedule.acts)
    assert str(UNSOUND.entities["Book"].transitions["keep"].place) in finding.why
    again = [await Model().replay(bench, finding.schedule) for _ in range(100)]
    assert all(one == again[0] for one in again)
    assert again[0] is not None
    assert (again[0].promise, again[0].story) == (finding.promise, finding.story)
    assert await Model().replay(Bench(SOUND, 0), finding.schedule) is None


def test_a_promise_that_cannot_be_judged_does_not_hold() -> None:
    def asks_elsewhere(world: World) -> bool:
        step = getattr(Book, "fetch")  # noqa: B009 - so that the function doesn't name it
        return not any(world.performers(book, step) for book in world.all(Book))

    promise = always("Nobody fetches a book.")(asks_elsewhere)
    system = replace(SOUND, promises=(promise,))
    situation = at_end((built(1), brought(1, "a", 1)))
    (found,) = broken(system, situation.records, {}, situation.now)
    assert "nobody has kept who performed fetch" in found.sentence


def helper(world: World) -> bool:
    return any(world.performers(book, Book.keep) for book in world.all(Book))


def test_the_steps_that_a_helper_of_a_promise_asks_about_are_kept_too() -> None:
    def through_a_helper(world: World) -> bool:
        return not helper(world)

    system = replace(SOUND, promises=(always("No book is kept.")(through_a_helper),))
    assert asked_steps(system) == {"keep"}


def test_a_path_loses_what_it_does_not_need() -> None:
    path = (built(1), built(2, 2), brought(1, "a", 1), brought(2, "b", 2), did("keep", 1, BEN))

    def keeps(candidate: Path) -> bool:
        end = end_of(SOUND, candidate)
        return end is not None and any(record.state == "kept" for record in end.records.values())

    found = shorter(path, keeps)
    assert [(act.command, act.record) for act in found] == [("build", 1), ("bring", 1), ("keep", 1)]
    assert isinstance(follow(SOUND, found)[-1], Happened)


def test_entities_that_have_nothing_to_do_with_each_other_are_searched_apart() -> None:
    assert components(SOUND) == [("Shelf", "Book")]
    alone = replace(SOUND, entities={"Shelf": SOUND.entities["Shelf"]}, promises=())
    assert components(alone) == [("Shelf",)]


def test_boundary_values_are_those_of_the_type_and_of_what_it_is_compared_with() -> None:
    now = Situation().now
    assert set(values_of(Integer(0, 3), [2], now, True)) == {0, 1, 2, 3}
    assert -1 in values_of(Integer(), [], now, True)
    plate = Text(20, pattern="[A-Z]{2}-[0-9]{3}")
    assert values_of(plate, [], now, True), "a text that a pattern asks for is spelled"
    assert spelled("(a|b)[0-9]+x?", 1) == "b1"


class Ticket(Entity):
    """A ticket that costs at least a euro."""

    cents: int = field(ge=100)
    visible = read(by=everybody)
    sold = State(initial=True, final=True)
    sell = create(sold, by=everybody, sets=[cents])


class Resale(Entity):
    """What somebody asks for one: a tenth more at most."""

    ticket: Ticket = ref()
    asked: int = field(ge=0)
    visible = read(by=everybody)
    fair = always(asked * 10 <= ticket.cents * 11, "Nobody asks more than a tenth above the price.")
    offered = State(initial=True, final=True)
    offer = create(offered, by=everybody, sets=[ticket, asked])


RESALES = system("resales", Ticket, Resale)


async def test_a_number_that_may_be_so_many_times_another_one_is_tried_beyond() -> None:
    assert 110 in constants_of(RESALES)["Resale", "asked"]
    report = await Model().run(Bench(RESALES, 0), counted(2_000))
    assert [finding.promise for finding in report.findings] == ["Resale.fair"]


class Visit(Entity):
    """Something that can be called off until a week before it begins."""

    begins: datetime = field()
    ends: datetime = field()
    forward = invariant(begins < ends, "It ends after it begins.")
    visible = read(by=everybody)
    asked, called_off = State(initial=True), State(final=True)
    ask = create(asked, by=everybody, sets=[begins, ends])
    call_off = transition(asked, to=called_off, by=everybody, when=now < begins - days(7))


VISITS = system("visits", Visit)


def test_instants_are_tried_beyond_the_time_that_has_to_lie_before_them() -> None:
    today, day = Situation().now, timedelta(days=1)
    for short in ([], [timedelta(hours=3)]):
        assert values_of(DateTimeType(), short, today, False) == [today + day, today + 2 * day]
    week = values_of(DateTimeType(), [timedelta(hours=3), 7 * day], today, False)
    assert week[2:] == [today + 8 * day, today + 9 * day]
    assert 7 * day in constants_of(VISITS)["Visit", "begins"]
    assert 7 * day in constants_of(VISITS)["Visit", "ends"], "which begins has to lie before"
    found = search(Scope(VISITS, ("Visit",)), lambda _: True)
    assert coverage_of(VISITS, [found]).missed == ()


class Watch(Entity):
    """Hours that somebody is on watch: few, and handed over long before."""

    begins: datetime = field()
    ends: datetime = field()
    notice: timedelta = field()
    first: date = field()
    forward = invariant(begins < ends, "It ends after it begins.")
    short = invariant(ends - begins <= hours(12), "Nobody is on watch for more than twelve hours.")
    early = invariant(notice >= days(2), "Who is on watch knows it two days before.")
    from_then_on = invariant(first >= date(2031, 1, 1), "There are none before.")
    visible = read(by=everybody)
    planned, over = State(initial=True), State(final=True)
    plan = create(planned, by=everybody, sets=[begins, ends, notice, first], when=now < begins)
    end = transition(planned, to=over, at=ends)


WATCHES = system("watches", Watch)


def test_times_are_tried_as_far_apart_as_they_may_be_and_as_long() -> None:
    """Otherwise no record could be made, and nothing of it would be tried."""
    found = search(Scope(WATCHES, ("Watch",)), lambda _: True)
    assert coverage_of(WATCHES, [found]).missed == ()
