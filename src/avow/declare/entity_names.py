"""What can be wrong with the names of an entity, and with words that its body made and didn't keep."""

from __future__ import annotations

import ast as python
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, cast, get_origin

from avow.declare import surface as word
from avow.declare.body import class_body
from avow.model.place import Place

Told = tuple[Place, str, str, str]
"""Where, code, what is wrong, and what to write instead."""

RESERVED = frozenset(
    {
        "id",
        "version",
        "state",
        "now",
        "actor",
        "tenant",
        "head",
        "boundary",
        "changed_at",
        "given",
        "etag",
        "why",
    }
)
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
"""What PostgreSQL calls columns of its own, in every table."""
PAGES = frozenset({"destinations", "effects", "events", "healthz", "readyz", "subscriptions", "tasks"})
"""Addresses at which the server itself answers."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_MADE = re.compile(r"[a-z][a-z0-9_]{0,149}", re.ASCII)
"""The states and transitions of a saga are named for several effects."""
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,47}", re.ASCII)
_ASCII_NAME = "Use lower-case ASCII words joined by _, at most 48 characters."


_HANDLE = frozenset({"id", "version", "state", "now", "actor"})
"""What every record's handle tells."""


def inherits(declared: type[word.Entity]) -> bool:
    """Whether an entity has a base of the owner's, whose words it wouldn't get."""
    return declared.__bases__ != (word.Entity,)


def name_mistakes(
    declared: type[word.Entity], plural: str, words: Mapping[str, Any], annotations: Mapping[str, Any],
    is_made: Callable[[str], bool],
) -> Iterator[Told]:  # fmt: skip
    """Every name that can't be used, and everything in the body that would be lost without a word.

    is_made: whether a saga made the word of this name.
    """
    yield from _own_names(declared, plural)
    for name, held in words.items():
        inner = held.avow_word if isinstance(held, word.FieldTerm) else getattr(held, "word", held)
        if isinstance(inner, word.FieldWord | word.Named):
            made = is_made(name) and not isinstance(inner, word.FieldWord)
            yield from _misnamed(name, inner.place, _MADE if made else NAME)
    yield from _overridden(declared)
    yield from _lost(declared, words)
    yield from _without_word(declared, words, annotations)


def _own_names(declared: type[word.Entity], plural: str) -> Iterator[Told]:
    place, named = declared.avow_place, bool(_CLASS.fullmatch(declared.__name__))
    if not named:
        mend = "Use ASCII letters and digits, a capital first, at most 48 of them: Course."
        yield place, "name-invalid", "the class has no usable name", mend
    if (named or declared.avow_plural) and not NAME.fullmatch(str(plural)):
        mend = 'Write lower-case ASCII words joined by _: plural="people".'
        yield place, "name-invalid", f"`{plural}` can't name a table", mend
    if plural in PAGES:
        mend = f'Write class {declared.__name__}(Entity, plural="...").'
        yield place, "name-reserved", f"/{plural} is a page of the server", mend
    if inherits(declared):
        mend = "Write class NAME(Entity), and declare its words in its own body."
        yield place, "entity-inherits", "what it inherits would not be declared", mend


def _misnamed(name: str, place: Place, shape: re.Pattern[str]) -> Iterator[Told]:
    if not shape.fullmatch(name):
        yield place, "name-invalid", f"`{name}` isn't a usable name", _ASCII_NAME
    elif name in RESERVED or name.startswith(("avow_", "by_", "blind_")):
        yield place, "name-reserved", f"`{name}` is kept for the engine", "Choose another name."
    elif name in SYSTEM_COLUMNS:
        yield place, "name-reserved", f"`{name}` is a column of PostgreSQL", "Choose another name."


def _overridden(declared: type[word.Entity]) -> Iterator[Told]:
    """Methods and values of the owner's that would stand in place of what a handle on a record needs."""
    for name, held in declared.avow_words.items():
        ours = inspect.isroutine(vars(word.Entity).get(name)) or name in _HANDLE
        inner = held.avow_word if isinstance(held, word.FieldTerm) else getattr(held, "word", held)
        if held is None or not ours or isinstance(inner, word.FieldWord | word.Named):
            continue
        place = declared.avow_place
        if inspect.isfunction(held):
            place = Place(place.file, held.__code__.co_firstlineno)
        yield place, "name-reserved", f"`{name}` is kept for the engine", "Choose another name."


def _lost(declared: type[word.Entity], words: Mapping[str, Any]) -> Iterator[Told]:
    """Words without a name. A state that another word names is reported there, and one of a saga has one."""
    found = {id(state) for held in words.values() for state in (held, *_states_of(held))}
    inside = {id(one.word): name for name, held in words.items() for one in _wrapped(held)}
    for held in declared.avow_lost:
        if id(held) in found:
            continue
        if name := inside.get(id(held)):
            mend = "Write @transition(...) above every other decorator."
            yield held.place, "word-lost", f"a decorator above it hides the transition `{name}`", mend
            continue
        at: Place = held.avow_word.place if isinstance(held, word.FieldTerm) else held.place
        kind = "field" if isinstance(held, word.FieldTerm) else type(held).__name__.lower()
        detail = f"the {kind} declared here has no name, or lost it to another"
        yield at, "word-lost", detail, "Give it a name of its own: NAME = ..."


def _wrapped(held: Any) -> Iterator[word.Command[...]]:
    """The command that another decorator has put away in what it made."""
    parts = (getattr(held, name, None) for name in ("__wrapped__", "__func__", "fget", "func"))
    yield from (part for part in parts if isinstance(part, word.Command) and held is not part)


def _states_of(held: Any) -> tuple[Any, ...]:
    """The states that a word names, whatever sort of word it is."""
    inner = held.word if isinstance(held, word.Command) else held
    if not isinstance(inner, word.Named):
        return ()
    return (*getattr(inner, "sources", ()), getattr(inner, "target", None), *getattr(inner, "among", ()))


def _without_word(
    declared: type[word.Entity], words: Mapping[str, Any], annotations: Mapping[str, Any]
) -> Iterator[Told]:
    """Annotated names that look like fields and are none; a ClassVar is the owner's own constant."""
    for name, annotation in annotations.items():
        held, kind = words.get(name), get_origin(annotation) or annotation
        if name.startswith("avow_") or kind in (ClassVar, Final) or (name in words and _is_word(held)):
            continue
        place = Place(declared.avow_place.file, line_of(declared, name))
        if name not in words:
            detail = f"`{name}` has a type but isn't declared"
            yield place, "field-without-word", detail, f"Write {name}: ... = field()."
        else:
            detail = f"`{name}` has a type and a plain value: no record would have it"
            mend = f"Write {name}: ... = field(default=...); ClassVar[...] as its type if it is a constant."
            yield place, "field-without-word", detail, mend


def _is_word(held: Any) -> bool:
    """Whether it is a word; one before a stray comma is reported as lost."""
    parts = cast("tuple[object, ...]", held) if isinstance(held, tuple) else (held,)
    return any(isinstance(part, word.FieldTerm | word.Named | word.Command) for part in parts)


def line_of(declared: type[word.Entity], name: str) -> int:
    """The line on which a name is annotated in the body of an entity; that of its class without a source."""
    place = declared.avow_place
    for part in class_body(place.file, place.line):
        if (
            isinstance(part, python.AnnAssign)
            and isinstance(part.target, python.Name)
            and part.target.id == name
        ):
            return part.lineno
    return place.line
