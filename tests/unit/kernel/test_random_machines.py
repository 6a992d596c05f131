"""Whatever machine was declared and whatever is asked of it: an answer, and never an undeclared step."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from avow.errors import PROBLEMS
from avow.kernel.command import Command, Decision, Key, Record
from avow.kernel.decide import decide
from avow.kernel.draft import Pool
from avow.kernel.policy import allowed
from avow.kernel.view import seen_by
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.actor import Actor, anonymous
from avow.model.entity import Entity, Field, Invariant, Parameter, State, Transition
from avow.model.expression import Expression
from avow.model.system import System
from avow.model.values import Subject

NOW = datetime(2026, 11, 21, tzinfo=UTC)
STATES, WORDS = ("a", "b", "c"), ("one", "two", "three", "four")
ACTORS = [
    anonymous("t"),
    *(Actor(Subject(who), "t", frozenset(roles)) for who in ("ana", "ben") for roles in ((), ("dean",))),
]
THING, OTHER = UUID(int=1), UUID(int=2)

policies = st.recursive(
    st.sampled_from(
        [
            ast.Everybody(), ast.Authenticated(), ast.Internal(), ast.HasRole("dean"), ast.Performed("one"),
            ast.InState(("a", "b")), ast.Missing(ast.FieldOf(("note",))), ast.InState(("a",), ("other",)),
            ast.Compare("==", ast.ActorSubject(), ast.FieldOf(("owner",))),
            ast.Compare("<", ast.FieldOf(("count",)), ast.FieldOf(("other", "count"))),
        ]
    ),
    lambda p: st.lists(p, min_size=1, max_size=3).map(lambda parts: ast.All(tuple(parts)))
    | st.lists(p, min_size=1, max_size=3).map(lambda parts: ast.AnyOf(tuple(parts)))
    | p.map(ast.Not),
    max_leaves=4,
)  # fmt: skip

FIELDS = {
    "owner": Field("owner", kinds.SubjectType(), False, ast.ActorSubject()),
    "count": Field("count", kinds.Integer(0, 5), False, ast.Const(0)),
    "note": Field("note", kinds.Text(3), True),
    "other": Field("other", kinds.Reference("Thing"), True),
}


@st.composite
def systems(draw: st.DrawFn, guards: bool) -> System:
    """One entity with up to four transitions and a creation, without bodies."""
    made = dict[str, Transition]()
    for name in draw(st.lists(st.sampled_from(WORDS), unique=True, max_size=4)):
        sources = tuple(draw(st.lists(st.sampled_from(STATES), min_size=1, unique=True)))
        sets = (
            tuple(draw(st.lists(st.sampled_from(["count", "note", "other"]), unique=True))) if guards else ()
        )
        when = draw(st.none() | policies) if guards else None
        command = draw(st.sampled_from([name, "shared"])) if guards and not sets else name
        made[name] = Transition(
            name,
            command,
            sources,
            draw(st.sampled_from(STATES)),
            draw(policies),
            when,
            parameters(sets),
            sets,
        )
    sets = ("count", "note", "other")
    made["start"] = Transition(
        "start", "start", (), "a", draw(policies), None, parameters(sets), sets, creation=True
    )
    rule = Invariant("small", ast.Compare("<=", ast.FieldOf(("count",)), ast.Const(4)), "Too many.")
    states = {name: State(name) for name in STATES}
    entity = Entity("Thing", "things", FIELDS, states, made, draw(policies), (rule,), tracked=("one",))
    return System("random", {"Thing": entity})


def parameters(sets: tuple[str, ...]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(n, FIELDS[n].type, FIELDS[n].optional or FIELDS[n].default is not None) for n in sets
    )


def thing(record_id: UUID, state: str, count: int, note: str | None, performers: Any = None) -> Record:
    values = {
        "owner": Subject("ana"),
        "count": count,
        "note": note,
        "other": OTHER if record_id == THING else None,
    }
    return Record("Thing", record_id, state, 3, values, performers or {})


records_of = st.builds(
    lambda *parts: {r.key: r for r in (thing(THING, *parts), thing(OTHER, "a", 2, None))},
    st.sampled_from(STATES), st.integers(0, 5), st.none() | st.just("x"),
    st.sampled_from([{}, {"one": ("ana",)}, {"one": ("ben", "ana")}]),
)  # fmt: skip
junk = (
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.text(max_size=5)
    | st.sampled_from([OTHER, UUID(int=9)])
)
inputs = st.dictionaries(st.sampled_from(["count", "note", "other", "nonsense"]), junk, max_size=3)


@settings(max_examples=150, deadline=None)
@given(systems(guards=True), records_of, inputs, st.sampled_from(ACTORS), st.none() | st.integers(2, 4))
def test_a_decision_is_total_and_takes_declared_steps_only(
    system: System, records: dict[Key, Record], given_: dict[str, Any], actor: Actor, version: int | None
) -> None:
    for name in (*WORDS, "shared", "start", "undeclared"):
        target = UUID(int=7) if name == "start" else THING
        answer = decide(
            system, records, Command("Thing", name, target, given_, actor, UUID(int=8), version), NOW
        )
        if not isinstance(answer, Decision):
            assert answer.code in PROBLEMS
            continue
        (step,) = answer.steps
        assert step.after.state == step.transition.target
        assert step.transition.name in system.entities["Thing"].transitions
        if step.before is not None:
            assert step.before.state in step.transition.sources
            assert step.after.version == step.before.version + 1
            assert version in (None, step.before.version)
        for field in FIELDS.values():
            value = step.after.values[field.name]
            assert (value is None and field.optional) or field.type.fit(value, "") == value
        assert step.after.values["count"] <= 4
        assert all(records[key].version == read for key, read in answer.reads.items())


@settings(max_examples=80, deadline=None)
@given(systems(guards=False), records_of)
def test_what_is_allowed_is_exactly_what_a_decision_accepts(
    system: System, records: dict[Key, Record]
) -> None:
    record = records["Thing", THING]
    if record.values["count"] > 4:
        return
    for actor in ACTORS:
        commands = allowed(Pool(system, actor, NOW, records, {}), record)
        for name in WORDS:
            answer = decide(system, records, Command("Thing", name, THING, {}, actor, UUID(int=8)), NOW)
            assert isinstance(answer, Decision) is (name in commands)
            if not isinstance(answer, Decision) and answer.code == "state-conflict":
                assert answer.extra["allowed"] == commands
            if not isinstance(answer, Decision) and answer.code == "forbidden":
                assert seen_by(system, record, actor, NOW, records) is not None


def test_the_kernel_gives_the_same_answer_to_the_same_question() -> None:
    every: list[Expression] = [ast.Everybody(), ast.HasRole("dean")]
    for by, actor in product(every, ACTORS):
        entity = Entity(
            "Thing", "things", FIELDS, {n: State(n) for n in STATES},
            {"one": Transition("one", "one", ("a",), "b", by)}, ast.Everybody(), tracked=("one",),
        )  # fmt: skip
        system, record = System("same", {"Thing": entity}), thing(THING, "a", 1, None)
        command = Command("Thing", "one", THING, {}, actor, UUID(int=8))
        first, second = (decide(system, {record.key: record}, command, NOW) for _ in range(2))
        assert first == second
