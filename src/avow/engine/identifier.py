"""Ids of records, commands and requests: UUID version 7 (RFC 9562), ordered by the time they were made."""

from __future__ import annotations

import os
import time
from typing import Final
from uuid import UUID

from avow.store.driver import Id

_VARIANTS: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""A random hexadecimal digit, with its upper two bits made those of RFC 9562."""


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, 74 random bits."""
    return Id(new_id_text())


def new_id_text() -> str:
    """The same as text, without the object: for what is only named."""
    time_digits = f"{time.time_ns() // 1_000_000:012x}"
    chance = os.urandom(10).hex()  # 20 digits, of which 18 and two bits are used
    variant = _VARIANTS[chance[3]]
    return f"{time_digits[:8]}-{time_digits[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[7:19]}"
