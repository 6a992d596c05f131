"""The effects that the states of an entity invoke, read from their words."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from avow.declare import surface as word
from avow.declare.annotation import Unreadable, annotations_of, read_type, signature_of
from avow.declare.body import source_hash
from avow.declare.effect import PAYLOAD_BYTES_MAX, TIMEOUT_S_MAX, EffectWord, is_number
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.notes import Notes
from avow.declare.task import read_task_of_effect
from avow.declare.typing import Unbuilt
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.effect import Backoff, Effect
from avow.model.trigger import EVENTS


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
    return Effect(
        name=w.name,
        function=w.function,
        source_hash=source_hash(w.function),
        result=_result(notes, w),
        timeout_s=_seconds(rest["timeout"]) or 0.0,
        retry=rest["retry"],
        destination=rest["destination"] or w.name,
        rate_per_s=rest["per_second"],
        concurrency=rest["concurrency"],
        keyed=rest["keyed"],
        keeps_faults=rest["keeps_faults"],
        request_bytes_max=rest["request_bytes_max"],
        answer_bytes_max=rest["answer_bytes_max"],
        ordered_by=None if ordered is None else _orders(notes, w, ordered),
        lookup=lookup,
        lookup_hash=source_hash(lookup) if callable(lookup) else "",
        task=read_task_of_effect(notes, w),
        doc=inspect.cleandoc(w.function.__doc__ or ""),
        place=w.place,
    )


def _faults(w: EffectWord) -> Iterator[tuple[str, str]]:
    timeout, rate, concurrency = w.rest["timeout"], w.rest["per_second"], w.rest["concurrency"]
    seconds = _seconds(timeout)
    if seconds is None or not 0 < seconds <= TIMEOUT_S_MAX:
        yield "its timeout isn't a length of time that can be", f"Write 0 < timeout <= {TIMEOUT_S_MAX:.0f} s."
    if rate is not None and not (is_number(rate) and 0.001 <= rate <= 100_000):
        yield "its rate makes no sense", "Write per_second= between 0.001 and 100,000."
    if concurrency is not None and (type(concurrency) is not int or not 1 <= concurrency <= 10_000):
        yield "its concurrency makes no sense", "Write concurrency= between 1 and 10,000."
    for name in ("request_bytes_max", "answer_bytes_max"):
        length = w.rest[name]
        if type(length) is not int or not 1 <= length <= PAYLOAD_BYTES_MAX:
            yield f"its {name} makes no sense", f"Write {name}= between 1 and {PAYLOAD_BYTES_MAX:,}."
    if not isinstance(w.rest["retry"], Backoff):
        yield "how often it is tried can't be read", "Write retry=backoff(5), or retry=forever."
    if w.rest["lookup"] is not None and not callable(w.rest["lookup"]):
        yield "its lookup isn't a function", f"Write lookup=FUNCTION, which takes what {w.name} takes."
    if len(signature_of(w.function).parameters) != 2:
        yield "it doesn't take a record and a call", f"Write def {w.name}(record, call)."
    if w.rest["keeps_faults"] and w.rest["lookup"] is None:
        yield "what the other side keeps can't be told without asking", "Write lookup=FUNCTION as well."


def _seconds(timeout: Any) -> float | None:
    """A length of time in seconds; None where it is none."""
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    return float(timeout) if is_number(timeout) and timeout <= TIMEOUT_S_MAX else None


def _orders(notes: Notes, w: EffectWord, ordered: Any) -> str:
    """The field by which calls are ordered. An effect mostly stands above the fields: so of any entity."""
    match notes.named(ordered, w.place):
        case ast.FieldOf((name,)):
            return name
        case _:
            detail = f"effect {w.name}: `ordered_by` isn't a field of this entity"
            notes.note(w.place, "field-unknown", detail, "Write ordered_by=FIELD.")
            return UNKNOWN_NAME


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
