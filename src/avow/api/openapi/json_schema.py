"""Value types as JSON Schema (2020-12), so that a document says what `model.types` accepts.

It must never promise a value that would be refused. Where JSON Schema can't say it (bounds of a
decimal in a string), the description does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from avow.canonical import INTEGER_MAX
from avow.model import types as kinds
from avow.model.article import with_article
from avow.model.private import PRIVATE, PrivateType
from avow.model.types import ValueType

Schema: TypeAlias = dict[str, Any]

ID: Final[Schema] = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
"""What an id looks like: hyphenated, in lower case."""

_NO_NUL: Final = "^[^\\u0000]*$"
# Leaves out the first and last days of the calendar, which an offset could move beyond it.
_INSTANT: Final = (
    "^(?!0000|0001-01-0[12]|9999-12-(?:29|3))[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-5][0-9](?:\\.[0-9]{1,6})?"
    "(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
# Digits are bounded so that whatever matches is within the longest duration.
_DURATION: Final = (
    "^-?P(?=[0-9T])(?:[0-9]{1,6}D)?"
    "(?:T(?=[0-9])(?:[0-9]{1,7}H)?(?:[0-9]{1,9}M)?(?:[0-9]{1,11}(?:\\.[0-9]{1,6})?S)?)?$"
)
# What Python's regular expressions have and those of JSON Schema (ECMA-262) lack or read otherwise.
_PYTHON_ONLY: Final = re.compile(r"\(\?(?![:=!]|<[=!])|\\[AZabGgz]|[*+?}]\+|\[[^\]]*(?:--|&&|\|\||~~)")
_DECIMAL_CHARACTERS_MAX: Final = kinds.DECIMAL_DIGITS_MAX + 3


def schema_of(kind: ValueType) -> Schema:
    """The schema of a value as it stands in JSON; raises ValueError for a type that isn't known."""
    match kind:
        case kinds.Text(max_length, min_length, pattern):
            return _text(max_length, min_length, pattern)
        case kinds.SubjectType():
            return {**_text(kinds.SUBJECT_LENGTH_MAX, 1, None), "description": "A person or program."}
        case kinds.Integer(ge, le):
            return _integer(ge, le)
        case kinds.Boolean():
            return {"type": "boolean"}
        case kinds.DecimalType(digits, scale, ge, le):
            return _decimal(digits, scale, ge, le)
        case kinds.MoneyType(currency, scale, digits, ge, le):
            amount = _decimal(digits, scale, ge, le)
            return closed_object({"amount": amount, "currency": {"const": currency}}, ["amount", "currency"])
        case kinds.EnumType(_, values):
            return {"type": "string", "enum": list(values)}
        case kinds.Reference(entity):
            return {**ID, "description": f"The id of {with_article(entity)}."}
        case kinds.ListOf(item, max_items):
            return {"type": "array", "items": schema_of(item), "maxItems": max_items}
        case kinds.ObjectOf(_, members):
            properties = {m.name: nullable(schema_of(m.type), m.optional) for m in members}
            return closed_object(properties, [m.name for m in members if not m.optional])
        case PrivateType():
            digest: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}
            note = "Private: the digest of a salted disclosure (RFC 9901) stands for the value."
            return described(closed_object({PRIVATE: digest}, [PRIVATE]), note)
        case _:
            return _of_time(kind)


def argument_schema(kind: ValueType) -> Schema:
    """The schema of a value as a caller gives it: what is private is given in clear."""
    if not isinstance(kind, PrivateType):
        return schema_of(kind)
    note = "Private: it is kept encrypted, and never shown but by a command that reveals it."
    return {**described(schema_of(kind.inner), note), "writeOnly": True, "x-avow-private": kind.of}


def closed_object(properties: Schema, required: Iterable[str]) -> Schema:
    """An object of exactly these members."""
    needed = list(required)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": needed} if needed else schema


def nullable(schema: Schema, optional: bool = True) -> Schema:
    """The same schema, which also admits null if `optional`."""
    if not optional:
        return schema
    admitted: Schema = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        admitted["enum"] = [*schema["enum"], None]
    return admitted


def described(schema: Schema, *sentences: str) -> Schema:
    """The same schema with further sentences in its description."""
    text = " ".join(sentence for sentence in (schema.get("description", ""), *sentences) if sentence)
    return {**schema, "description": text} if text else schema


def _of_time(kind: ValueType) -> Schema:
    match kind:
        case kinds.DateType():
            return {"type": "string", "format": "date"}
        case kinds.DateTimeType():
            note = "RFC 3339 with offset, kept in UTC to the microsecond; years 1 to 9999, no leap second."
            return {"type": "string", "format": "date-time", "pattern": _INSTANT, "description": note}
        case kinds.DurationType():
            note = "ISO 8601 days, hours, minutes and seconds: P14D, PT1H30M. Answers are in seconds."
            return {"type": "string", "pattern": _DURATION, "description": note}
        case kinds.UuidType():
            return dict(ID)
        case _:
            raise ValueError(f"no schema for {type(kind).__name__}")


def _text(max_length: int, min_length: int, pattern: str | None) -> Schema:
    schema: Schema = {"type": "string", "maxLength": max_length, "pattern": _NO_NUL}
    if min_length:
        schema["minLength"] = min_length
    if pattern is None:
        return schema
    if _PYTHON_ONLY.search(pattern):
        return described(schema, f"All of it matches the Python regular expression {pattern}")
    return {**schema, "allOf": [{"pattern": f"^(?:{pattern})$"}]}


def _integer(ge: int | None, le: int | None) -> Schema:
    least = -INTEGER_MAX if ge is None else max(ge, -INTEGER_MAX)
    most = INTEGER_MAX if le is None else min(le, INTEGER_MAX)
    note = "Written without point or exponent."
    return {"type": "integer", "format": "int64", "minimum": least, "maximum": most, "description": note}


def _decimal(digits: int, scale: int, ge: Decimal | None, le: Decimal | None) -> Schema:
    before = digits - scale
    whole = "0" if before == 0 else f"(?:0|[1-9][0-9]{{0,{before - 1}}})"
    fraction = f"(?:\\.[0-9]{{1,{scale}}}0*)?" if scale else "(?:\\.0+)?"
    sign = "-?"
    if ge is not None and ge >= 0:
        # Zero may carry a sign; it is dropped.
        sign = "(?:-(?=0(?:\\.0+)?$))?" if ge == 0 else ""
    note = f"A decimal number of at most {digits} digits, {scale} of them after the point."
    bounds = [f"At least {ge}." if ge is not None else "", f"At most {le}." if le is not None else ""]
    size: Schema = {
        "type": "string",
        "pattern": f"^{sign}{whole}{fraction}$",
        "maxLength": _DECIMAL_CHARACTERS_MAX,
    }
    return described(size, note, *bounds)
