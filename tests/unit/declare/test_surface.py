"""What the words of a class body become, in whatever way the body is written."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Optional, cast

import pytest

import avow
from avow import (
    Entity,
    Money,
    State,
    Subject,
    actor,
    create,
    everybody,
    field,
    limits,
    performed,
    publish,
    read,
    ref,
    role,
    system,
    transition,
)
from avow.declare.build import build
from avow.errors import DeclarationError
from avow.model import types as kinds
from avow.model.expression import render
from tests.unit.declare import optional_fields

dean = role("dean")


class Kind(StrEnum):
    SMALL = "small"


@dataclass(frozen=True)
class Place:
    town: str
    zip: Annotated[str, limits(max_length=5)] = "00000"


def mine(applicant: Any) -> Any:
    """A condition that helps to declare; its argument is called like a field of the entity."""
    return actor == applicant


class Thing(Entity):
    """Annotations are evaluated at once in this module: no `from __future__ import annotations`."""

    applicant: Subject = field(default=actor)
    owner: Subject = field(default=actor)
    parent: Optional["Thing"] = ref()
    kind: Kind = field(default=Kind.SMALL)
    place: Place | None = field()
    price: Annotated[Money, limits(currency="JPY", ge=0)] = field(default=Money(Decimal(1), "JPY"))
    tags: tuple[str, ...] = field(default=())
    note: str = field(default="", max_length=20)
    visible = read(by=mine(owner) | dean)
    here, there = State(initial=True), State(final=True)
    start = create(here, by=everybody, sets=[parent, kind, place])

    @transition(here, to=there, by=mine(owner) & ~performed(start))
    def leave(
        self, note: str, price: Money, count: Annotated[int, limits(ge=3)] = 4, *, why: str | None = None
    ) -> None:
        """Go."""
        self.note = note


APP = system("things", Thing)


def test_a_field_keeps_its_own_name_when_a_function_helps_to_declare() -> None:
    thing = APP.entities["Thing"]
    assert render(thing.read) == "(actor == owner) | dean"
    assert render(thing.transitions["leave"].by) == "(actor == owner) & ~performed(start)"
    assert thing.tracked == ("start",)


def test_types_come_from_annotations() -> None:
    fields = APP.entities["Thing"].fields
    assert fields["parent"].type == kinds.Reference("Thing")
    assert fields["parent"].optional is True
    assert fields["kind"].type.describe() == {"type": "enum", "values": ["small"]}
    assert fields["price"].type == kinds.MoneyType("JPY", 0, 18, Decimal(0), None)
    assert fields["tags"].type == kinds.ListOf(kinds.Text())
    place = fields["place"].type
    assert isinstance(place, kinds.ObjectOf)
    assert place.members[1] == kinds.Member("zip", kinds.Text(5), False, True)


def test_an_argument_has_the_limits_of_the_field_of_its_name() -> None:
    parameters = {p.name: p for p in APP.entities["Thing"].transitions["leave"].parameters}
    assert parameters["note"].type == kinds.Text(20)
    assert parameters["price"].type == kinds.MoneyType("JPY", 0, 18, Decimal(0), None)
    assert (parameters["count"].type, parameters["count"].default) == (kinds.Integer(3), 4)
    assert parameters["why"].optional is True
    assert APP.entities["Thing"].transitions["leave"].doc == "Go."


def test_entities_can_be_declared_inside_a_function() -> None:
    class Local(StrEnum):
        A = "a"

    class Left(Entity):
        kind: Local = field(default=Local.A)
        right: "Right | None" = ref()
        visible = read(by=dean)
        here = State(initial=True, final=True)
        start = create(here, by=dean)

    class Right(Entity):
        left: Left | None = ref()
        visible = read(by=dean)
        here = State(initial=True, final=True)
        start = create(here, by=dean)

    app, warnings = build("local", Left, Right)
    assert app.entities["Left"].fields["right"].type == kinds.Reference("Right")
    assert warnings == ()


def test_a_misuse_in_another_module_is_not_lost() -> None:
    scope: dict[str, Any] = {"dean": dean, "__name__": "elsewhere"}
    exec(compile("both = dean and dean", "elsewhere.py", "exec"), scope)  # noqa: S102
    with pytest.raises(DeclarationError) as caught:
        system("things", Thing)
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line, mistake.code) == ("elsewhere.py", 1, "truth-value")
    assert system("things", Thing).fingerprint == APP.fingerprint


def test_the_fingerprint_of_a_body_does_not_depend_on_its_decorator() -> None:
    def declared(by: Any) -> Any:
        class One(Entity):
            visible = read(by=dean)
            here = State(initial=True, final=True)
            start = create(here, by=dean)

            @create(here, by=by)
            def other(self) -> None:
                pass

        return system("one", One).entities["One"].transitions["other"]

    assert declared(dean).body_hash == declared(everybody).body_hash != ""


def test_every_public_word_is_there() -> None:
    assert [name for name in avow.__all__ if not hasattr(avow, name)] == []
    assert avow.__all__ == sorted(avow.__all__)


def test_a_refusal_can_name_what_is_allowed_since_every_policy_is_loaded() -> None:
    class Boss(Entity):
        who: Subject = field()
        visible = read(by=dean)
        here = State(initial=True, final=True)
        start = create(here, by=dean, sets=[who])

    class Case(Entity):
        boss: Boss = ref()
        visible = read(by=dean)
        begun, ended = State(initial=True), State(final=True)
        begin = create(begun, by=dean, sets=[boss])
        again = transition(begun, to=begun, by=dean)
        end = transition(begun, to=ended, by=actor == boss.who)

    transitions = system("cases", Boss, Case).entities["Case"].transitions
    assert transitions["again"].loads == (("boss",),)
    assert transitions["begin"].loads == ()


def test_fields_may_share_a_line() -> None:
    class Pair(Entity):
        one: str = field(); two: str = field(); three: int = field(default=0)  # noqa: E702  # fmt: skip
        there = State(initial=True, final=True)
        visible = read(by=everybody)
        start = create(there, by=everybody, sets=[one, two])

    assert list(system("pairs", Pair).entities["Pair"].fields) == ["one", "two", "three"]


def test_a_value_that_may_be_missing_is_told_by_its_own_name() -> None:
    parcel = optional_fields.app.entities["Parcel"]
    assert render(parcel.transitions["send"].by) == "actor == van.driver"
    assert [render(stated.condition) for stated in parcel.invariants][:2] == ["starts < ends", "fee <= worth"]
    assert render(parcel.quotas[0].limit) == "places"


def test_transitions_that_are_published_in_a_list_are_told_how_they_are_written() -> None:
    class Book(Entity):
        visible = read(by=everybody)
        there = State(initial=True, final=True)
        bring = create(there, by=everybody)
        told: Any = publish(cast(Any, [bring]), by=everybody)

    with pytest.raises(DeclarationError) as failure:
        system("books", Book)
    assert "publish(ONE, ANOTHER, ...)" in str(failure.value)
