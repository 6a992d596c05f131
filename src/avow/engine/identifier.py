"""Ids of records, commands and requests: UUID version 7 (RFC 9562), ordered by the time they were made."""

from __future__ import annotations

import os
import time
from typing import Final
from uuid import UUID

from avow.store.driver import Id

_CHANCE: Final = (1 << 76) - 1 ^ 0b11 << 62
"""Which of the lower 80 bits are random: neither the version's four nor the variant's two."""
_FIXED: Final = 7 << 76 | 0b10 << 62
"""Version 7, and the variant of RFC 9562."""


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, 74 random bits."""
    milliseconds, chance = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")
    return Id((milliseconds << 80 | _FIXED | chance & _CHANCE).to_bytes(16, "big"))


def new_id_text() -> str:
    """The same as text."""
    return str(new_id())
