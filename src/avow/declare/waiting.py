"""What can be wrong with states that wait: for a call that nobody hears the end of, or for no time at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from avow.declare.machine import at
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.typing import UNKNOWN, Reader, Unbuilt
from avow.errors import Mistake
from avow.model.article import with_article
from avow.model.effect import DONE, FAILED
from avow.model.entity import Entity, State, Transition
from avow.model.expression import paths
from avow.model.trigger import OnOutcome, OnTime
from avow.model.types import UuidType


def waiting_mistakes(
    entity: Entity, entities: Mapping[str, Entity], written: Sequence[Transition]
) -> Iterator[Mistake]:
    """Every call whose outcome would be lost, and every time that can't come."""
    for state in entity.states.values():
        yield from _invoking(entity, state)
    for transition in entity.transitions.values():
        if isinstance(transition.trigger, OnOutcome):
            yield from _outcome(entity, transition, transition.trigger)
    for transition in written:
        if isinstance(transition.trigger, OnTime):
            yield from _time(entity, entities, transition, transition.trigger)


def _invoking(entity: Entity, state: State) -> Iterator[Mistake]:
    """A call that was begun is waited for: whoever leaves has heard its outcome, or goes on waiting."""
    where = f"{entity.name}.{state.name}"
    if not state.invoke:
        if state.withdraw or state.owed or state.undoes:
            mend = "Write invoke= as well, or drop withdraw=, owed= and undoes=."
            yield at(state.place, "withdraw-nothing", f"{where} invokes nothing", mend)
        return
    if state.final:
        detail = f"{where} is final, and would never hear of {', '.join(state.invoke)}"
        yield at(state.place, "effect-abandoned", detail, "Let a state before it invoke the effect.")
        return
    leaving = [t for t in entity.transitions.values() if state.name in t.sources]
    heard = {(t.trigger.effect, t.trigger.outcome) for t in leaving if isinstance(t.trigger, OnOutcome)}
    wanted = (DONE,) if state.owed else (DONE, FAILED)
    for effect, outcome in ((effect, outcome) for effect in state.invoke for outcome in wanted):
        if (effect, outcome) not in heard:
            mend = f"Write NAME = transition({state.name}, to=..., on={effect}.{outcome})."
            detail = f"{where} says nothing for the outcome {effect}.{outcome}"
            yield at(state.place, "outcome-missing", detail, mend)
    for t in leaving:
        yield from _leaving(entity, state, t)
    undone = None if state.undoes is None else entity.fields.get(state.undoes)
    if undone is not None and not isinstance(undone.type, UuidType | Unbuilt):
        mend = f"Write {undone.name}: UUID | None = field(), and sets={{{undone.name}: EFFECT.key}}."
        yield at(state.place, "undoes-unreadable", f"{where}: `{undone.name}` doesn't hold a key", mend)


def _leaving(entity: Entity, state: State, t: Transition) -> Iterator[Mistake]:
    """Whatever is under way when a state is left, and hasn't just ended, is waited for in the next."""
    target = entity.states.get(t.target)
    ended = t.trigger.effect if isinstance(t.trigger, OnOutcome) else None
    if target is None:
        return
    for effect in state.invoke:
        if effect not in (ended, *target.invoke):
            detail = f"{entity.name}.{t.name} leaves {state.name} while {effect} is under way"
            mend = f"Lead it to a state that waits on: State(invoke={effect}, withdraw=True)."
            yield at(t.place, "effect-abandoned", detail, mend)


def _outcome(entity: Entity, transition: Transition, trigger: OnOutcome) -> Iterator[Mistake]:
    for state in (entity.states[name] for name in transition.sources if name in entity.states):
        where = f"{entity.name}.{transition.name}: {state.name}"
        if trigger.effect not in state.invoke:
            detail = f"{where} doesn't invoke {trigger.effect}"
            yield at(transition.place, "outcome-never", detail, f"Write State(invoke={trigger.effect}).")
        elif state.owed and trigger.outcome == FAILED:
            detail = f"{where} is owed, so that {trigger.effect}.{FAILED} waits for a person"
            yield at(transition.place, "outcome-never", detail, "Drop it, or owed=True.")


def _time(
    entity: Entity, entities: Mapping[str, Entity], transition: Transition, trigger: OnTime
) -> Iterator[Mistake]:
    where = f"{entity.name}.{transition.name}"
    if trigger.at is None:
        return
    reader = Reader(entity, entities)
    kind = reader.type_of(trigger.at)
    for fault in reader.faults:
        yield at(transition.place, fault.code, f"{where}: at: {fault.detail}", fault.mend)
    if kind not in ("instant", UNKNOWN):
        mend = "Use a datetime field, or one with a length of time added: at=starts - hours(2)."
        yield at(transition.place, "time-unreadable", f"{where}: at= is {with_article(kind)}", mend)
    remote = [p for p in _paths(trigger) if len(p) > 1 and UNKNOWN_NAME not in p]
    if remote:
        detail = f"{where}: at= depends on another record, whose change nobody would notice here"
        yield at(transition.place, "time-remote", detail, "Copy the time into a field of this entity.")


def _paths(trigger: OnTime) -> set[tuple[str, ...]]:
    return set() if trigger.at is None else paths(trigger.at)
