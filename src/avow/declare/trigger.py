"""What makes a transition happen by itself, read from its word; and the effects that states invoke."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from avow.declare import surface as word
from avow.declare.annotation import Unreadable, annotations_of, read_type, signature_of
from avow.declare.body import source_hash
from avow.declare.effect import PAYLOAD_BYTES_MAX, TIMEOUT_S_MAX, EffectWord, OutcomeWord
from avow.declare.expression import Term
from avow.declare.hearing import read_event
from avow.declare.notes import Notes
from avow.declare.sender import EventWord
from avow.declare.typing import Unbuilt
from avow.model import types as kinds
from avow.model.calendar import Exact
from avow.model.effect import DONE, Effect
from avow.model.entity import Parameter
from avow.model.place import Place
from avow.model.times import DURATION_MAX
from avow.model.trigger import DATA, EVENTS, Delay, OnEvent, OnOutcome, OnTime, Trigger

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


def read_effects(notes: Notes, states: Mapping[str, word.State]) -> dict[str, Effect]:
    """The effects that the states of an entity invoke, by name."""
    found = dict[str, EffectWord]()
    for name, invoked in ((name, invoked) for name, state in states.items() for invoked in state.invoke):
        if not isinstance(invoked, EffectWord):
            mend = "Write @effect() above the function, and invoke=FUNCTION."
            notes.note(states[name].place, "effect-unknown", f"what `{name}` invokes isn't an effect", mend)
        elif found.setdefault(invoked.name, invoked) is not invoked:
            detail = f"two effects are called {invoked.name}"
            notes.note(invoked.place, "declared-twice", detail, "Rename one of them.")
    return {name: _effect(notes, w) for name, w in found.items()}


def _effect(notes: Notes, w: EffectWord) -> Effect:
    if (w.rest["destination"] or w.name) == EVENTS:
        notes.note(
            w.place, "name-reserved", f"`{EVENTS}` is kept for the engine", "Name another destination."
        )
    for fault, mend in _faults(w):
        notes.note(w.place, "effect-bounds", f"effect {w.name}: {fault}", mend)
    rest, ordered = w.rest, w.rest["ordered_by"]
    lookup: Any = rest["lookup"]
    timeout = rest["timeout"]
    return Effect(
        name=w.name,
        function=w.function,
        source_hash=source_hash(w.function),
        result=_result(notes, w),
        timeout_s=timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout),
        retry=rest["retry"],
        destination=rest["destination"] or w.name,
        rate_per_s=rest["per_second"],
        concurrency=rest["concurrency"],
        keyed=rest["keyed"],
        keeps_faults=rest["keeps_faults"],
        request_bytes_max=rest["request_bytes_max"],
        answer_bytes_max=rest["answer_bytes_max"],
        ordered_by=None if ordered is None else getattr(notes.named(ordered, w.place), "path", ("?",))[0],
        lookup=lookup,
        lookup_hash="" if lookup is None else source_hash(lookup),
        doc=inspect.cleandoc(w.function.__doc__ or ""),
        place=w.place,
    )


def _faults(w: EffectWord) -> Iterator[tuple[str, str]]:
    timeout, rate, concurrency = w.rest["timeout"], w.rest["per_second"], w.rest["concurrency"]
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not isinstance(seconds, int | float) or not 0 < seconds <= TIMEOUT_S_MAX:
        yield "its timeout isn't a length of time that can be", f"Write 0 < timeout <= {TIMEOUT_S_MAX:.0f} s."
    if rate is not None and not 0.001 <= rate <= 100_000:
        yield "its rate makes no sense", "Write per_second= between 0.001 and 100,000."
    if concurrency is not None and (type(concurrency) is not int or not 1 <= concurrency <= 10_000):
        yield "its concurrency makes no sense", "Write concurrency= between 1 and 10,000."
    for name in ("request_bytes_max", "answer_bytes_max"):
        length = w.rest[name]
        if type(length) is not int or not 1 <= length <= PAYLOAD_BYTES_MAX:
            yield f"its {name} makes no sense", f"Write {name}= between 1 and {PAYLOAD_BYTES_MAX:,}."
    if len(signature_of(w.function).parameters) != 2:
        yield "it doesn't take a record and a call", f"Write def {w.name}(record, call)."
    if w.rest["keeps_faults"] and w.rest["lookup"] is None:
        yield "what the other side keeps can't be told without asking", "Write lookup=FUNCTION as well."


def _result(notes: Notes, w: EffectWord) -> kinds.ValueType | None:
    """The type of what the function returns."""
    hint = annotations_of(w.function, notes.namespace).get("return")
    if hint is None or hint is type(None):
        return None
    try:
        return read_type(hint, word.Bounds())[0]
    except Unreadable as unreadable:
        detail = f"the result of {w.name}: {unreadable.detail}"
        notes.note(w.place, "type-unreadable", detail, unreadable.mend)
        return Unbuilt()
