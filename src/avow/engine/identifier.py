"""Ids of records, commands and requests: UUID version 7 (RFC 9562), ordered by the time they were made."""

from __future__ import annotations

import os
import time
from typing import Final
from uuid import UUID

# Of the 128 bits, which say version and variant, and how they are set.
_FIXED: Final = 0xF << 76 | 0x3 << 62
_VERSION_7: Final = 0x7 << 76 | 0x2 << 62
_FREE: Final = (1 << 128) - 1 - _FIXED


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, 74 random bits."""
    return UUID(int=_fresh())


def new_id_text() -> str:
    """The same as text, without the object: for what is only named, never compared."""
    digits = f"{_fresh():032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _fresh() -> int:
    milliseconds = time.time_ns() // 1_000_000
    return (milliseconds << 80 | int.from_bytes(os.urandom(10), "big")) & _FREE | _VERSION_7
