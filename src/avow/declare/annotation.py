"""Annotations of fields, arguments and value objects as value types."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union, cast
from uuid import UUID

from avow.declare.surface import Bounds, Entity
from avow.model import types as kinds
from avow.model.types import ValueType
from avow.model.values import Money, Subject, currency_scale


class Unreadable(Exception):
    """An annotation that can't become a type; `detail` and `mend` say why and what to write."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.detail, self.mend = detail, mend


def annotations_of(holder: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a class or function; one that can't be resolved stays a string."""
    found = _raw_annotations(holder)
    module = inspect.getmodule(holder)
    globals_ = getattr(holder, "__globals__", None) or (vars(module) if module else {})
    return {name: _resolve(held, globals_, namespace) for name, held in found.items()}


def _raw_annotations(holder: Any) -> Mapping[str, Any]:
    try:
        from annotationlib import Format, get_annotations  # pyright: ignore  # Python 3.14
    except ImportError:
        return inspect.get_annotations(holder)
    return cast(Mapping[str, Any], get_annotations(holder, format=Format.FORWARDREF))


def _resolve(held: Any, globals_: Mapping[str, Any], namespace: Mapping[str, Any]) -> Any:
    text = held if isinstance(held, str) else getattr(held, "__forward_arg__", None)
    if text is None:
        return held
    try:
        # The text is the owner's own annotation, deferred by Python itself; typing.get_type_hints does the same.
        return eval(text, dict(globals_), dict(namespace))
    except Exception:
        return text


def read_type(annotation: Any, bounds: Bounds) -> tuple[ValueType, bool]:
    """The value type of an annotation, and whether it admits None. Raises Unreadable."""
    optional = False
    if typing.get_origin(annotation) is Annotated:
        annotation, *notes = typing.get_args(annotation)
        bounds = next((note for note in notes if isinstance(note, Bounds)), bounds)
    if typing.get_origin(annotation) in (Union, types.UnionType):
        options = [option for option in typing.get_args(annotation) if option is not types.NoneType]
        optional = len(options) < len(typing.get_args(annotation))
        if len(options) != 1:
            raise Unreadable("a field has one type", "Name one type, with `| None` if it may be missing.")
        annotation = options[0]
    if typing.get_origin(annotation) is Annotated:
        inner, also_optional = read_type(annotation, bounds)
        return inner, optional or also_optional
    return _read_plain(annotation, bounds), optional


def _read_plain(annotation: Any, bounds: Bounds) -> ValueType:
    if typing.get_origin(annotation) in (list, tuple):
        return _read_list(annotation, bounds)
    if isinstance(annotation, str):
        raise Unreadable(f"`{annotation}` isn't known here", "Import the name, or pass its entity to system() as well.")
    if not isinstance(annotation, type):
        raise Unreadable(f"`{annotation}` isn't a type that can be stored", _TYPES)
    for python, make in _SCALARS.items():
        if annotation is python:
            return _bounded(python, make, bounds)
    if issubclass(annotation, Entity):
        _demand(bounds, annotation.__name__)
        return kinds.Reference(annotation.__name__)
    if issubclass(annotation, Enum):
        return _read_enum(annotation, bounds)
    if dataclasses.is_dataclass(annotation):
        return _read_object(annotation, bounds)
    raise Unreadable(f"`{annotation.__name__}` isn't a type that can be stored", _TYPES)


_TYPES = (
    "Use str, int, bool, Decimal, Money, date, datetime, timedelta, UUID, Subject, an Enum of strings, "
    "an Entity, a frozen dataclass of these, or a list of one of them."
)


def _text(bounds: Bounds) -> ValueType:
    if bounds.pattern is not None:
        try:
            re.compile(bounds.pattern)
        except re.error as error:
            raise Unreadable(f"the pattern isn't a regular expression: {error}", "Correct the pattern.") from None
    return kinds.Text(bounds.max_length or kinds.TEXT_LENGTH_MAX, bounds.min_length or 0, bounds.pattern)


def _decimal(bounds: Bounds) -> ValueType:
    digits = 18 if bounds.digits is None else bounds.digits
    scale = min(6, digits) if bounds.scale is None else bounds.scale
    _demand_digits(digits, scale)
    return kinds.DecimalType(digits, scale, _exact(bounds.ge), _exact(bounds.le))


def _money(bounds: Bounds) -> ValueType:
    if bounds.currency is None or not re.fullmatch("[A-Z]{3}", bounds.currency):
        raise Unreadable("money needs its currency", 'Write field(currency="EUR"), an ISO 4217 code.')
    digits = 18 if bounds.digits is None else bounds.digits
    scale = currency_scale(bounds.currency) if bounds.scale is None else bounds.scale
    _demand_digits(digits, scale)
    return kinds.MoneyType(bounds.currency, scale, digits, _exact(bounds.ge), _exact(bounds.le))


def _demand_digits(digits: int, scale: int) -> None:
    if not 0 <= scale <= digits <= kinds.DECIMAL_DIGITS_MAX or digits == 0:
        raise Unreadable("digits and scale don't fit", f"0 <= scale <= digits <= {kinds.DECIMAL_DIGITS_MAX}.")


def _exact(bound: Any) -> Decimal | None:
    if isinstance(bound, Money):
        return bound.amount
    if bound is None or isinstance(bound, Decimal):
        return bound
    if type(bound) is int:
        return Decimal(bound)
    raise Unreadable("a bound of an exact number has to be exact", 'Write an int or Decimal("0.01"), never a float.')


_SCALARS: Mapping[Any, tuple[Callable[[Bounds], ValueType], frozenset[str]]] = {
    Subject: (lambda _: kinds.SubjectType(), frozenset()),
    str: (_text, frozenset({"max_length", "min_length", "pattern"})),
    bool: (lambda _: kinds.Boolean(), frozenset()),
    int: (lambda bounds: kinds.Integer(bounds.ge, bounds.le), frozenset({"ge", "le"})),
    Decimal: (_decimal, frozenset({"ge", "le", "digits", "scale"})),
    Money: (_money, frozenset({"ge", "le", "digits", "scale", "currency"})),
    datetime: (lambda _: kinds.DateTimeType(), frozenset()),
    date: (lambda _: kinds.DateType(), frozenset()),
    timedelta: (lambda _: kinds.DurationType(), frozenset()),
    UUID: (lambda _: kinds.UuidType(), frozenset()),
}


def _bounded(python: type, make: tuple[Callable[[Bounds], ValueType], frozenset[str]], bounds: Bounds) -> ValueType:
    read, allowed = make
    _demand(bounds, python.__name__, allowed)
    return read(bounds)


def _demand(bounds: Bounds, name: str, allowed: frozenset[str] = frozenset()) -> None:
    given = {f.name for f in dataclasses.fields(bounds) if getattr(bounds, f.name) is not None}
    if surplus := given - allowed:
        raise Unreadable(f"{', '.join(sorted(surplus))} says nothing about {name}", "Leave it out.")


def _read_list(annotation: Any, bounds: Bounds) -> ValueType:
    items = [item for item in typing.get_args(annotation) if item is not Ellipsis]
    if len(items) != 1:
        raise Unreadable("a list has items of one type", "Write list[str] or tuple[str, ...].")
    item, optional = read_type(items[0], dataclasses.replace(bounds, max_items=None))
    if optional or isinstance(item, kinds.ListOf | kinds.Reference):
        raise Unreadable("a list holds plain values", "Make an entity of it, with a reference to this one.")
    return kinds.ListOf(item, bounds.max_items or kinds.LIST_ITEMS_MAX)


def _read_enum(annotation: type[Enum], bounds: Bounds) -> ValueType:
    _demand(bounds, annotation.__name__)
    values = [member.value for member in annotation]
    if not values or not all(isinstance(value, str) and value for value in values):
        raise Unreadable(f"the values of {annotation.__name__} aren't all strings", "Use a StrEnum.")
    return kinds.EnumType(annotation.__name__, tuple(values), annotation)


def _read_object(annotation: Any, bounds: Bounds) -> ValueType:
    _demand(bounds, annotation.__name__)
    if not annotation.__dataclass_params__.frozen:
        raise Unreadable(f"{annotation.__name__} can be changed in place", "Write @dataclass(frozen=True).")
    members = list[kinds.Member]()
    hints = annotations_of(annotation, {})
    for member in dataclasses.fields(annotation):
        kind, optional = read_type(hints[member.name], Bounds())
        if isinstance(kind, kinds.Reference | kinds.ListOf) or not member.name.isascii():
            raise Unreadable(f"{annotation.__name__}.{member.name} isn't a plain value", _TYPES)
        members.append(kinds.Member(member.name, kind, optional))
    return kinds.ObjectOf(annotation.__name__, tuple(members), annotation)
