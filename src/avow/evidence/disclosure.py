"""Disclosures: what a salted digest stands for, in the encoding of RFC 9901 (SD-JWT), section 4.2.

Pure: the salt is an argument. Whoever holds a disclosure can show it to others beside an audit entry, and
they can check that the entry has its digest; whoever doesn't can't find out the value, however few there are.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final, NamedTuple

from avow.canonical import JsonValue

SALT_BYTES: Final = 16
"""128 bits, as RFC 9901 recommends: too many to be tried with each possible value."""


class Disclosed(NamedTuple):
    """What a disclosure says."""

    salt: bytes
    name: str
    value: Any


def disclosure(salt: bytes, name: str, value: JsonValue) -> str:
    """The disclosure of one named value."""
    return _encode(json.dumps([_encode(salt), name, value], ensure_ascii=False).encode())


def digest(text: str) -> str:
    """What stands for a disclosure: the SHA-256 of its text, in base64url without padding."""
    return _encode(sha256(text.encode("ascii")).digest())


def disclosed(text: str) -> Disclosed:
    """What a disclosure says. Raises ValueError for a text that is none."""
    held: Any = json.loads(_decode(text))
    if not isinstance(held, list) or len(held) != 3:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueError("a disclosure is an array of salt, name and value")
    salt, name, value = held  # pyright: ignore[reportUnknownVariableType]
    return Disclosed(_decode(str(salt)), str(name), value)  # pyright: ignore[reportUnknownArgumentType]


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
