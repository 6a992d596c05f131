"""The arguments of a body as the typed parameters of its command."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from avow.declare import surface as word
from avow.declare.annotation import Unreadable, annotations_of, read_type, signature_of
from avow.declare.field import fitted
from avow.declare.notes import Notes
from avow.declare.typing import Unbuilt
from avow.model import types as kinds
from avow.model.entity import Field, Parameter
from avow.model.place import Place
from avow.model.private import PrivateType

_LIMITED = kinds.Text | kinds.Integer | kinds.DecimalType | kinds.ListOf


def read_parameters(
    notes: Notes, name: str, place: Place, body: Any, fields: Mapping[str, Field]
) -> Iterator[Parameter]:
    """The parameters of a body, without its record."""
    hints = annotations_of(body, notes.namespace)
    own, *rest = [*signature_of(body).parameters.values()] or [None]
    if own is None:
        notes.note(
            place, "argument-unreadable", f"`{name}` doesn't take its record", f"Write def {name}(self)."
        )
    for argument in rest:
        where = f"`{name}({argument.name})`" if argument is not None else ""
        if argument is None or argument.kind not in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY):
            notes.note(place, "argument-unreadable", f"{where} isn't a plain argument", "Name each argument.")
        elif argument.name not in hints:
            notes.note(place, "type-missing", f"{where} has no type", "Annotate it.")
            yield Parameter(argument.name, Unbuilt(), True)
        else:
            yield _parameter(notes, where, place, argument, hints[argument.name], fields)


def _parameter(
    notes: Notes,
    where: str,
    place: Place,
    argument: inspect.Parameter,
    hint: Any,
    fields: Mapping[str, Field],
) -> Parameter:
    has_default = argument.default is not argument.empty
    try:
        kind, optional = _type(hint, fields.get(argument.name))
    except Unreadable as unreadable:
        notes.note(place, "type-unreadable", f"{where}: {unreadable.detail}", unreadable.mend)
        return Parameter(argument.name, Unbuilt(), True)
    default = argument.default if has_default else None
    if default is not None:
        default = fitted(notes, where, kind, default, place)
    return Parameter(argument.name, kind, optional or has_default, default)


def _type(annotation: Any, same: Field | None) -> tuple[kinds.ValueType, bool]:
    """The type of an argument; one with a field's name and Python type has its limits, and is as private."""
    bare = not hasattr(annotation, "__metadata__")
    try:
        kind, optional = read_type(annotation, word.Bounds())
    except Unreadable:
        if bare and same is not None and isinstance(_plainly(same), kinds.MoneyType):
            return same.type, type(None) in typing.get_args(annotation)
        raise
    limited = isinstance(kind, _LIMITED) or (same is not None and isinstance(same.type, PrivateType))
    if bare and same is not None and limited and _alike(kind, _plainly(same)):
        return same.type, optional
    return kind, optional


def _plainly(field: Field) -> kinds.ValueType:
    """The type of a field's values, also where they are private."""
    return field.type.inner if isinstance(field.type, PrivateType) else field.type


def _alike(one: kinds.ValueType, other: kinds.ValueType) -> bool:
    if isinstance(one, kinds.ListOf) and isinstance(other, kinds.ListOf):
        return type(one.item) is type(other.item)
    return type(one) is type(other)
