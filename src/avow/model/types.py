"""The types of fields: which values there are, and how each is written as JSON.

One encoding serves the wire and the audit log. Integers are JSON numbers of at most 53 bits; whatever
JSON numbers can't carry exactly (decimals, money, times) is a string. Nothing is coerced: `"1"`, `1.0`
and `true` are not integers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast
from uuid import UUID

from avow.canonical import INTEGER_MAX, JsonValue
from avow.model.article import with_article
from avow.model.exact import DECIMAL_DIGITS_MAX, DecimalType, MoneyType
from avow.model.flaw import Flaw, Misfit, Value, ValueType, demand_within, misfit
from avow.model.times import DateTimeType, DateType, DurationType, instant
from avow.model.values import Subject

__all__ = [
    "DECIMAL_DIGITS_MAX", "LIST_ITEMS_MAX", "SUBJECT_LENGTH_MAX", "TEXT_LENGTH_MAX",
    "Boolean", "DateTimeType", "DateType", "DecimalType", "DurationType", "EnumType", "Flaw", "Integer",
    "ListOf", "Member", "Misfit", "MoneyType", "ObjectOf", "Reference", "SubjectType", "Text", "UuidType",
    "Value", "ValueType", "escape", "instant", "parse_members",
]  # fmt: skip

TEXT_LENGTH_MAX = 1_000
SUBJECT_LENGTH_MAX = 255
LIST_ITEMS_MAX = 100


_SURROGATE = re.compile("[\\ud800-\\udfff]")


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
            raise misfit(at, "not-a-string", "must be a string")
        if len(value) < self.min_length:
            raise misfit(at, "too-short", f"must have at least {self.min_length} characters")
        if len(value) > self.max_length:
            raise misfit(at, "too-long", f"must have at most {self.max_length} characters")
        if "\x00" in value:
            raise misfit(at, "character-refused", "must not hold the character U+0000")
        if not value.isascii() and _SURROGATE.search(value):
            raise misfit(at, "character-refused", "must not hold a lone surrogate")
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            raise misfit(at, "pattern-mismatch", "must match the declared pattern")
        return value if type(value) is str else str.__str__(value)

    def dump(self, value: str) -> JsonValue:
        return value

    def describe(self) -> dict[str, Any]:
        extra: dict[str, Any] = {} if self.pattern is None else {"pattern": self.pattern}
        return {"type": "text", "max_length": self.max_length, "min_length": self.min_length, **extra}


_SUBJECT = Text(SUBJECT_LENGTH_MAX, 1)


@dataclass(frozen=True, slots=True)
class SubjectType:
    """A `Subject`: 1 to 255 characters."""

    def parse(self, raw: Any, at: str) -> Subject:
        return self.fit(raw, at)

    def fit(self, value: Any, at: str) -> Subject:
        return Subject(_SUBJECT.fit(value, at))

    def dump(self, value: Subject) -> JsonValue:
        return str(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "subject"}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number of at most 53 bits, so that every JSON reader keeps it exactly."""

    ge: int | None = None
    le: int | None = None

    def fit(self, value: Any, at: str) -> int:
        if type(value) is not int:
            raise misfit(at, "not-an-integer", "must be an integer, written without point or exponent")
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise misfit(at, "out-of-range", "must lie within plus or minus 2^53 - 1")
        if self.ge is not None or self.le is not None:
            demand_within(value, self.ge, self.le, at)
        return value

    parse = fit

    def dump(self, value: int) -> JsonValue:
        return value

    def describe(self) -> dict[str, Any]:
        bounds = {key: bound for key, bound in (("ge", self.ge), ("le", self.le)) if bound is not None}
        return {"type": "integer", **bounds}


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""

    def fit(self, value: Any, at: str) -> bool:
        if type(value) is not bool:
            raise misfit(at, "not-a-boolean", "must be true or false")
        return value

    parse = fit

    def dump(self, value: bool) -> JsonValue:
        return value

    def describe(self) -> dict[str, Any]:
        return {"type": "boolean"}


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UuidType:
    """A UUID in its lower-case form with hyphens."""

    def parse(self, raw: Any, at: str) -> UUID:
        if not isinstance(raw, str) or not _UUID.fullmatch(raw):
            raise misfit(at, "not-a-uuid", "must be a UUID in lower case with hyphens")
        return UUID(raw)

    def fit(self, value: Any, at: str) -> UUID:
        if not isinstance(value, UUID):
            raise misfit(at, "not-a-uuid", "must be a UUID")
        return value

    def dump(self, value: UUID) -> JsonValue:
        return str(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "uuid"}


_ID = UuidType()


@dataclass(frozen=True, slots=True)
class Reference:
    """The id of another record; `entity` is the name of its entity."""

    entity: str

    def parse(self, raw: Any, at: str) -> UUID:
        return _ID.parse(raw, at)

    def fit(self, value: Any, at: str) -> UUID:
        return _ID.fit(value, at)

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
            raise misfit(at, "not-an-option", f"must be one of {', '.join(self.values)}")
        return self.python(raw)

    def fit(self, value: Any, at: str) -> Enum:
        if not isinstance(value, self.python):
            raise misfit(at, "not-an-option", f"must be one of {', '.join(self.values)}")
        return value

    def dump(self, value: Enum) -> JsonValue:
        return str(value.value)

    def describe(self) -> dict[str, Any]:
        return {"type": "enum", "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class ListOf:
    """At most `max_items` values of one type, in order; kept as a tuple.

    python: what bodies see, `tuple` or `list`, as it was annotated.
    """

    item: ValueType
    max_items: int = LIST_ITEMS_MAX
    python: type = field(default=tuple, compare=False)

    def parse(self, raw: Any, at: str) -> tuple[Value, ...]:
        return self._each(raw, at, self.item.parse)

    def fit(self, value: Any, at: str) -> tuple[Value, ...]:
        return self._each(value, at, self.item.fit)

    def _each(self, raw: Any, at: str, read: Callable[[Any, str], Value]) -> tuple[Value, ...]:
        if not isinstance(raw, list | tuple):
            raise misfit(at, "not-a-list", "must be a list")
        items = cast("list[Any] | tuple[Any, ...]", raw)
        if len(items) > self.max_items:
            raise misfit(at, "too-many", f"must have at most {self.max_items} items")
        values: list[Value] = []
        flaws: list[Flaw] = []
        for index, item in enumerate(items):
            try:
                values.append(read(item, f"{at}/{index}"))
            except Misfit as misfits:
                flaws.extend(misfits.flaws)
        if flaws:
            raise Misfit(*flaws)
        return tuple(values)

    def dump(self, value: tuple[Value, ...]) -> JsonValue:
        return [self.item.dump(item) for item in value]

    def describe(self) -> dict[str, Any]:
        return {"type": "list", "item": self.item.describe(), "max_items": self.max_items}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a value object.

    optional:  may be None, and absent on the wire.
    defaulted: may be absent on the wire; the object itself knows its value.
    """

    name: str
    type: ValueType
    optional: bool = False
    defaulted: bool = False


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """A small value object: a frozen dataclass of plain members."""

    name: str
    members: tuple[Member, ...]
    python: Callable[..., Any] = field(compare=False)

    def parse(self, raw: Any, at: str) -> Value:
        if not isinstance(raw, Mapping):
            raise misfit(at, "not-an-object", "must be an object")
        values, flaws = parse_members(self.members, cast(Mapping[str, Any], raw), at)
        if flaws:
            raise Misfit(*flaws)
        given = {m.name: values.get(m.name) for m in self.members if m.name in values or not m.defaulted}
        return self._made(given, at)

    def _made(self, values: dict[str, Value], at: str) -> Value:
        """The object of these members; its own checks may refuse them with a ValueError."""
        try:
            return self.python(**values)
        except ValueError:
            raise misfit(at, "object-refused", f"{self.name} refuses these members together") from None

    def fit(self, value: Any, at: str) -> Value:
        if not isinstance(self.python, type) or not isinstance(value, self.python):
            raise misfit(at, "not-an-object", f"must be {with_article(self.name)}")
        fitted: dict[str, Value] = {}
        flaws: list[Flaw] = []
        for member in self.members:
            held = getattr(value, member.name)
            try:
                none = held is None and member.optional
                fitted[member.name] = None if none else member.type.fit(held, f"{at}/{member.name}")
            except Misfit as misfits:
                flaws.extend(misfits.flaws)
        if flaws:
            raise Misfit(*flaws)
        same = all(fitted[member.name] is getattr(value, member.name) for member in self.members)
        return value if same and type(value) is self.python else self._made(fitted, at)

    def dump(self, value: Any) -> JsonValue:
        held = {member.name: getattr(value, member.name) for member in self.members}
        return {m.name: None if held[m.name] is None else m.type.dump(held[m.name]) for m in self.members}

    def describe(self) -> dict[str, Any]:
        members = {m.name: {**m.type.describe(), "optional": m.optional or m.defaulted} for m in self.members}
        return {"type": "object", "members": members}


def parse_members(
    members: tuple[Member, ...], given: Mapping[str, Any], at: str
) -> tuple[dict[str, Value], list[Flaw]]:
    """Read the members of a JSON object; every flaw is collected, unknown members are flaws.

    null and absent mean the same: no value.
    """
    values: dict[str, Value] = {}
    flaws: list[Flaw] = []
    known = 0
    for member in members:
        name = member.name
        raw = given.get(name)
        if raw is None:
            known += name in given
            if not (member.optional or member.defaulted):
                flaws.append(Flaw(f"{at}/{name}", "missing", "is required"))
            continue
        known += 1
        try:
            values[name] = member.type.parse(raw, f"{at}/{name}")
        except Misfit as misfits:
            flaws.extend(misfits.flaws)
    return values, flaws if known == len(given) else [*_unknown(members, given, at), *flaws]


def _unknown(members: tuple[Member, ...], given: Mapping[str, Any], at: str) -> list[Flaw]:
    known = {member.name for member in members}
    unknown = [name for name in given if name not in known]
    return [Flaw(f"{at}/{escape(name)}", "unknown", "is not declared") for name in unknown]


def escape(name: str) -> str:
    """Write a hostile member name into a JSON pointer: printable ASCII, at most 40 characters."""
    shown = name[:40].replace("~", "~0").replace("/", "~1")
    return "".join(character if " " <= character < "\x7f" else "?" for character in shown)
