"""Sagas: steps to the outside that are all done, or all undone, as the states and transitions they stand for.

    fulfil = saga(
        step(reserve_stock, undo=release_stock),
        step(authorize_card, undo=void_card, sets={authorization: authorize_card.result.id}),
        step(capture_card, pivot=True),
        step(ship, retry=forever),
        start=placed, done=completed, failed=cancelled, cancel=actor == customer,
    )

A saga is nothing but a short way of writing; `saga_machine` makes of it what could be written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final, TypeAlias
from uuid import UUID

from avow.declare import surface as word
from avow.declare.effect import FOREVER, EffectWord
from avow.declare.expression import Condition, Symbolic, everybody, several
from avow.declare.given import flag
from avow.declare.place import here
from avow.declare.saga_machine import CANCELLED, Machine, Plan, Stage, Task, undone_by
from avow.model.article import with_article
from avow.model.effect import Backoff
from avow.model.place import Place

PARALLEL_MAX = 3
"""How many steps may be under way at once: each set of them that is still open is a state."""

Fault: TypeAlias = tuple[Place, str, str, str]
"""A mistake: place, code, detail, mend."""


class Nothing:
    """The type of `nothing`."""


nothing: Final = Nothing()
"""Said in `undo=`: the step leaves nothing outside that would have to be undone."""


@dataclass(slots=True, eq=False)
class Step:
    """What `step()` remembers."""

    effect: EffectWord
    undo: EffectWord | Nothing | None
    pivot: bool
    retry: Backoff | None
    when: Condition | None
    sets: Mapping[Any, Any]
    reveals: tuple[Any, ...] = ()
    place: Place = dataclass_field(default_factory=here)


@dataclass(slots=True, eq=False)
class Parallel:
    """What `parallel()` remembers."""

    steps: tuple[Step, ...]
    place: Place = dataclass_field(default_factory=here)


def step(
    effect: EffectWord,
    *,
    undo: EffectWord | Nothing | None = None,
    pivot: bool = False,
    retry: Backoff | None = None,
    when: Condition | None = None,
    sets: Mapping[Any, Any] | None = None,
    reveals: Any = (),
) -> Step:
    """A step of a saga: one call to the outside.

    undo:  the effect that takes it back, told the key of what it undoes as `call.undoes`; `nothing` where
           there is nothing to take back. Needed by every step after which the saga may still fail.
    pivot: once it is done there is no way back. The steps after it are tried until they are done.
    retry: when it is tried again, in place of what the effect itself says.
    when:  what must hold, with all that earlier steps have set; otherwise the step is left out.
    sets:  fields that take a part of its result: `sets={authorization: authorize_card.result.id}`.
    reveals: private fields that its calls are told in clear, as `call.private`.
    """
    return Step(
        effect, undo, flag(pivot, "pivot"), retry, when, {} if sets is None else sets, several(reveals)
    )


def parallel(*steps: Step) -> Parallel:
    """Steps that are made at once; the saga goes on when all are done. They are undone one by one."""
    return Parallel(steps)


class Saga(word.Named):
    """A saga under its name. `states` are those in which it is under way, its `start` among them.

    faults: what is wrong with it as it stands; then it makes no states.
    """

    def __init__(self, steps: tuple[Any, ...], start: Any, done: Any, failed: Any, **rest: Any) -> None:
        super().__init__()
        self._ends = {"start": start, "done": done, "failed": failed}
        self._steps, self._reason = steps, rest["reason"]
        self.faults: list[Fault] = [*self._shape(), *self._order()]
        self.states: tuple[word.State, ...] = ()
        self._machine: Machine | None = None
        if not self.faults:
            plan = Plan(self._stages(), self._pivot(), start, done, failed, **rest)
            self.faults = [(s.place, "saga-undo", *said) for s in self._flat() for said in _idle(s, plan)]
            self._machine = Machine(plan, self.place)
            self.states = (start, *self._machine.states.values())

    def words(self, annotations: Mapping[str, Any]) -> dict[str, Any]:
        """The words that it stands for, by name: states, transitions, and a field for each key.

        annotations: the types of the entity's fields.
        """
        return {} if self._machine is None else self._machine.words(annotations)

    def written(self) -> Iterator[tuple[str, word.Transition]]:
        """What its owner wrote, each part once, as a transition by which its mistakes are found."""
        if self._machine is None:
            return
        plan = self._machine.plan
        sets = {} if plan.reason is None else {plan.reason: CANCELLED}
        by = everybody if plan.cancel is None else plan.cancel
        yield "", _part(self.place, plan.start, plan.done, by=by, sets=sets)
        ends = {"by": everybody} if plan.until is None else {"at": plan.until}
        yield "", _part(self.place, plan.start, plan.failed, **ends)
        for task in (task for stage in plan.stages for task in stage):
            named, ways = f".{task.name}", (task.place, plan.start, plan.failed)
            yield named, _part(*ways, on=task.effect.done, sets=task.sets)
            if task.when is not None:
                yield named, _part(*ways, by=everybody, when=task.when)

    @property
    def annotations(self) -> dict[str, Any]:
        """The types of the fields that it stands for."""
        return {} if self._machine is None else dict.fromkeys(self._machine.keys, UUID | None)

    def _flat(self) -> list[Any]:
        """Every step, in order; and whatever was given instead of one."""
        return [s for group in self._steps for s in (group.steps if isinstance(group, Parallel) else [group])]

    def _stages(self) -> tuple[Stage, ...]:
        groups = [group.steps if isinstance(group, Parallel) else (group,) for group in self._steps]
        return tuple(tuple(_task(s) for s in group) for group in groups)

    def _pivot(self) -> int | None:
        """After which stage there is no way back. A last step that can't be undone is the last anyhow."""
        for index, group in enumerate(self._steps):
            last = index == len(self._steps) - 1
            if isinstance(group, Step) and (group.pivot or (last and not isinstance(group.undo, EffectWord))):
                return index
        return None

    def _shape(self) -> Iterator[Fault]:
        """What isn't a step, an effect or a state."""
        if not self._steps:
            yield (
                self.place,
                "saga-step",
                "a saga without a step does nothing",
                "Write step(EFFECT, undo=...).",
            )
        for group in self._steps:
            if isinstance(group, Parallel) and not 2 <= len(group.steps) <= PARALLEL_MAX:
                detail = f"{len(group.steps)} steps can't be made at once"
                yield group.place, "saga-step", detail, f"Write 2 to {PARALLEL_MAX} steps in parallel()."
        known = dict[str, Step]()
        for index, s in enumerate(self._flat()):
            yield from self._single(s, first=index == 0 or s in _first_group(self._steps))
            if isinstance(s, Step) and known.setdefault(getattr(s.effect, "name", repr(s)), s) is not s:
                detail = f"`{s.effect.name}` is made by two steps, which couldn't be told apart"
                yield s.place, "saga-step", detail, "Write another effect that calls the same function."
        if self._reason is not None and not isinstance(self._reason, word.FieldTerm):
            yield self.place, "field-unknown", "the reason isn't a field", "Write reason=FIELD, a text."
        for what, state in self._ends.items():
            if not isinstance(state, word.State):
                yield self.place, "state-undeclared", f"{what}= isn't a state", "Declare it: NAME = State()."
            elif what == "start" and (state.invoke or state.final):
                mend = "Give the saga a state of its own, that isn't final and invokes nothing else."
                yield self.place, "saga-start", "its first call can't be made in the state `start`", mend

    def _single(self, s: Any, first: bool) -> Iterator[Fault]:
        if not isinstance(s, Step):
            yield self.place, "saga-step", f"{s!r:.40} isn't a step", "Write step(EFFECT, undo=...)."
            return
        effect: Any = s.effect
        undo: Any = s.undo
        for given, kinds in ((effect, EffectWord), (undo, EffectWord | Nothing | None)):
            if not isinstance(given, kinds):
                mend = "Write @effect() above the function, and step(FUNCTION, undo=FUNCTION)."
                yield s.place, "effect-unknown", f"{given!r:.40} isn't an effect", mend
        sets: Any = s.sets
        if not isinstance(sets, Mapping) or not all(isinstance(one, word.FieldTerm) for one in sets):  # pyright: ignore[reportUnknownVariableType]
            mend = "Write sets={FIELD: EFFECT.result.MEMBER}."
            yield s.place, "field-unknown", "what a step sets isn't a field", mend
        if s.when is not None and not isinstance(s.when, Symbolic):
            mend = "Compare fields: step(..., when=gift_amount > 0)."
            detail = f"{with_article(type(s.when).__name__)} isn't a condition"
            yield s.place, "condition-unreadable", detail, mend
        elif s.when is not None and first:
            mend = "Begin with a step that is always made, or let another transition decide."
            yield s.place, "saga-start", "the first step can't be left out", mend

    def _order(self) -> Iterator[Fault]:
        """What stands on the wrong side of the pivot."""
        passed = False
        for index, group in enumerate(self._steps):
            steps = group.steps if isinstance(group, Parallel) else (group,)
            for s in (s for s in steps if isinstance(s, Step)):
                if s.pivot and (passed or len(steps) > 1):
                    detail = "there is one pivot, and it is made alone"
                    yield s.place, "saga-pivot", detail, "Drop pivot=True here."
                elif passed and not _endless(s):
                    detail = f"after the pivot there is no way back, and `{_name(s)}` may give up"
                    yield s.place, "saga-pivot", detail, "Write step(..., retry=forever)."
                last = index == len(self._steps) - 1 and len(steps) == 1
                if s.undo is None and not (s.pivot or passed or last):
                    detail = f"`{_name(s)}` isn't undone, though a later step may fail"
                    yield s.place, "saga-undo", detail, "Write undo=EFFECT, undo=nothing, or pivot=True."
            passed = passed or any(isinstance(s, Step) and s.pivot for s in steps)


def saga(
    *steps: Step | Parallel,
    start: word.State,
    done: word.State,
    failed: word.State,
    cancel: Condition | None = None,
    until: Any = None,
    reason: Any = None,
) -> Saga:
    """Declare steps to the outside that are all done, in order, or undone in reverse after a definite no.

    start:  entering this state begins it: its first call is made there. done, failed: where it ends, with
            everything done, or everything undone.
    cancel: who may give the command `cancel` until the pivot is done. A call that has begun is waited for,
            and undone where it was done; one that hasn't isn't made any more.
    until:  an instant, such as a field, at which it is given up in the same way unless the pivot is done.
    reason: a text field that takes the code of what failed, or `cancelled`, or `expired`.

    What can't be undone, and a step after the pivot that is refused, waits for a person; the record stays in
    the state of that call. Every other state has the name of its effects: `ship`, `cancel_ship`, `undo_ship`.
    """
    return Saga(steps, start, done, failed, cancel=cancel, until=until, reason=reason)


def _task(s: Step) -> Task:
    effect = s.effect if s.retry is None else s.effect.tried(s.retry)
    undo = s.undo if isinstance(s.undo, EffectWord) else None
    return Task(effect, undo, s.when, s.sets, s.place, s.reveals)


def _part(
    place: Place, source: word.State, target: word.State, *, by: Condition | None = None, **rest: Any
) -> word.Transition:
    made = word.Transition((source,), target, by, **rest)
    made.place = place
    return made


def _first_group(steps: tuple[Any, ...]) -> tuple[Any, ...]:
    return steps[0].steps if steps and isinstance(steps[0], Parallel) else ()


def _name(s: Step) -> str:
    return getattr(s.effect, "name", repr(s.effect))


def _endless(s: Step) -> bool:
    retry = s.retry if s.retry is not None else getattr(s.effect, "rest", {}).get("retry")
    return retry == FOREVER


def _idle(s: Step, plan: Plan) -> Iterator[tuple[str, str]]:
    """An undo that would never be called."""
    if isinstance(s.undo, EffectWord) and s.effect.name not in undone_by(plan):
        yield f"`{s.undo.name}` would never be called: nothing fails after `{s.effect.name}`", "Drop undo=."
