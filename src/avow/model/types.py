"""The types of fields: which values there are, and how each is written as JSON.

One encoding serves the wire and the audit log. Integers are JSON numbers of at most 53 bits; whatever
JSON numbers can't carry exactly (decimals, money, times) is a string. Nothing is coerced: `"1"`, `1.0`
and `true` are not integers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from avow.canonical import INTEGER_MAX, JsonValue
from avow.model.values import Money, Subject

Value: TypeAlias = Any
"""A typed Python value of a field: what a handler sees."""

TEXT_LENGTH_MAX = 1_000
SUBJECT_LENGTH_MAX = 255
LIST_ITEMS_MAX = 100
DECIMAL_DIGITS_MAX = 38


@dataclass(frozen=True, slots=True)
class Flaw:
    """One place of an input that doesn't fit.

    pointer: JSON pointer (RFC 6901) into the body, such as `#/items/0/qty`.
    code:    stable, kebab-case. detail: one sentence, never an echo of the value.
    """

    pointer: str
    code: str
    detail: str


class Misfit(Exception):
    """A value doesn't fit its type; `flaws` holds every place."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__("; ".join(f"{flaw.pointer}: {flaw.detail}" for flaw in flaws))
        self.flaws = flaws


class ValueType(Protocol):
    """What each type can do. Implementations are frozen and compare by value."""

    def parse(self, raw: Any, at: str) -> Value:
        """Read the JSON value `raw` found at JSON pointer `at`. Raises Misfit."""
        ...

    def dump(self, value: Value) -> JsonValue:
        """Write a value as JSON; `parse` reads it back equal."""
        ...

    def fit(self, value: Value, at: str) -> Value:
        """Check a value that a handler assigned and give back its stored form. Raises Misfit."""
        ...

    def describe(self) -> dict[str, Any]:
        """The type as plain data, for the fingerprint and the documentation."""
        ...


def _misfit(at: str, code: str, detail: str) -> Misfit:
    return Misfit(Flaw(at, code, detail))


def _bounded(value: Any, ge: Any, le: Any, at: str) -> None:
    if ge is not None and value < ge:
        raise _misfit(at, "too-small", f"must be at least {ge}")
    if le is not None and value > le:
        raise _misfit(at, "too-large", f"must be at most {le}")


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `min_length` to `max_length` characters without U+0000; `pattern` must match all of it."""

    max_length: int = TEXT_LENGTH_MAX
    min_length: int = 0
    pattern: str | None = None

    def parse(self, raw: Any, at: str) -> str:
        return self.fit(raw, at)

    def fit(self, value: Any, at: str) -> str:
        if not isinstance(value, str):
            raise _misfit(at, "not-a-string", "must be a string")
        if "\x00" in value:
            raise _misfit(at, "character-refused", "must not hold the character U+0000")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _misfit(at, "character-refused", "must not hold a lone surrogate")
        if len(value) < self.min_length:
            raise _misfit(at, "too-short", f"must have at least {self.min_length} characters")
        if len(value) > self.max_length:
            raise _misfit(at, "too-long", f"must have at most {self.max_length} characters")
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            raise _misfit(at, "pattern-mismatch", "must match the declared pattern")
        return str(value)

    def dump(self, value: str) -> JsonValue:
        return value

    def describe(self) -> dict[str, Any]:
        extra: dict[str, Any] = {} if self.pattern is None else {"pattern": self.pattern}
        return {"type": "text", "max_length": self.max_length, "min_length": self.min_length, **extra}


@dataclass(frozen=True, slots=True)
class SubjectType:
    """A `Subject`: 1 to 255 characters."""

    def parse(self, raw: Any, at: str) -> Subject:
        return self.fit(raw, at)

    def fit(self, value: Any, at: str) -> Subject:
        return Subject(Text(SUBJECT_LENGTH_MAX, 1).fit(value, at))

    def dump(self, value: Subject) -> JsonValue:
        return str(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "subject"}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number of at most 53 bits, so that every JSON reader keeps it exactly."""

    ge: int | None = None
    le: int | None = None

    def parse(self, raw: Any, at: str) -> int:
        return self.fit(raw, at)

    def fit(self, value: Any, at: str) -> int:
        if type(value) is not int:
            raise _misfit(at, "not-an-integer", "must be an integer, written without point or exponent")
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise _misfit(at, "out-of-range", "must lie within plus or minus 2^53 - 1")
        _bounded(value, self.ge, self.le, at)
        return value

    def dump(self, value: int) -> JsonValue:
        return value

    def describe(self) -> dict[str, Any]:
        return {"type": "integer", **_bounds(self.ge, self.le, int)}


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""

    def parse(self, raw: Any, at: str) -> bool:
        return self.fit(raw, at)

    def fit(self, value: Any, at: str) -> bool:
        if type(value) is not bool:
            raise _misfit(at, "not-a-boolean", "must be true or false")
        return value

    def dump(self, value: bool) -> JsonValue:
        return value

    def describe(self) -> dict[str, Any]:
        return {"type": "boolean"}


_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)


def _parse_decimal(raw: Any, at: str) -> Decimal:
    if not isinstance(raw, str) or len(raw) > DECIMAL_DIGITS_MAX + 2 or not _DECIMAL.fullmatch(raw):
        raise _misfit(at, "not-a-decimal", 'must be a decimal number in a string, such as "12.50"')
    return Decimal(raw)


def _fit_decimal(value: Any, digits: int, scale: int, at: str) -> Decimal:
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise _misfit(at, "not-a-decimal", "must be a finite decimal number")
    try:
        fitted = value.quantize(Decimal(1).scaleb(-scale))
    except InvalidOperation:
        raise _misfit(at, "too-large", f"must have at most {digits} digits") from None
    if fitted != value:
        raise _misfit(at, "scale-exceeded", f"must have at most {scale} digits after the point")
    if abs(fitted) >= Decimal(10) ** (digits - scale):
        raise _misfit(at, "too-large", f"must have at most {digits - scale} digits before the point")
    return abs(fitted) if fitted == 0 else fitted  # no negative zero


@dataclass(frozen=True, slots=True)
class DecimalType:
    """An exact decimal of `digits` digits in all, `scale` of them after the point."""

    digits: int = 18
    scale: int = 6
    ge: Decimal | None = None
    le: Decimal | None = None

    def parse(self, raw: Any, at: str) -> Decimal:
        return self.fit(_parse_decimal(raw, at), at)

    def fit(self, value: Any, at: str) -> Decimal:
        fitted = _fit_decimal(value, self.digits, self.scale, at)
        _bounded(fitted, self.ge, self.le, at)
        return fitted

    def dump(self, value: Decimal) -> JsonValue:
        return f"{value:.{self.scale}f}"

    def describe(self) -> dict[str, Any]:
        return {"type": "decimal", "digits": self.digits, "scale": self.scale, **_bounds(self.ge, self.le, str)}


@dataclass(frozen=True, slots=True)
class MoneyType:
    """An amount of one declared currency, in its minor unit's scale."""

    currency: str
    scale: int
    digits: int = 18
    ge: Decimal | None = None
    le: Decimal | None = None

    def parse(self, raw: Any, at: str) -> Money:
        if not isinstance(raw, Mapping) or set(raw) != {"amount", "currency"}:  # pyright: ignore[reportUnknownArgumentType]
            raise _misfit(at, "not-money", 'must be an object of exactly "amount" and "currency"')
        members: Mapping[str, Any] = raw
        if members["currency"] != self.currency:
            raise _misfit(f"{at}/currency", "currency-mismatch", f"must be {self.currency}")
        amount = _parse_decimal(members["amount"], f"{at}/amount")
        return self._within(amount, f"{at}/amount")

    def _within(self, amount: Any, at: str) -> Money:
        fitted = _fit_decimal(amount, self.digits, self.scale, at)
        _bounded(fitted, self.ge, self.le, at)
        return Money(fitted, self.currency)

    def fit(self, value: Any, at: str) -> Money:
        if not isinstance(value, Money) or value.currency != self.currency:
            raise _misfit(at, "currency-mismatch", f"must be money in {self.currency}")
        return self._within(value.amount, at)

    def dump(self, value: Money) -> JsonValue:
        return {"amount": f"{value.amount:.{self.scale}f}", "currency": value.currency}

    def describe(self) -> dict[str, Any]:
        size = {"currency": self.currency, "digits": self.digits, "scale": self.scale}
        return {"type": "money", **size, **_bounds(self.ge, self.le, str)}


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_DURATION = re.compile(r"(-)?P(?:([0-9]{1,7})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,11})(?:\.([0-9]{1,6}))?S)?)?")
_INSTANT_MIN = datetime(1, 1, 2, tzinfo=UTC)
_INSTANT_MAX = datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DateType:
    """A calendar day, written 2026-11-21."""

    def parse(self, raw: Any, at: str) -> date:
        if isinstance(raw, str) and _DATE.fullmatch(raw):
            try:
                return date.fromisoformat(raw)
            except ValueError:
                pass
        raise _misfit(at, "not-a-date", "must be a date such as 2026-11-21")

    def fit(self, value: Any, at: str) -> date:
        if isinstance(value, datetime) or not isinstance(value, date):
            raise _misfit(at, "not-a-date", "must be a date")
        return value

    def dump(self, value: date) -> JsonValue:
        return value.isoformat()

    def describe(self) -> dict[str, Any]:
        return {"type": "date"}


@dataclass(frozen=True, slots=True)
class DateTimeType:
    """An instant (RFC 3339), kept in UTC to the microsecond."""

    def parse(self, raw: Any, at: str) -> datetime:
        if isinstance(raw, str) and _DATETIME.fullmatch(raw):
            try:
                return self.fit(datetime.fromisoformat(raw.upper()), at)
            except (ValueError, OverflowError):
                pass
        raise _misfit(at, "not-an-instant", "must be an RFC 3339 time with offset, such as 2026-11-21T09:30:00Z")

    def fit(self, value: Any, at: str) -> datetime:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise _misfit(at, "not-an-instant", "must be a time with its offset from UTC")
        if not _INSTANT_MIN <= value <= _INSTANT_MAX:
            raise _misfit(at, "out-of-range", "must lie within the years 1 to 9999")
        return value.astimezone(UTC)

    def dump(self, value: datetime) -> JsonValue:
        return instant(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "instant"}


def instant(value: datetime) -> str:
    """Write an instant in UTC with six digits of a second: 2026-11-21T09:30:00.000000Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


@dataclass(frozen=True, slots=True)
class DurationType:
    """A length of time (ISO 8601: days, hours, minutes, seconds; no months or years)."""

    def parse(self, raw: Any, at: str) -> timedelta:
        match = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
        if match is None or not any(match.groups()[1:]):
            raise _misfit(at, "not-a-duration", "must be a duration such as P14D or PT1H30M")
        sign, days, hours, minutes, seconds, fraction = match.groups()
        micros = int((fraction or "").ljust(6, "0"))
        length = timedelta(int(days or 0), int(seconds or 0), micros, 0, int(minutes or 0), int(hours or 0))
        return self.fit(-length if sign else length, at)

    def fit(self, value: Any, at: str) -> timedelta:
        if not isinstance(value, timedelta):
            raise _misfit(at, "not-a-duration", "must be a duration")
        if abs(value) > timedelta(days=3_650_000):
            raise _misfit(at, "out-of-range", "must be at most 3,650,000 days")
        return value

    def dump(self, value: timedelta) -> JsonValue:
        micros = value // timedelta(microseconds=1)
        seconds, rest = divmod(abs(micros), 1_000_000)
        fraction = f".{rest:06d}" if rest else ""
        return f"{'-' if micros < 0 else ''}PT{seconds}{fraction}S"

    def describe(self) -> dict[str, Any]:
        return {"type": "duration"}


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UuidType:
    """A UUID in its lower-case form with hyphens."""

    def parse(self, raw: Any, at: str) -> UUID:
        if not isinstance(raw, str) or not _UUID.fullmatch(raw):
            raise _misfit(at, "not-a-uuid", "must be a UUID in lower case with hyphens")
        return UUID(raw)

    def fit(self, value: Any, at: str) -> UUID:
        if not isinstance(value, UUID):
            raise _misfit(at, "not-a-uuid", "must be a UUID")
        return value

    def dump(self, value: UUID) -> JsonValue:
        return str(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "uuid"}


@dataclass(frozen=True, slots=True)
class Reference:
    """The id of another record; `entity` is the name of its entity."""

    entity: str

    def parse(self, raw: Any, at: str) -> UUID:
        return UuidType().parse(raw, at)

    def fit(self, value: Any, at: str) -> UUID:
        return UuidType().fit(value, at)

    def dump(self, value: UUID) -> JsonValue:
        return str(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "reference", "entity": self.entity}


@dataclass(frozen=True, slots=True)
class EnumType:
    """One of the values of an `enum.Enum` whose values are strings."""

    name: str
    values: tuple[str, ...]
    python: type[Enum] = field(compare=False)

    def parse(self, raw: Any, at: str) -> Enum:
        if not isinstance(raw, str) or raw not in self.values:
            raise _misfit(at, "not-an-option", f"must be one of {', '.join(self.values)}")
        return self.python(raw)

    def fit(self, value: Any, at: str) -> Enum:
        if not isinstance(value, self.python):
            raise _misfit(at, "not-an-option", f"must be one of {', '.join(self.values)}")
        return value

    def dump(self, value: Enum) -> JsonValue:
        return str(value.value)

    def describe(self) -> dict[str, Any]:
        return {"type": "enum", "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class ListOf:
    """At most `max_items` values of one type, in order."""

    item: ValueType
    max_items: int = LIST_ITEMS_MAX

    def parse(self, raw: Any, at: str) -> tuple[Value, ...]:
        return self._each(raw, at, self.item.parse)

    def fit(self, value: Any, at: str) -> tuple[Value, ...]:
        return self._each(value, at, self.item.fit)

    def _each(self, raw: Any, at: str, read: Callable[[Any, str], Value]) -> tuple[Value, ...]:
        if not isinstance(raw, list | tuple):
            raise _misfit(at, "not-a-list", "must be a list")
        items: list[Any] = list(raw)  # pyright: ignore[reportUnknownArgumentType]
        if len(items) > self.max_items:
            raise _misfit(at, "too-many", f"must have at most {self.max_items} items")
        values, flaws = list[Value](), list[Flaw]()
        for index, item in enumerate(items):
            try:
                values.append(read(item, f"{at}/{index}"))
            except Misfit as misfit:
                flaws.extend(misfit.flaws)
        if flaws:
            raise Misfit(*flaws)
        return tuple(values)

    def dump(self, value: tuple[Value, ...]) -> JsonValue:
        return [self.item.dump(item) for item in value]

    def describe(self) -> dict[str, Any]:
        return {"type": "list", "item": self.item.describe(), "max_items": self.max_items}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a value object. `optional`: may be None, and absent on the wire."""

    name: str
    type: ValueType
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """A small value object: a frozen dataclass of plain members."""

    name: str
    members: tuple[Member, ...]
    python: Callable[..., Any] = field(compare=False)

    def parse(self, raw: Any, at: str) -> Value:
        if not isinstance(raw, Mapping):
            raise _misfit(at, "not-an-object", "must be an object")
        given: Mapping[str, Any] = raw
        values, flaws = parse_members(self.members, given, at)
        if flaws:
            raise Misfit(*flaws)
        return self.python(**{member.name: values.get(member.name) for member in self.members})

    def fit(self, value: Any, at: str) -> Value:
        if not isinstance(self.python, type) or not isinstance(value, self.python):
            raise _misfit(at, "not-an-object", f"must be a {self.name}")
        for member in self.members:
            held = getattr(value, member.name)
            if held is None and member.optional:
                continue
            member.type.fit(held, f"{at}/{member.name}")
        return value

    def dump(self, value: Any) -> JsonValue:
        held = {member.name: getattr(value, member.name) for member in self.members}
        return {m.name: None if held[m.name] is None else m.type.dump(held[m.name]) for m in self.members}

    def describe(self) -> dict[str, Any]:
        members = {m.name: {**m.type.describe(), "optional": m.optional} for m in self.members}
        return {"type": "object", "members": members}


def parse_members(members: tuple[Member, ...], given: Mapping[str, Any], at: str) -> tuple[dict[str, Value], list[Flaw]]:
    """Read the members of a JSON object; every flaw is collected, unknown members are flaws.

    null and absent mean the same: no value.
    """
    values, flaws = dict[str, Value](), list[Flaw]()
    known = {member.name for member in members}
    flaws.extend(Flaw(f"{at}/{escape(name)}", "unknown", "is not declared") for name in given if name not in known)
    for member in members:
        raw = given.get(member.name)
        here = f"{at}/{member.name}"
        if raw is None:
            if not member.optional:
                flaws.append(Flaw(here, "missing", "is required"))
            continue
        try:
            values[member.name] = member.type.parse(raw, here)
        except Misfit as misfit:
            flaws.extend(misfit.flaws)
    return values, flaws


def escape(name: str) -> str:
    """Write a hostile member name into a JSON pointer: printable ASCII, at most 40 characters."""
    shown = name[:40].replace("~", "~0").replace("/", "~1")
    return "".join(character if " " <= character < "\x7f" else "?" for character in shown)


def _bounds(ge: Any, le: Any, write: Callable[[Any], Any]) -> dict[str, Any]:
    return {key: write(bound) for key, bound in (("ge", ge), ("le", le)) if bound is not None}
