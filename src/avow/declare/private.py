"""The words for a person's data, `private()` and `reveal()`, and everything that can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from avow.declare.expression import Condition
from avow.declare.given import flag
from avow.declare.machine import at
from avow.declare.notes import Notes
from avow.declare.place import here
from avow.declare.surface import (
    UNSET,
    Bounds,
    FieldTerm,
    FieldWord,
    Named,
    PrivateWord,
    State,
    several,
)
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import Entity, Field, Parameter, Transition
from avow.model.place import Place
from avow.model.private import OF_ACTOR, PrivateType

PURPOSE = "purpose"
"""The argument of every command that reveals: what for, in the words of whoever looks."""
FIND = "find"
"""The word below an entity's address under which records are found by private values."""
PURPOSE_LENGTH_MAX = 500
ERASED_DAYS_MAX = 36_600


def private(
    *,
    of: Any,
    searchable: bool = False,
    keep: timedelta | None = None,
    ge: Any = None,
    le: Any = None,
    max_length: int | None = None,
    min_length: int | None = None,
    pattern: str | None = None,
    digits: int | None = None,
    scale: int | None = None,
    currency: str | None = None,
    max_items: int | None = None,
    read: Condition | None = None,
) -> Any:
    """Declare a private field: a person's data, kept under that person's key, shown to nobody as it is.

    of:         whom it is about: a field of the same entity that is a Subject, or `actor`, whoever gives it.
    searchable: records can be found by an equal value, through a keyed hash; `unique()` may name the field.
    keep:       how long it has to be kept, by law: until then nobody may have it erased.
    The rest is as for `field`. There is no default: what stands in a declaration is known to all.
    """
    bounds = Bounds(ge, le, max_length, min_length, pattern, digits, scale, currency, max_items)
    word = FieldWord(
        here(),
        bounds,
        UNSET,
        read,
        reference=False,
        private=PrivateWord(of, flag(searchable, "searchable"), keep),
    )
    return FieldTerm(word)


class Reveal(Named):
    """A command that shows private values, and leaves in the record's history who looked, and what for."""

    def __init__(self, fields: tuple[Any, ...], by: Condition, among: Any) -> None:
        super().__init__()
        self.fields, self.by = fields, by
        self.among: tuple[Any, ...] = several(among)


def reveal(*fields: Any, by: Condition, among: State | list[State] | tuple[State, ...] = ()) -> Reveal:
    """Declare a command that shows private fields in clear: `see_passport = reveal(passport, by=registrar)`.

    It takes a `purpose`, changes nothing, and is an entry of the record's history like any other command.
    by:    who may. among: the states in which; without it, all of them.
    """
    return Reveal(fields, by, among)


def read_private(notes: Notes, name: str, w: FieldWord, p: PrivateWord, kind: kinds.ValueType) -> PrivateType:
    """The type of a private field; what can't be meant is reported."""
    keep: Any = p.keep
    if keep is not None and (not isinstance(keep, timedelta) or not 0 < keep.days <= ERASED_DAYS_MAX):
        detail = f"`{name}` is kept for {keep!r:.40}"
        notes.note(w.place, "private-keep", detail, "Write keep=timedelta(days=3_650), or leave it out.")
        keep = None
    if isinstance(kind, kinds.Reference):
        mend = "Make the private values fields of the record that it refers to."
        notes.note(w.place, "private-unfit", f"`{name}` refers to a record, which can't be private", mend)
    match notes.named(p.of, w.place):
        case ast.ActorSubject():
            of = OF_ACTOR
        case ast.FieldOf((field,)):
            of = field
        case _:
            of = "?"
    return PrivateType(kind, name, of, p.searchable, keep)


def read_reveal(
    notes: Notes, name: str, w: Reveal, fields: Mapping[str, Field], states: Mapping[str, State]
) -> Iterator[Transition]:
    """A reveal as transitions that lead nowhere: one for each state, under one command."""
    shown = notes.field_names(w.fields, w.place)
    for field in shown:
        if not isinstance(fields[field].type, PrivateType):
            detail = f"`{name}` reveals `{field}`, which isn't private"
            notes.note(w.place, "reveal-unfit", detail, "Name fields that are declared with private().")
    if not shown:
        notes.note(w.place, "reveal-unfit", f"`{name}` reveals nothing", "Write reveal(FIELD, by=...).")
        return
    among = [getattr(state, "name", "") for state in w.among] or list(states)
    for unknown in [state for state in among if state not in states]:
        detail = f"`{unknown or 'a state without a name'}` isn't a state of this entity"
        notes.note(w.place, "state-undeclared", detail, "Declare it here: NAME = State().")
    by = notes.condition(w.by, w.place)
    purpose = Parameter(PURPOSE, kinds.Text(PURPOSE_LENGTH_MAX, 1))
    for state in among:
        yield Transition(
            name=name if len(among) == 1 else f"{name}_in_{state}",
            command=name, sources=(state,), target=state, by=by, parameters=(purpose,), reveals=shown,
            doc=f"Shows {', '.join(shown)} in clear, for a stated purpose.", place=w.place,
        )  # fmt: skip


def private_mistakes(entity: Entity) -> Iterator[Mistake]:
    """Whose each private value is can be told, and nothing is asked of one but whether it is there."""
    for field in entity.fields.values():
        if isinstance(field.type, PrivateType):
            yield from _of(entity, field, field.type)
    for what, place, names in _looked_at(entity):
        for name in names:
            if name in entity.private:
                detail = f"{entity.name}.{what} looks at `{name}`, which is private"
                yield at(
                    place, "private-compared", detail, "Use a field that isn't; missing(x) may be asked."
                )
    for unique in entity.uniques:
        for name in unique.fields:
            kind = entity.fields[name].type
            if isinstance(kind, PrivateType) and not kind.searchable:
                detail = f"{entity.name}.{unique.name}: equal values of `{name}` can't be told"
                mend = f"Write {name} = private(of=..., searchable=True)."
                yield at(unique.place, "private-unique", detail, mend)
    for t in entity.transitions.values():
        if t.creation and t.command == FIND and entity.searchable:
            detail = f"{entity.name}.{t.name}: /{entity.plural}/{FIND} finds records by their private values"
            yield at(t.place, "name-reserved", detail, "Give the creation another name.")
    for state in entity.states.values():
        if state.reveals and (not state.invoke or not {*state.reveals} <= {*entity.private}):
            detail = f"{entity.name}.{state.name} reveals to no call, or what isn't private"
            yield at(state.place, "reveal-unfit", detail, "Name private fields, and invoke= an effect.")
        for name in state.invoke if state.reveals else ():
            if not entity.effects[name].doc:
                detail = f"{entity.name}.{state.name} tells {name} what is private, and nothing says what for"
                yield at(state.place, "reveal-purpose", detail, "Say it in the docstring of the function.")
    for t in entity.transitions.values():
        erased = None if t.erases is None else entity.fields[t.erases]
        if erased is not None and (erased.optional or not isinstance(erased.type, kinds.SubjectType)):
            detail = f"{entity.name}.{t.name} erases `{erased.name}`, which names no person"
            yield at(t.place, "erases-unfit", detail, "Name a field of the type Subject that has a value.")


def _of(entity: Entity, field: Field, kind: PrivateType) -> Iterator[Mistake]:
    person = entity.fields.get(kind.of)
    fits = person is not None and isinstance(person.type, kinds.SubjectType) and not person.optional
    if kind.of != OF_ACTOR and not fits:
        detail = f"{entity.name}.{field.name}: `of` doesn't say whose it is"
        mend = "Name a field of this entity whose type is Subject, and which always has a value; or actor."
        yield at(field.place, "private-of", detail, mend)


def _looked_at(entity: Entity) -> Iterator[tuple[str, Place, tuple[str, ...]]]:
    """Where fields are named other than in conditions, and would be looked at."""
    for exclusion in entity.exclusions:
        yield exclusion.name, exclusion.place, (*exclusion.fields, exclusion.start, exclusion.end)
    for publication in entity.publications:
        yield publication.name, publication.place, publication.fields
    for effect in entity.effects.values():
        if effect.ordered_by is not None:
            yield effect.name, effect.place, (effect.ordered_by,)
