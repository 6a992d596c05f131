"""Dropping old entries from the database, a few thousand leaves at a time, each in a statement of its own.

It must never be asked for entries that aren't exported: who calls it has checked the export.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from avow.store.driver import Connection
from avow.store.statements import text

LEAVES_MAX = 16_384
"""How many leaves' entries one statement drops: a second or so of work."""


@dataclass(frozen=True, slots=True)
class Droppable:
    """What would be dropped of a log. done: leaves whose entries were before. leaves: how many more.
    entries: how many entries those leaves and earlier ones still have, each record's newest included."""

    done: int
    leaves: int
    entries: int


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be dropped: the entries of the first `upto` leaves of a log, and what is kept about that."""

    epoch: int
    upto: int
    exported_to: str
    subject: str
    reason: str


async def droppable(connection: Connection, epoch: int, upto: int) -> Droppable:
    """What would be dropped, and isn't yet."""
    return Droppable(*await connection.fetchrow(text("sealing.sql", "drop_preview"), epoch, upto))


async def drop(connection: Connection, order: Order, say: Callable[[int], None]) -> int:
    """Drop it; gives back of how many leaves. Stopped anywhere, it goes on when it is asked again."""
    total = 0
    while count := await _drop_some(connection, order):
        total += count
        say(total)
    return total


async def _drop_some(connection: Any, order: Order) -> int:
    return await connection.fetchval(
        text("sealing.sql", "drop_entries"),
        order.epoch, order.upto, LEAVES_MAX, order.exported_to, order.subject, order.reason,
    )  # fmt: skip
