"""Transitions that events make, read from their words; and everything that can be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from avow.declare import surface as word
from avow.declare.annotation import Unreadable, read_type
from avow.declare.machine import at
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.notes import Notes
from avow.declare.sender import EventWord, SenderWord
from avow.declare.typing import UNKNOWN, Reader, Unbuilt, fits, word_of
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import Entity, Transition
from avow.model.place import Place
from avow.model.sender import Sender
from avow.model.signature import Scheme
from avow.model.trigger import DATA, PARK, REFUSE, STICK, OnEvent
from avow.model.types import ValueType

PARKED_DAYS_MAX = 90
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_EVENT = re.compile(r"[!-~]{1,200}", re.ASCII)
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_MATCHING = ("text", "subject", "integer", "uuid", "reference")
"""Types of fields by which a record can be found."""
_MEND = "Write match=FIELD == event.data.MEMBER, with unique(FIELD); or match=event.data.MEMBER, an id."


def read_event(notes: Notes, name: str, w: word.Transition) -> OnEvent:
    """The trigger of a transition that an event makes; what can't be read is reported."""
    event: Any = w.on
    rest = event.rest
    if not _EVENT.fullmatch(event.name):
        mend = "Use the type that messages have: 1 to 200 visible ASCII characters."
        notes.note(event.place, "event-unreadable", f"`{event.name!r:.60}` can't be an event's type", mend)
    parked = rest["parked_for"]
    if not isinstance(parked, timedelta) or not timedelta(0) < parked <= timedelta(days=PARKED_DAYS_MAX):
        mend = f"Write a length of time, at most {PARKED_DAYS_MAX} days."
        notes.note(event.place, "event-unreadable", f"{event.name} is kept for {parked!r:.40}", mend)
        parked = timedelta(days=7)
    if rest["early"] not in (PARK, REFUSE) or rest["late"] not in (REFUSE, STICK):
        mend = 'Write early="park" or "refuse", and late="refuse" or "stick".'
        notes.note(event.place, "event-unreadable", f"{event.name}: what to do isn't known", mend)
    match, told = _match(notes, name, w)
    return OnEvent(
        event.sender.name, event.name, _data(notes, event), match, told, rest["early"], rest["late"],
        parked.total_seconds(),
    )  # fmt: skip


def _data(notes: Notes, event: EventWord) -> ValueType:
    try:
        kind, _ = read_type(event.read, word.Bounds())
    except Unreadable as unreadable:
        notes.note(event.place, "type-unreadable", f"{event.name}: {unreadable.detail}", unreadable.mend)
        return Unbuilt()
    if not isinstance(kind, kinds.ObjectOf):
        detail = f"{event.name}: a message's data is an object"
        notes.note(event.place, "type-unreadable", detail, "Give a frozen dataclass of what is read of it.")
        return Unbuilt()
    return kind


def _match(notes: Notes, name: str, w: word.Transition) -> tuple[str | None, str]:
    """The field and the member that are compared; UNKNOWN_NAME where that can't be told."""
    match notes.named(w.match, w.place):
        case ast.Argument(argument, (member,)) if argument == DATA:
            return None, member
        case ast.Compare("==", ast.FieldOf((field,)), ast.Argument(argument, (member,))) if argument == DATA:
            return field, member
        case ast.Compare("==", ast.Argument(argument, (member,)), ast.FieldOf((field,))) if argument == DATA:
            return field, member
        case _:
            detail = f"`{name}` doesn't say which record an event is about"
            notes.note(w.place, "match-unreadable", detail, _MEND)
            return UNKNOWN_NAME, UNKNOWN_NAME


def read_senders(words: Iterable[SenderWord], mistakes: list[Mistake]) -> dict[str, Sender]:
    """The senders whose events are listened to, by name."""
    found = dict[str, SenderWord]()

    def note(place: Place, code: str, detail: str, mend: str) -> None:
        mistakes.append(at(place, code, detail, mend))

    for w in words:
        if found.setdefault(w.name, w) is not w:
            detail = f"two senders are called {w.name}"
            note(w.place, "declared-twice", detail, "Declare one of them, and use it in both places.")
    for w in found.values():
        if not _NAME.fullmatch(w.name):
            mend = "Use lower-case ASCII words joined by _."
            note(w.place, "name-invalid", f"`{w.name}` can't name a sender", mend)
        if not isinstance(w.rest["signature"], Scheme):
            detail = f"{w.name}: how messages are signed can't be read"
            note(w.place, "sender-unreadable", detail, "Write signature=standard_webhooks().")
        for pointer in (w.rest["type_at"], w.rest["data_at"]):
            if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
                detail = f"{w.name}: {pointer!r:.40} is no place in a body"
                note(w.place, "sender-unreadable", detail, 'Write a JSON pointer such as "/data/object".')
    return {name: _sender(w) for name, w in found.items()}


def _sender(w: SenderWord) -> Sender:
    rest = w.rest
    return Sender(w.name, rest["signature"], bool(rest["strict"]), rest["type_at"], rest["data_at"], w.place)


def hearing_mistakes(entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """Every event that couldn't find its record, or not one alone."""
    heard = dict[str, OnEvent]()
    for transition in entity.transitions.values():
        trigger = transition.trigger
        if not isinstance(trigger, OnEvent):
            continue
        first = heard.setdefault(str(trigger), trigger)
        if first != trigger:
            detail = f"{entity.name} finds its record for {trigger} in two ways"
            yield at(transition.place, "match-ambiguous", detail, "Write the same match= everywhere.")
        elif trigger.match != UNKNOWN_NAME and not isinstance(trigger.data, Unbuilt):
            yield from _found(entity, entities, transition, trigger)


def _found(
    entity: Entity, entities: Mapping[str, Entity], transition: Transition, trigger: OnEvent
) -> Iterator[Mistake]:
    """The record is found by an equal value of a field that no two records share, or by its id."""
    where = f"{entity.name}.{transition.name}: match"
    reader = Reader(entity, entities, transition)
    told = reader.type_of(ast.Argument(DATA, (trigger.told,)))
    members = trigger.data.members if isinstance(trigger.data, kinds.ObjectOf) else ()
    if any(member.name == trigger.told and member.optional for member in members):
        detail = f"{where}: `{trigger.told}` may be missing from an event"
        yield at(transition.place, "match-unreadable", detail, "Give that member a type without None.")
    field = entity.fields.get(trigger.match or "")
    wanted = "uuid" if field is None else word_of(field.type)
    if not reader.faults and told != UNKNOWN and not fits(told, wanted):
        detail = f"{where}: {wanted} is never equal to {told}"
        yield at(transition.place, "comparison-mixed", detail, "Compare values of one type.")
    for fault in reader.faults:
        yield at(transition.place, fault.code, f"{where}: {fault.detail}", fault.mend)
    if field is None:
        return
    if wanted.split()[0] not in _MATCHING:
        detail = f"{where}: no record is found by its {wanted}"
        yield at(transition.place, "match-unreadable", detail, _MEND)
    elif not any(rule.fields == (field.name,) and not rule.states for rule in entity.uniques):
        detail = f"{where}: several records may have the same `{field.name}`"
        yield at(transition.place, "match-ambiguous", detail, f"Declare NAME = unique({field.name}).")
