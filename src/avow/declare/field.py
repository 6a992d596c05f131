"""One field of a class body: its type, its bounds, its default."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from avow.declare import surface as word
from avow.declare.annotation import Unreadable, read_type
from avow.declare.notes import Notes
from avow.declare.private import read_private
from avow.declare.typing import Unbuilt
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import Field
from avow.model.place import Place


def read_field(notes: Notes, name: str, w: word.FieldWord, annotations: Mapping[str, Any]) -> Field:
    """A field of the model; its type is Unbuilt where it couldn't be read."""
    read = None if w.read is None else notes.condition(w.read, w.place)
    if name not in annotations:
        notes.note(w.place, "type-missing", f"`{name}` has no type", f"Write {name}: TYPE = field(...).")
        return Field(name, Unbuilt(), True, None, read, "", w.place)
    try:
        kind, optional = read_type(annotations[name], w.bounds)
    except Unreadable as unreadable:
        notes.note(w.place, "type-unreadable", f"`{name}`: {unreadable.detail}", unreadable.mend)
        return Field(name, Unbuilt(), True, None, read, "", w.place)
    if isinstance(kind, kinds.Reference) is not w.reference:
        right = "ref()" if isinstance(kind, kinds.Reference) else "field()"
        detail = f"`{name}` is declared with the wrong word"
        notes.note(w.place, "reference-word", detail, f"Write {name}: ... = {right}.")
    default = None if w.default is word.UNSET else notes.named(w.default, w.place)
    if w.private is not None:
        private = read_private(notes, name, w, w.private, kind)
        return Field(name, private, optional, None, read, "", w.place)
    return Field(
        name, kind, optional, _default(notes, name, kind, optional, default, w.place), read, "", w.place
    )


def _default(
    notes: Notes,
    name: str,
    kind: kinds.ValueType,
    optional: bool,
    default: ast.Expression | None,
    place: Place,
) -> ast.Expression | None:
    match default:
        case None:
            return None
        case ast.ActorSubject():
            if not isinstance(kind, kinds.SubjectType):
                detail = f"`{name}` starts with the actor, but isn't a Subject"
                notes.note(place, "default-unfit", detail, "Write its type as Subject.")
        case ast.Now():
            if not isinstance(kind, kinds.DateTimeType):
                detail = f"`{name}` starts with now, but isn't a datetime"
                notes.note(place, "default-unfit", detail, "Write its type as datetime.")
        case ast.Const(None):
            if not optional:
                detail = f"`{name}` starts with None, but must have a value"
                notes.note(place, "default-unfit", detail, "Write `| None` in its type.")
                return default
            return None
        case ast.Const(value):
            return ast.Const(fitted(notes, f"`{name}`", kind, value, place))
        case _:
            detail = f"the default of `{name}` is neither a constant nor actor nor now"
            notes.note(place, "default-unfit", detail, "Compute the value in the body of the creation.")
    return default


def fitted(notes: Notes, shown: str, kind: kinds.ValueType, value: Any, place: Place) -> Any:
    """A constant default in its stored form; as it was given where it doesn't fit."""
    if isinstance(value, datetime):
        detail = f"the default of {shown} would be frozen at the time of import"
        notes.note(place, "constant-instant", detail, "Write default=now, or no default.")
        return value
    try:
        return kind.fit(value, shown)
    except kinds.Misfit as misfit:
        detail = f"the default of {shown} {misfit.flaws[0].detail}"
        notes.note(place, "default-unfit", detail, "Correct the default or the bounds.")
        return value
