"""A saga stands for states and transitions of which every way ends with all done, or with all undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import avow
from avow import Call, Entity, State, Subject, create, everybody, field, parallel, read, saga, step, system
from avow.declare.effect import EffectWord
from avow.kernel.command import Command, Decision, Record
from avow.kernel.decide import decide
from avow.model.actor import Actor
from avow.model.expression import render
from avow.model.system import System

ALICE = Actor(Subject("alice"), "main")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOBODY_LEFT = "nobody is left to hear of a call that is under way"


def call(name: str) -> EffectWord:
    """An effect of this name, whose result is a number."""

    def made(record: Any, call: Call) -> int:
        raise NotImplementedError

    made.__name__ = name
    made.__annotations__["return"] = int
    return avow.effect()(made)


a, b, c, d, e = map(call, "abcde")
ua, ub, uc, ud = map(call, ("ua", "ub", "uc", "ud"))


def over(steps: tuple[Any, ...], *fields: Any) -> list[Any]:
    """The steps; those that look at fields are given them."""
    return [each(*fields) if callable(each) else each for each in steps]


def errand(*steps: Any, cancel: bool) -> System:
    """A system of one entity with this saga; `wanted` is for the conditions of its steps."""

    class Errand(Entity):
        wanted: int = field(default=0)
        maybe: int | None = field()
        told: int | None = field()
        problem: str | None = field(max_length=100)
        visible = read(by=everybody)
        begun = State(initial=True)
        done, failed = State(final=True), State(final=True)
        begin = create(begun, by=everybody, sets=[wanted, maybe])
        run = saga(
            *over(steps, wanted, maybe, told),
            start=begun, done=done, failed=failed, cancel=everybody if cancel else None, reason=problem,
        )  # fmt: skip

    return system("errands", Errand)


@dataclass(frozen=True)
class World:
    """A record, the calls that are under way, what has been done outside, and what of it has been undone."""

    record: Record
    open: frozenset[tuple[str, int]]
    done: frozenset[tuple[str, UUID]] = frozenset()
    undone: frozenset[str] = frozenset()


def start(app: System, **given: Any) -> World:
    command = Command("Errand", "begin", UUID(int=1), given, ALICE, UUID(int=2))
    return entered(app, decide(app, {}, command, NOON), frozenset(), World(Any, frozenset()))  # type: ignore[arg-type]


def entered(app: System, decided: Any, open_: frozenset[tuple[str, int]], world: World) -> World:
    assert isinstance(decided, Decision), decided
    (taken,) = decided.steps
    waits = taken.waits
    kept = {(name, version) for name, version in open_ if name not in waits}
    begun = {(name, decided.result.version) for name, wait in waits.items() if wait is not None}
    held = {name for name, _ in kept | begun}
    assert held == set(app.entities["Errand"].states[decided.result.state].invoke), NOBODY_LEFT
    return replace(world, record=decided.result, open=frozenset(kept | begun))


def moves(app: System, world: World) -> Iterator[World]:
    """Everything that may happen next: each call ends in each way, and somebody cancels."""
    record, entity = world.record, app.entities["Errand"]
    state = entity.states[record.state]
    for name, version in world.open:
        rest = world.open - {(name, version)}
        key = UUID(int=1_000 * version + ord(name[-1]))
        done = replace(world, done=world.done | {(name, key)})
        if state.undoes is not None:
            undone = record.values[state.undoes]
            (what,) = [did for did, at in world.done if at == undone]
            assert what not in world.undone, f"{what} is undone twice"
            done = replace(done, undone=world.undone | {what})
        yield told(app, f"{name}.done", {"result": 7, "key": key}, rest, done)
        if not state.owed:
            yield told(app, f"{name}.failed", {"code": "no", "reason": ""}, rest, world)
    if any(t.command == "cancel" and record.state in t.sources for t in entity.transitions.values()):
        yield told(app, "cancel", {}, world.open, world)


def told(app: System, name: str, given: Any, open_: Any, world: World) -> World:
    internal = name != "cancel"
    command = Command("Errand", name, world.record.id, given, ALICE, UUID(int=3), internal=internal)
    return entered(app, decide(app, {world.record.key: world.record}, command, NOON), open_, world)


LATE = "undone where it is cancelled too late"
SHAPES: dict[str, list[Any]] = {
    "one": [step(a)],
    LATE: [step(a, undo=ua)],
    "in order": [step(a, undo=ua), step(b, undo=ub), step(c)],
    "one effect that undoes two": [step(a, undo=ua), step(b, undo=ua), step(c)],
    "pivot": [step(a, undo=ua), step(b, undo=avow.nothing), step(c, pivot=True), step(d, retry=avow.forever)],
    "two at once": [step(a, undo=ua), parallel(step(b, undo=ub), step(c, undo=uc)), step(d)],
    "three at once": [parallel(step(a, undo=ua), step(b, undo=ub), step(c, undo=uc)), step(d)],
    "at once at the end": [step(a, undo=ua), parallel(step(b, undo=ub), step(c, undo=uc))],
    "at once after the pivot": [
        step(a, pivot=True),
        parallel(step(b, retry=avow.forever), step(c, retry=avow.forever)),
    ],
    "when": [
        step(a, undo=ua),
        lambda wanted, maybe, told: step(b, undo=ub, when=wanted > 1),
        lambda wanted, maybe, told: step(c, undo=uc, when=(maybe > 1) & (wanted < 3)),
        step(d, undo=ud),
        lambda wanted, maybe, told: step(e, when=avow.not_(maybe == 2), pivot=True),
    ],
    "at once when": [
        step(a, undo=ua),
        lambda wanted, maybe, told: parallel(
            step(b, undo=ub, when=wanted > 1), step(c, undo=uc, when=maybe > 1)
        ),
        step(d),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "cancel"),
    [(shape, cancel) for shape in SHAPES for cancel in (True, False) if cancel or shape != LATE],
)
def test_every_way_ends_with_all_done_or_all_undone(shape: str, cancel: bool) -> None:
    """Whatever the outcomes are, in whatever order they come, and whenever it is cancelled."""
    app, ends = errand(*SHAPES[shape], cancel=cancel), set[str]()
    entered_states = set[str]()
    for wanted, maybe in ((0, None), (2, None), (2, 2), (3, 3), (0, 1)):
        first = start(app, wanted=wanted, maybe=maybe)
        seen, fresh = {repr(first)}, [first]
        while fresh:
            world = fresh.pop()
            entered_states.add(world.record.state)
            check(app, world)
            ends |= {world.record.state} if world.record.state in ("done", "failed") else set()
            for after in moves(app, world):
                if repr(after) not in seen:
                    seen.add(repr(after))
                    fresh.append(after)
    assert ends == {"done", "failed"}
    assert entered_states == set(app.entities["Errand"].states), "a state that nothing leads to"


def check(app: System, world: World) -> None:
    """What is done outside, and not undone, is what the record says."""
    steps = {name for name, _ in world.done if not name.startswith("u")}
    undoable = {name.removesuffix("_key") for name in app.entities["Errand"].fields if name.endswith("_key")}
    owed = {name for name in undoable if world.record.values[f"{name}_key"] is not None}
    assert owed == (steps & undoable) - world.undone
    if world.record.state == "failed":
        assert owed == set()
        assert world.record.values["problem"] is not None
    if world.record.state == "done":
        assert world.undone == set()
        assert not world.open


def test_states_and_transitions_are_named_for_the_effects() -> None:
    entity = errand(*SHAPES["pivot"], cancel=True).entities["Errand"]
    assert list(entity.states) == [
        "begun", "done", "failed", "cancel_a", "b", "cancel_b", "c", "cancel_c", "d", "undo_a",
    ]  # fmt: skip
    assert [name for name in entity.transitions if name.startswith("a_")] == [
        "a_done", "a_failed", "a_done_late", "a_not_done",
    ]  # fmt: skip
    assert entity.transitions["begun_cancelled"].command == "cancel"
    assert entity.effects["d"].retry == avow.forever


def test_a_step_sees_what_the_steps_before_it_have_set() -> None:
    steps: list[Callable[..., Any]] = [
        lambda wanted, maybe, told: step(a, undo=ua, sets={told: a.result}),
        lambda wanted, maybe, told: step(b, undo=avow.nothing, when=told > 6),
        lambda wanted, maybe, told: step(c, when=told > 7),
    ]
    app = errand(*steps, cancel=False)
    way = app.entities["Errand"].transitions["a_done_to_b"]
    assert way.when is not None
    assert render(way.when) == "given.result > 6"
    world = start(app, wanted=0)
    (world,) = [after for after in moves(app, world) if after.done]
    assert world.record.state == "b"
    (world,) = [after for after in moves(app, world) if len(after.done) == 2]
    assert world.record.state == "done"


def test_everything_that_a_saga_stands_for_has_the_line_of_its_step() -> None:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    entity = errand(
        step(a, undo=ua),
        step(b),  # this line
        cancel=True,
    ).entities["Errand"]
    place = entity.states["b"].place
    assert lines[place.line - 1].endswith("# this line")
    assert entity.transitions["b_done"].place == place
    assert entity.fields["a_key"].place.line == place.line - 1


def test_a_declaration_with_a_saga_may_be_closed_twice() -> None:
    class Errand(Entity):
        visible = read(by=everybody)
        begun, done, failed = State(initial=True), State(final=True), State(final=True)
        begin = create(begun, by=everybody)
        run = saga(step(a, undo=ua), step(b), start=begun, done=done, failed=failed)
        by: Subject = field(default=avow.actor)
        held = avow.unique(by, among=run.states)

    first, second = system("errands", Errand), system("errands", Errand)
    assert first.fingerprint == second.fingerprint
    assert first.entities["Errand"].uniques[0].states == ("begun", "b", "undo_a")
