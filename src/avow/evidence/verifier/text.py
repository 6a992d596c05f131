"""Texts that can be written in one way only: numbers, base64, canonical JSON. All else is Invalid."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, cast

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly; ours write no larger one."""
SIZE_MAX = 2**63 - 1
HASH_BYTES = 32
DEPTH_MAX = 64
"""How deep a JSON value may be nested: more than any declaration needs, and no program's limit."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Invalid(Exception):
    """What was given proves nothing; the message says why."""


def after(word: str, line: str) -> str:
    """What stands in a line behind the word that it begins with. Raises Invalid where it doesn't."""
    if not line.startswith(word):
        raise Invalid(f"there is no line that begins with {word.strip()}")
    return line.removeprefix(word)


def parse_number(text: str) -> int:
    """A number of leaves, or of one, without leading zeros. Raises Invalid."""
    if not _NUMBER.fullmatch(text) or int(text) > SIZE_MAX:
        raise Invalid("not a number from 0 to 2**63 - 1 as a log writes it")
    return int(text)


def parse_base64(text: str) -> bytes:
    """Bytes in base64 (RFC 4648, section 4). Raises Invalid."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise Invalid("not base64") from None
    if b64encode(data).decode() != text:
        raise Invalid("not base64 as it is written")
    return data


def parse_hash(text: str) -> bytes:
    """A SHA-256 in base64. Raises Invalid."""
    data = parse_base64(text)
    if len(data) != HASH_BYTES:
        raise Invalid(f"not a hash of {HASH_BYTES} bytes")
    return data


def parse_object(data: bytes) -> Mapping[str, Any]:
    """A JSON object in canonical form (RFC 8785, without floating point). Raises Invalid."""
    try:
        found: Any = json.loads(data)
        written = canonical(found)
    except (ValueError, RecursionError):
        raise Invalid("not JSON") from None
    if not isinstance(found, dict) or written != data:
        raise Invalid("not a JSON object in canonical form")
    return cast("dict[str, Any]", found)


def canonical(value: Any) -> bytes:
    """A value as canonical JSON. Raises ValueError for what has none, and Invalid for floating point.

    It isn't nested deeper than DEPTH_MAX.
    """
    _demand_exact(value, DEPTH_MAX)
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    ).encode()


def _demand_exact(value: Any, depth: int) -> None:
    match value:
        case dict() | list() if depth == 0:
            raise Invalid(f"it is nested more than {DEPTH_MAX} times")
        case float():
            raise Invalid("there is a number with a point or an exponent, or none at all")
        case int() if abs(value) > INTEGER_MAX:
            raise Invalid("there is an integer of more than 53 bits")
        case dict():
            for name, member in cast("dict[str, Any]", value).items():
                if not name.isascii():
                    raise Invalid("there is a name outside ASCII")
                _demand_exact(member, depth - 1)
        case list():
            for item in cast("list[Any]", value):
                _demand_exact(item, depth - 1)
        case _:
            pass
