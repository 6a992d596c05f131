"""Ids: fresh ones of records, commands and requests, and ones that follow from names.

A fresh one is a UUID of version 7 (RFC 9562), ordered by the time it was made.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from avow import canonical
from avow.store.driver import Id

_CHANCE: Final = (1 << 76) - 1 ^ 0b11 << 62
"""Which of the lower 80 bits are random: neither the version's four nor the variant's two."""
_FIXED: Final = 7 << 76 | 0b10 << 62
"""Version 7, and the variant of RFC 9562."""
_DRAWN_AT_ONCE: Final = 256
"""For how many ids chance is asked for at once: a call of the system costs more than all else here."""

_drawn = list[int]()
os.register_at_fork(after_in_child=_drawn.clear)


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, 74 random bits."""
    try:
        lower = _drawn.pop()
    except IndexError:
        lower = _draw()
    return Id((time.time_ns() // 1_000_000 << 80 | lower).to_bytes(16, "big"))


def _draw() -> int:
    """The lower 80 bits of an id, from the system's source of chance; those of the next ids are put aside."""
    chance = os.urandom(10 * _DRAWN_AT_ONCE)
    parts = [chance[at : at + 10] for at in range(0, len(chance), 10)]
    _drawn.extend([_FIXED | int.from_bytes(part, "big") & _CHANCE for part in parts])
    return _drawn.pop()


def new_id_text() -> str:
    """The same as text."""
    return str(new_id())


def id_of(names: Sequence[str]) -> UUID:
    """The one id of these names, in this order: what is kept under a key is found again by it."""
    return UUID(bytes=canonical.digest(canonical.encode_trusted(names))[:16])
