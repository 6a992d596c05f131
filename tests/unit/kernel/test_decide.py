"""What a decision answers, and in which order, for whatever a client can do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow import (
    Actor,
    Entity,
    Money,
    State,
    Subject,
    actor,
    authenticated,
    create,
    everybody,
    field,
    given,
    in_state,
    internal,
    invariant,
    missing,
    not_,
    now,
    opaque,
    performed,
    read,
    ref,
    refuse,
    role,
    system,
    transition,
    unique,
)  # fmt: skip
from avow.errors import PROBLEMS
from avow.kernel.command import Command, Decision, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.kernel.draft import STEPS_MAX, Pool
from avow.kernel.policy import allowed, never_may
from avow.kernel.view import seen_by
from avow.model.actor import anonymous
from avow.model.draft import BodyFault
from avow.model.system import System

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Address:
    street: str
    floor: int | None = None


dean, clerk = role("dean"), role("clerk")


class Course(Entity):
    seats: int = field(ge=1)
    taken: int = field(default=0, ge=0)
    teacher: Subject = field(default=actor)
    never_oversold = invariant(taken <= seats, "Never oversold.")
    visible = read(by=authenticated)
    open, closed = State(initial=True), State(final=True)
    offer = create(open, by=clerk, sets=[seats])
    close = transition(open, to=closed, by=actor == teacher)

    @transition(open, to=open, by=internal, when=taken < seats)
    def take(self, count: int = 1) -> None:
        self.taken += count


class Form(Entity):
    """Everything a body can do, one command each."""

    owner: Subject = field(default=actor)
    course: Course = ref()
    other: Course | None = ref()
    note: str | None = field(max_length=10)
    count: int = field(default=0, ge=0, le=1000)
    price: Money = field(currency="EUR", default=Money(Decimal("1.00"), "EUR"))
    tags: list[str] = field(default=[], max_items=3)
    address: Address | None = field()
    due: datetime = field(default=now)
    visible = read(by=(actor == owner) | dean)
    draft, sent, done = State(initial=True), State(), State(final=True)
    one_each = unique(owner, course)

    begin = create(
        draft, by=actor == owner, sets=[course, note, tags, address], when=in_state(Course.open, of=course)
    )
    send = transition(draft, to=sent, by=actor == owner)
    check = transition(sent, to=sent, by=dean)
    finish = transition(sent, to=done, by=dean & ~performed(check))
    stop_own = transition(draft, to=done, by=actor == owner, command="stop")
    stop_sent = transition(sent, to=done, by=dean, command="stop")
    fresh = transition(draft, to=draft, by=dean, precondition=True)
    rename = transition(draft, to=draft, by=actor == owner, sets=[note, count, course])
    in_time = transition(draft, to=draft, by=actor == owner, when=now < due + timedelta(days=1))
    noted = transition(draft, to=draft, by=actor == owner, when=not_(missing(note)))
    odd = transition(draft, to=draft, by=actor == owner, when=opaque(lambda form: form.count / 0 > 1))

    @transition(draft, to=draft, by=actor == owner, uses=course)
    def seat(self, count: int = 1) -> None:
        for _ in range(count):
            self.course.take()

    @transition(draft, to=draft, by=actor == owner)
    def refuse_it(self) -> None:
        raise refuse("Not today.")

    @transition(draft, to=draft, by=actor == owner)
    def set_count(self, to: int) -> None:
        self.count = to

    @transition(draft, to=draft, by=actor == owner)
    def divide(self) -> None:
        self.price = Money(round(self.price.amount / 3, 2), "EUR")

    @transition(draft, to=draft, by=actor == owner)
    def tag(self, tag: str) -> None:
        self.tags += [tag]

    @transition(draft, to=draft, by=actor == owner)
    def clear(self) -> None:
        self.note, self.address = None, None

    @transition(draft, to=sent, by=actor == owner, uses=course)
    def send_and_look(self, limit: int) -> None:
        if self.course.taken >= limit:
            raise refuse("Too many.")

    @transition(draft, to=draft, by=actor == owner, uses=course)
    def swallow(self) -> None:
        try:
            self.course.take(99)
        except Exception:  # noqa: BLE001
            self.note = "ha"

    @transition(draft, to=draft, by=actor == owner)
    def move(self, course: Course) -> None:
        self.course = course

    @transition(draft, to=draft, by=actor == owner, when=given.amount > 0)
    def amount(self, amount: int | None) -> None:
        self.count = amount or 0


APP: System = system("forms", Course, Form)
ANA, BEN = Actor(Subject("ana"), "t"), Actor(Subject("ben"), "t")
DEAN, CLERK = (
    Actor(Subject("dora"), "t", frozenset({"dean"})),
    Actor(Subject("carl"), "t", frozenset({"clerk"})),
)
COURSE, FORM = UUID(int=1), UUID(int=2)


def world(**form: Any) -> dict[Key, Record]:
    """A course with three places, and ana's form."""
    course = Record("Course", COURSE, "open", 4, {"seats": 3, "taken": 0, "teacher": Subject("tim")})
    values: dict[str, Any] = {
        "owner": Subject("ana"), "course": COURSE, "other": None, "note": None, "count": 0,
        "price": Money(Decimal("1.00"), "EUR"), "tags": (), "address": None, "due": NOW,
    }  # fmt: skip
    state = form.pop("state", "draft")
    performers = form.pop("performers", {})
    own = Record("Form", FORM, state, 7, {**values, **form}, performers)
    return {course.key: course, own.key: own}


def ask(
    name: str, who: Actor = ANA, records: dict[Key, Record] | None = None, entity: str = "Form",
    target: UUID = FORM, version: int | None = None, **given_: Any,
) -> Decision | Rejection:  # fmt: skip
    command = Command(entity, name, target, given_, who, uuid4(), version)
    return decide(APP, world() if records is None else records, command, NOW)


def accepted(*args: Any, **kwargs: Any) -> Decision:
    answer = ask(*args, **kwargs)
    assert isinstance(answer, Decision), answer
    return answer


def refused(*args: Any, **kwargs: Any) -> Rejection:
    answer = ask(*args, **kwargs)
    assert isinstance(answer, Rejection), answer
    assert answer.code in PROBLEMS
    return answer


def test_a_creation_starts_with_defaults_arguments_and_version_1() -> None:
    decision = accepted("begin", target=uuid4(), course=COURSE, tags=["a"], address=Address("Main"))
    record = decision.result
    assert (record.version, record.state, decision.steps[0].before) == (1, "draft", None)
    assert record.values["owner"] == "ana"
    assert record.values["due"] == NOW
    assert decision.steps[0].changes == {k: v for k, v in record.values.items() if v is not None}
    assert record.values["tags"] == ("a",)


def test_a_creation_rests_on_the_records_that_its_guard_read_and_on_no_others() -> None:
    assert accepted("begin", target=uuid4(), course=COURSE).reads == {("Course", COURSE): 4}


def test_the_guard_and_the_policy_of_a_creation_see_its_arguments() -> None:
    records = world()
    closed = Record("Course", COURSE, "closed", 5, records["Course", COURSE].values)
    answer = refused("begin", target=uuid4(), course=COURSE, records={closed.key: closed})
    assert answer.code == "guard-failed"


def test_an_anonymous_actor_cannot_be_the_default_of_a_field() -> None:
    assert refused("begin", anonymous("t"), target=uuid4(), course=COURSE).code in (
        "unauthenticated",
        "input-invalid",
    )

    class Note(Entity):
        author: Subject = field(default=actor)
        visible = read(by=everybody)
        kept = State(initial=True, final=True)
        write = create(kept, by=everybody)

    app = system("notes", Note)
    answer = decide(app, {}, Command("Note", "write", uuid4(), {}, anonymous("t"), uuid4()), NOW)
    assert isinstance(answer, Rejection)
    assert answer.code == "unauthenticated"


def test_an_id_that_exists_is_not_created_again() -> None:
    assert refused("begin", target=FORM, course=COURSE).code == "unique-violated"


def test_what_nobody_declared_or_nobody_may_know_is_not_found() -> None:
    assert refused("nothing").code == "not-found"
    assert refused("send", entity="Nothing").code == "not-found"
    assert refused("send", target=uuid4()).code == "not-found"
    assert refused("send", BEN).code == "not-found"


def test_who_may_read_but_not_act_is_told_the_policy() -> None:
    answer = refused("send", DEAN)
    assert (answer.code, answer.extra["rule"]) == ("forbidden", "Form.send: actor == owner")


def test_four_eyes_names_the_step() -> None:
    records = world(state="sent", performers={"check": ("dora",)})
    assert refused("finish", DEAN, records).code == "four-eyes"
    other = Actor(Subject("dan"), "t", frozenset({"dean"}))
    assert accepted("finish", other, records).result.state == "done"
    assert accepted("check", other, records).result.performers == {"check": ("dora", "dan")}
    assert accepted("check", DEAN, records).result.performers == {"check": ("dora",)}


def test_a_wrong_state_is_answered_with_what_is_allowed() -> None:
    answer = refused("send", records=world(state="sent"))
    assert (answer.code, answer.extra["current_state"], answer.extra["allowed"]) == (
        "state-conflict",
        "sent",
        [],
    )
    assert "send" in allowed(Pool(APP, ANA, NOW, world(), {}), world()["Form", FORM])


def test_a_command_of_several_transitions_is_forbidden_where_only_the_other_one_is_permitted() -> None:
    assert accepted("stop").steps[0].transition.name == "stop_own"
    answer = refused("stop", records=world(state="sent"))
    assert (answer.code, answer.extra["rule"]) == ("forbidden", "Form.stop_sent: dean")


def test_the_version_is_compared_before_the_state() -> None:
    assert refused("send", records=world(state="done"), version=6).code == "precondition-failed"
    assert accepted("send", version=7).result.version == 8
    assert refused("fresh", DEAN).code == "precondition-required"
    assert accepted("fresh", DEAN, version=7).result.version == 8


@pytest.mark.parametrize(
    "given_",
    [{"to": True}, {"to": "1"}, {"to": None}, {}, {"to": 1, "more": 2}, {"to": 1.0}, {"to": 2**60}],
    ids=repr,
)
def test_an_input_that_does_not_fit_is_answered_and_not_raised(given_: dict[str, Any]) -> None:
    assert refused("set_count", **given_).code == "input-invalid"


def test_a_reference_has_to_lead_to_a_record_that_the_actor_may_know() -> None:
    answer = refused("begin", target=uuid4(), course=uuid4())
    assert answer.extra["errors"][0] == {
        "pointer": "#/course",
        "code": "reference-not-found",
        "detail": "must be the id of a record that exists for you",
    }
    assert accepted("move", course=COURSE).steps[0].changes == {}


def test_absent_and_null_mean_no_value_and_a_needed_field_stays_as_it_is() -> None:
    records = world(note="x", count=3)
    assert accepted("rename", records=records, course=COURSE).steps[0].changes == {"note": None}
    assert accepted("rename", records=records, note="y", count=None, course=COURSE).steps[0].changes == {
        "note": "y"
    }
    assert refused("rename", records=records).code == "input-invalid"


def test_a_default_of_an_argument_stands_where_nothing_was_given() -> None:
    decision = accepted("seat")
    assert decision.steps[0].input == {"count": 1}
    assert decision.final["Course", COURSE].values["taken"] == 1


def test_a_bound_that_a_body_breaks_is_a_broken_invariant_of_the_field() -> None:
    answer = refused("set_count", to=1001)
    assert (answer.code, answer.extra["rule"]) == ("invariant-violated", "Form.count")


def test_a_guard_permits_only_when_it_is_true() -> None:
    assert refused("noted").code == "guard-failed"
    assert accepted("noted", records=world(note="x")).result.version == 8
    assert refused("amount", amount=None).code == "guard-failed"
    assert refused("amount", amount=0).code == "guard-failed"


def test_a_sum_of_times_past_the_calendar_is_answered() -> None:
    late = datetime(9999, 12, 30, tzinfo=UTC)
    assert accepted("in_time", records=world(due=late)).result.version == 8


def test_a_body_may_refuse_in_its_own_words() -> None:
    answer = refused("refuse_it")
    assert (answer.code, answer.detail, answer.recorded) == ("refused", "Not today.", True)


def test_what_a_body_reads_is_what_the_decision_rests_on() -> None:
    assert accepted("send_and_look", limit=5).reads == {("Form", FORM): 7, ("Course", COURSE): 4}
    assert accepted("send").reads == {("Form", FORM): 7}


def test_a_body_cannot_swallow_the_refusal_of_a_step_it_called_for() -> None:
    answer = refused("swallow")
    assert answer.code == "invariant-violated"


def test_a_command_takes_a_bounded_number_of_steps() -> None:
    records = world()
    big = Record("Course", COURSE, "open", 4, {"seats": 10**6, "taken": 0, "teacher": Subject("tim")})
    records[big.key] = big
    assert len(accepted("seat", records=records, count=STEPS_MAX - 1).steps) == STEPS_MAX
    assert refused("seat", records=records, count=STEPS_MAX).code == "refused"


def test_decimals_in_bodies_do_not_depend_on_the_process() -> None:
    with localcontext() as context:
        context.prec = 2
        price = accepted("divide", records=world(price=Money(Decimal("100000.00"), "EUR"))).result.values[
            "price"
        ]
    assert price == Money(Decimal("33333.33"), "EUR")


def test_lists_and_objects_change_by_assignment() -> None:
    assert accepted("tag", records=world(tags=("a",)), tag="b").steps[0].changes == {"tags": ("a", "b")}
    assert refused("tag", records=world(tags=("a", "b", "c")), tag="d").code == "invariant-violated"
    changed = accepted("clear", records=world(note="x", address=Address("Main"))).steps[0].changes
    assert changed == {"note": None, "address": None}


def test_a_fault_in_free_python_is_raised_as_the_declarations_own() -> None:
    with pytest.raises(BodyFault, match="ZeroDivisionError"):
        ask("odd")


def test_an_internal_transition_has_no_caller_from_outside() -> None:
    assert refused("take", CLERK, entity="Course", target=COURSE, count=1).code == "forbidden"
    assert never_may(APP.entities["Course"].transitions["take"].by, CLERK) is True
    assert never_may(APP.entities["Form"].transitions["finish"].by, DEAN) is False
    assert never_may(APP.entities["Form"].transitions["finish"].by, ANA) is True


def test_a_view_shows_what_the_actor_may_see() -> None:
    records = world()
    form = records["Form", FORM]
    assert seen_by(APP, form, BEN, NOW, records) is None
    shown = seen_by(APP, form, ANA, NOW, records)
    assert shown is not None
    assert (shown["price"], shown["state"]) == ({"amount": "1.00", "currency": "EUR"}, "draft")
