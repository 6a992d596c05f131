"""What can be wrong with states that wait: for a call that nobody hears the end of, or for no time at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from avow.declare.machine import at
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.typing import UNKNOWN, Reader
from avow.errors import Mistake
from avow.model.effect import DONE, FAILED
from avow.model.entity import Entity, State, Transition
from avow.model.expression import paths
from avow.model.trigger import OnOutcome, OnTime


def waiting_mistakes(entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """Every call whose outcome would be lost, and every time that can't come."""
    for state in entity.states.values():
        yield from _invoking(entity, state)
    for transition in entity.transitions.values():
        if isinstance(transition.trigger, OnOutcome):
            yield from _outcome(entity, transition, transition.trigger)
        elif isinstance(transition.trigger, OnTime):
            yield from _time(entity, entities, transition, transition.trigger)


def _invoking(entity: Entity, state: State) -> Iterator[Mistake]:
    """A call that was begun is waited for: whoever leaves has heard its outcome, or goes on waiting."""
    where = f"{entity.name}.{state.name}"
    if state.invoke is None:
        if state.withdraw:
            mend = "Write invoke= as well, or drop withdraw=True."
            yield at(state.place, "withdraw-nothing", f"{where} invokes nothing to withdraw", mend)
        return
    if state.final:
        detail = f"{where} is final, and would never hear of {state.invoke}"
        yield at(state.place, "effect-abandoned", detail, "Let a state before it invoke the effect.")
        return
    leaving = [t for t in entity.transitions.values() if state.name in t.sources]
    heard = {t.trigger.outcome for t in leaving if isinstance(t.trigger, OnOutcome)}
    for outcome in (DONE, FAILED):
        if outcome not in heard:
            mend = f"Write NAME = transition({state.name}, to=..., on={state.invoke}.{outcome})."
            detail = f"{where} says nothing for the outcome {state.invoke}.{outcome}"
            yield at(state.place, "outcome-missing", detail, mend)
    for t in leaving:
        target = entity.states.get(t.target)
        if isinstance(t.trigger, OnOutcome) or target is None or target.invoke == state.invoke:
            continue
        detail = f"{entity.name}.{t.name} leaves {state.name} while {state.invoke} is under way"
        mend = f"Lead it to a state that waits on: State(invoke={state.invoke}, withdraw=True)."
        yield at(t.place, "effect-abandoned", detail, mend)


def _outcome(entity: Entity, transition: Transition, trigger: OnOutcome) -> Iterator[Mistake]:
    for name in transition.sources:
        state = entity.states.get(name)
        if state is not None and state.invoke != trigger.effect:
            detail = f"{entity.name}.{transition.name}: {name} doesn't invoke {trigger.effect}"
            yield at(transition.place, "outcome-never", detail, f"Write State(invoke={trigger.effect}).")


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
        yield at(transition.place, "time-unreadable", f"{where}: at= is a {kind}", mend)
    remote = [p for p in _paths(trigger) if len(p) > 1 and UNKNOWN_NAME not in p]
    if remote:
        detail = f"{where}: at= depends on another record, whose change nobody would notice here"
        yield at(transition.place, "time-remote", detail, "Copy the time into a field of this entity.")


def _paths(trigger: OnTime) -> set[tuple[str, ...]]:
    return set() if trigger.at is None else paths(trigger.at)
