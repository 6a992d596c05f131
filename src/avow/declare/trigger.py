"""What makes a transition happen by itself, read from its word."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from avow.declare import surface as word
from avow.declare.effect import OutcomeWord
from avow.declare.expression import Term
from avow.declare.hearing import read_event
from avow.declare.notes import Notes
from avow.declare.sender import EventWord
from avow.model import types as kinds
from avow.model.calendar import Exact
from avow.model.effect import DONE, Effect
from avow.model.entity import Parameter
from avow.model.place import Place
from avow.model.times import DURATION_MAX
from avow.model.trigger import DATA, Delay, OnEvent, OnOutcome, OnTime, Trigger

REASON_LENGTH_MAX = 1_000

_TRIGGERS = ("by", "on", "after", "every", "at")


def read_trigger(notes: Notes, name: str, w: word.Transition) -> Trigger | None:
    """The trigger of a transition; None for a command. What makes no sense is reported."""
    given = [kind for kind in _TRIGGERS if getattr(w, kind) is not None]
    if len(given) > 1:
        detail = f"`{name}` has {len(given)} triggers: {', '.join(f'{kind}=' for kind in given)}"
        notes.note(w.place, "trigger-twice", detail, "Keep one; write a transition for each of them.")
    if w.match is not None and not isinstance(w.on, EventWord):
        notes.note(w.place, "match-unreadable", f"`{name}` matches, but no event", "Write on=EVENT as well.")
    on: Any = w.on
    if on is not None and not isinstance(on, EventWord | OutcomeWord):
        mend = "Write on=EFFECT.done, or on=SENDER.event(...)."
        notes.note(w.place, "trigger-unreadable", f"`{name}` waits for something that isn't known", mend)
        return None
    if w.creation or w.by is not None or not given:
        return None
    if isinstance(w.on, EventWord):
        return read_event(notes, name, w)
    if w.on is not None:
        return OnOutcome(w.on.effect.name, w.on.outcome)
    if w.at is not None:
        return OnTime(at=notes.named(w.at, w.place))
    delay = read_delay(notes, name, w.place, w.after if w.after is not None else w.every)
    if w.every is not None and delay == Exact(timedelta()):
        mend = "Write every=minutes(1), or after=seconds(0) for what comes once, at once."
        notes.note(w.place, "delay-bounds", f"`{name}` would come again without a pause", mend)
    return OnTime(delay, again=w.every is not None)


def read_delay(notes: Notes, name: str, place: Place, given: Any) -> Delay:
    """A length of time; what isn't one is reported."""
    if isinstance(given, Term):  # it has every attribute: a path of fields
        notes.note(
            place,
            "delay-unreadable",
            f"`{name}` waits for what is no length of time",
            "An instant goes into at=.",
        )
        return Exact(timedelta(days=1))
    if hasattr(given, "due") and hasattr(given, "describe"):
        return given
    if isinstance(given, timedelta) and timedelta() <= given <= DURATION_MAX:
        return Exact(given)
    mend = "Write days(14), hours(2), or calendar(...).working_days(3)."
    notes.note(place, "delay-unreadable", f"`{name}` waits for {given!r:.40}", mend)
    return Exact(timedelta(days=1))


def parameters_of(trigger: Trigger, effects: Mapping[str, Effect]) -> tuple[Parameter, ...]:
    """What a transition is told: the data of an event, a call's result and key, or why it wasn't done."""
    if isinstance(trigger, OnTime):
        return ()
    if isinstance(trigger, OnEvent):
        return (Parameter(DATA, trigger.data),)
    effect = effects.get(trigger.effect)
    if trigger.outcome == DONE:
        result = None if effect is None else effect.result
        results = () if result is None else (Parameter("result", result, True),)
        return (*results, Parameter("key", kinds.UuidType(), True))
    return (
        Parameter("code", kinds.Text(100), True),
        Parameter("reason", kinds.Text(REASON_LENGTH_MAX), True),
    )
