"""Annotations of fields, arguments and value objects as value types."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union, cast
from uuid import UUID

from avow.canonical import INTEGER_MAX
from avow.declare.backtracking import STEPS_MAX, Untold, steps_of
from avow.declare.surface import Bounds, Entity
from avow.model import types as kinds
from avow.model.types import ValueType
from avow.model.values import Money, Subject, currency_scale, is_currency

if sys.version_info >= (3, 14):
    import annotationlib

TEXT_LENGTH_CEILING = 1_000_000
LIST_ITEMS_CEILING = 10_000
QUOTES_MAX = 3
"""How often an annotation may stand in quotes that stand in quotes."""


class Unreadable(Exception):
    """An annotation that can't become a type; `detail` and `mend` say why and what to write."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.detail, self.mend = detail, mend


def annotations_of(
    holder: Any, namespace: Mapping[str, Any], globals_: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The annotations of a class or function; one that can't be resolved stays a string."""
    if globals_ is None:
        module = inspect.getmodule(holder)
        globals_ = getattr(holder, "__globals__", None) or (vars(module) if module else {})
    scope: Mapping[str, Any] = globals_ or {}
    return {name: _resolve(held, scope, namespace) for name, held in _raw_annotations(holder).items()}


def _raw_annotations(holder: Any) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        return annotationlib.get_annotations(holder, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(holder)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function, also where an annotation names what isn't there.

    ValueError where it has none.
    """
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def _resolve(
    held: Any, globals_: Mapping[str, Any], namespace: Mapping[str, Any], quotes: int = QUOTES_MAX
) -> Any:
    """What an annotation stands for. Where all are deferred, one in quotes is a text in a text."""

    def within(part: Any) -> Any:
        return part if part is Ellipsis else _resolve(part, globals_, namespace, quotes)

    origin = typing.get_origin(held)
    if origin is Union:  # Optional["Course"]
        return Union[tuple(map(within, typing.get_args(held)))]  # noqa: UP007
    if origin in (list, tuple):  # list["Place"]
        return types.GenericAlias(origin, tuple(map(within, typing.get_args(held))))
    text = held if isinstance(held, str) else getattr(held, "__forward_arg__", None)
    if text is None or quotes == 0:
        return held
    try:
        # The text is the owner's own annotation, deferred by Python itself, as typing.get_type_hints has it.
        found = eval(text, dict(globals_), dict(namespace))  # noqa: S307
    except (NameError, AttributeError, TypeError, SyntaxError):
        return text
    return _resolve(found, globals_, namespace, quotes - 1)


def read_type(annotation: Any, bounds: Bounds) -> tuple[ValueType, bool]:
    """The value type of an annotation, and whether it admits None. Raises Unreadable."""
    optional = False
    if typing.get_origin(annotation) is Annotated:
        annotation, *notes = typing.get_args(annotation)
        noted = next((note for note in notes if isinstance(note, Bounds)), None)
        if noted is not None and bounds != Bounds():
            raise Unreadable("its limits stand in two places", "Write them in field(...) or in limits(...).")
        bounds = bounds if noted is None else noted
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
        raise Unreadable(
            f"`{annotation}` isn't known here", "Import the name, or pass its entity to system() as well."
        )
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
    if dataclasses.is_dataclass(cast(Any, annotation)):
        return _read_object(annotation, bounds)
    raise Unreadable(f"`{annotation.__name__}` isn't a type that can be stored", _TYPES)


_TYPES = (
    "Use str, int, bool, Decimal, Money, date, datetime, timedelta, UUID, Subject, an Enum of strings, "
    "an Entity, a frozen dataclass of these, or a list of one of them."
)


def _text(bounds: Bounds) -> ValueType:
    most = kinds.TEXT_LENGTH_MAX if bounds.max_length is None else bounds.max_length
    least = 0 if bounds.min_length is None else bounds.min_length
    _demand_count("max_length", most, 1, TEXT_LENGTH_CEILING)
    _demand_count("min_length", least, 0, most)
    if bounds.pattern is not None:
        _demand_pattern(bounds.pattern, most)
    return kinds.Text(most, least, bounds.pattern)


def _demand_pattern(pattern: Any, length_max: int) -> None:
    """A regular expression, whose match is over soon for every text of this length."""
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise Unreadable(f"the pattern isn't a regular expression: {error}", "Correct the pattern.") from None
    if not isinstance(pattern, str):
        raise Unreadable("the pattern is no text", 'Write a text: pattern=r"[A-Z]{2}".')
    mend = "Let no two repetitions read the same text, make one possessive ([a-z]++), or lower max_length=."
    try:
        if steps_of(pattern, length_max) > STEPS_MAX:
            raise Unreadable("somebody could send a text that its pattern takes for ever to refuse", mend)
    except Untold as error:
        raise Unreadable(f"how long its pattern takes can't be told: {error}", mend) from None


def _demand_count(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise Unreadable(
            f"{name} isn't a count that can be", f"Write a whole number from {least:,} to {most:,}."
        )


def _integer(bounds: Bounds) -> ValueType:
    for bound in (bounds.ge, bounds.le):
        if bound is not None and (type(bound) is not int or abs(bound) > INTEGER_MAX):
            raise Unreadable("a bound isn't a whole number of 53 bits", "Write whole numbers in ge= and le=.")
    _demand_order(bounds.ge, bounds.le)
    return kinds.Integer(bounds.ge, bounds.le)


def _demand_order(ge: Any, le: Any) -> None:
    if ge is not None and le is not None and ge > le:
        raise Unreadable("no value is within its bounds", "Write ge= below le=.")


def _decimal(bounds: Bounds) -> ValueType:
    digits = 18 if bounds.digits is None else bounds.digits
    _demand_digits(digits, 0)
    scale = min(6, digits) if bounds.scale is None else bounds.scale
    _demand_digits(digits, scale)
    ge, le = _exact(bounds.ge), _exact(bounds.le)
    _demand_order(ge, le)
    return kinds.DecimalType(digits, scale, ge, le)


def _money(bounds: Bounds) -> ValueType:
    currency: Any = bounds.currency
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        mend = 'Write field(currency="EUR"), or of an argument Annotated[Money, limits(currency="EUR")].'
        raise Unreadable("money needs its currency", mend)
    if bounds.scale is None and not is_currency(currency):
        mend = "Correct it; for a unit of your own say how many digits it has after the point: scale=2."
        raise Unreadable(f"{currency} is no currency of ISO 4217", mend)
    digits = 18 if bounds.digits is None else bounds.digits
    scale = currency_scale(currency) if bounds.scale is None else bounds.scale
    _demand_digits(digits, scale)
    for bound in (bounds.ge, bounds.le):
        if isinstance(bound, Money) and bound.currency != currency:
            raise Unreadable("a bound is in another currency", f"Write it in {currency}.")
    ge, le = _exact(bounds.ge), _exact(bounds.le)
    _demand_order(ge, le)
    return kinds.MoneyType(currency, scale, digits, ge, le)


def _demand_digits(digits: Any, scale: Any) -> None:
    whole = type(digits) is int and type(scale) is int
    if not whole or not 0 <= scale <= digits <= kinds.DECIMAL_DIGITS_MAX or digits == 0:
        raise Unreadable("digits and scale don't fit", f"0 <= scale <= digits <= {kinds.DECIMAL_DIGITS_MAX}.")


def _exact(bound: Any) -> Decimal | None:
    if isinstance(bound, Money):
        return bound.amount
    if bound is None or (isinstance(bound, Decimal) and bound.is_finite()):
        return bound
    if type(bound) is int:
        return Decimal(bound)
    raise Unreadable(
        "a bound of an exact number has to be exact", 'Write an int or Decimal("0.01"), never a float.'
    )


_SCALARS: Mapping[Any, tuple[Callable[[Bounds], ValueType], frozenset[str]]] = {
    Subject: (lambda _: kinds.SubjectType(), frozenset()),
    str: (_text, frozenset({"max_length", "min_length", "pattern"})),
    bool: (lambda _: kinds.Boolean(), frozenset()),
    int: (_integer, frozenset({"ge", "le"})),
    Decimal: (_decimal, frozenset({"ge", "le", "digits", "scale"})),
    Money: (_money, frozenset({"ge", "le", "digits", "scale", "currency"})),
    datetime: (lambda _: kinds.DateTimeType(), frozenset()),
    date: (lambda _: kinds.DateType(), frozenset()),
    timedelta: (lambda _: kinds.DurationType(), frozenset()),
    UUID: (lambda _: kinds.UuidType(), frozenset()),
}


def _bounded(
    python: type, make: tuple[Callable[[Bounds], ValueType], frozenset[str]], bounds: Bounds
) -> ValueType:
    read, allowed = make
    _demand(bounds, python.__name__, allowed)
    return read(bounds)


def _demand(bounds: Bounds, name: str, allowed: frozenset[str] = frozenset()) -> None:
    given = {f.name for f in dataclasses.fields(bounds) if getattr(bounds, f.name) is not None}
    if surplus := given - allowed:
        limited = name in ("datetime", "date", "timedelta") and surplus <= {"ge", "le"}
        mend = "Leave it out, and compare the field in an invariant()." if limited else "Leave it out."
        raise Unreadable(f"{', '.join(sorted(surplus))} says nothing about {name}", mend)


def _read_list(annotation: Any, bounds: Bounds) -> ValueType:
    held, items = typing.get_origin(annotation), typing.get_args(annotation)
    if len(items) != (1 if held is list else 2) or (held is tuple and items[1] is not Ellipsis):
        raise Unreadable("a list has items of one type", "Write list[str] or tuple[str, ...].")
    item, optional = read_type(items[0], dataclasses.replace(bounds, max_items=None))
    if optional or isinstance(item, kinds.ListOf | kinds.Reference):
        raise Unreadable("a list holds plain values", "Make an entity of it, with a reference to this one.")
    most = kinds.LIST_ITEMS_MAX if bounds.max_items is None else bounds.max_items
    _demand_count("max_items", most, 1, LIST_ITEMS_CEILING)
    return kinds.ListOf(item, most, held)


def _read_enum(annotation: type[Enum], bounds: Bounds) -> ValueType:
    _demand(bounds, annotation.__name__)
    values = [member.value for member in annotation]
    if not values:
        raise Unreadable(f"{annotation.__name__} has no members", "Give it members.")
    if not all(isinstance(value, str) for value in values):
        raise Unreadable(f"the values of {annotation.__name__} aren't all strings", "Use a StrEnum.")
    if "" in values:
        raise Unreadable(f"a value of {annotation.__name__} is empty", "Give each member a value.")
    if any("\x00" in value or not _is_unicode(value) for value in values):
        raise Unreadable(f"a value of {annotation.__name__} can't be stored as text", "Correct the value.")
    return kinds.EnumType(annotation.__name__, tuple(values), annotation)


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogate."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read_object(annotation: Any, bounds: Bounds) -> ValueType:
    name = annotation.__name__
    _demand(bounds, name)
    if not annotation.__dataclass_params__.frozen or not annotation.__dataclass_params__.eq:
        raise Unreadable(f"{name} isn't a plain value", "Write @dataclass(frozen=True).")
    members, hints = list[kinds.Member](), annotations_of(annotation, {})
    for member in dataclasses.fields(annotation):
        hint = hints.get(member.name, member.type)
        if not member.name.isascii():
            raise Unreadable(f"{name}.{member.name} isn't a usable name", "Use ASCII letters, digits and _.")
        if not member.init or _is_compound(hint):
            raise Unreadable(f"{name}.{member.name} isn't a plain value", _MEMBERS)
        kind, optional = read_type(hint, Bounds())
        if isinstance(kind, kinds.Reference):
            raise Unreadable(f"{name}.{member.name} isn't a plain value", _MEMBERS)
        missing = dataclasses.MISSING
        defaulted = member.default is not missing or member.default_factory is not missing
        members.append(kinds.Member(member.name, kind, optional, defaulted))
    if not members:
        raise Unreadable(f"{name} has no members", "Give it members, or use a bool.")
    return kinds.ObjectOf(name, tuple(members), annotation)


_MEMBERS = "A value object has members of plain types: no lists, no entities, no value objects."


def _is_compound(hint: Any) -> bool:
    """Whether a member, or what may stand for it, is itself made of parts."""
    parts = [part for part in (hint, *typing.get_args(hint)) if part is not Money]
    return any(
        typing.get_origin(part) in (list, tuple)
        or (isinstance(part, type) and dataclasses.is_dataclass(part))
        for part in parts
    )
