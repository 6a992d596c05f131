"""What is told to us and goes into a private field: it is private from where it comes in.

A field is declared private once. What its `sets=` takes of a call's result or of an event is then concealed
before anything is decided, kept or queued, as an argument of the same name is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from avow.declare.notes import Notes
from avow.declare.typing import Unbuilt, fits, word_of
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.article import with_article
from avow.model.entity import Field, Parameter, Transition
from avow.model.private import OF_ACTOR, PartlyPrivate, PrivateType
from avow.model.trigger import OnEvent
from avow.model.types import ValueType


class Source(NamedTuple):
    """Where a private value comes from: what is told by which command, and which member of it, if any."""

    command: str
    argument: str
    path: tuple[str, ...]


Sources: TypeAlias = Mapping[Source, PrivateType]


def private_sources(notes: Notes, fields: Mapping[str, Field], transitions: Iterable[Transition]) -> Sources:
    """Where the private fields of an entity take what isn't given by anybody, each with its field's type."""
    sources = dict[Source, PrivateType]()
    for t in transitions:
        for name, value in t.assigns:
            kind = fields[name].type
            if t.trigger is None or not isinstance(kind, PrivateType) or not isinstance(value, ast.Argument):
                continue
            source = Source(t.command, value.name, value.path)
            if sources.setdefault(source, kind) != kind:
                detail = f"`{t.name}` puts into `{name}` what `{sources[source].name}` has"
                mend = "A private value is one field's: leave it to one of them."
                notes.note(t.place, "private-told", detail, mend)
            if kind.of == OF_ACTOR:
                detail = f"`{name}` is about whoever gives it, and `{t.name}` is given by nobody"
                notes.note(t.place, "private-told", detail, "Write of=FIELD, a Subject of the record.")
    return sources


def concealed(notes: Notes, t: Transition, sources: Sources) -> Transition:
    """A transition, with what is told to it as private as the fields that it goes into."""
    own = {(s.argument, s.path): kind for s, kind in sources.items() if s.command == t.command}
    if not own or t.trigger is None:
        return t
    parameters = tuple(replace(p, type=_told(notes, t, p.type, _below(own, p))) for p in t.parameters)
    trigger = t.trigger
    if isinstance(trigger, OnEvent):
        trigger = replace(trigger, data=parameters[0].type)
    return replace(t, parameters=parameters, trigger=trigger)


def _below(
    own: Mapping[tuple[str, tuple[str, ...]], PrivateType], p: Parameter
) -> dict[tuple[str, ...], PrivateType]:
    return {path: kind for (argument, path), kind in own.items() if argument == p.name}


def _told(
    notes: Notes, t: Transition, kind: ValueType, private: Mapping[tuple[str, ...], PrivateType]
) -> ValueType:
    """The type of an argument of which some members, or all of it, go into private fields."""
    if not private or isinstance(kind, Unbuilt):
        return kind
    if () in private:
        return _fitting(notes, t, kind, private[()])
    if not isinstance(kind, kinds.ObjectOf):
        return kind  # the member isn't there, which is reported with the assignment
    members = tuple(
        replace(m, type=_fitting(notes, t, m.type, private[m.name,])) if (m.name,) in private else m
        for m in kind.members
    )
    return PartlyPrivate(kind.name, members, kind.python)


def _fitting(notes: Notes, t: Transition, kind: ValueType, wanted: PrivateType) -> ValueType:
    """The field's own type, if what is told is of its kind."""
    if not fits(word_of(kind), word_of(wanted.inner)):
        own, other = with_article(word_of(wanted.inner)), with_article(word_of(kind))
        detail = f"`{t.name}`: `{wanted.name}` is {own}, and would get {other}"
        notes.note(t.place, "comparison-mixed", detail, "Give it a value of its own type.")
    return wanted
