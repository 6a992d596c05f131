"""The one place that seals: leaves, nodes and the signed checkpoint over them, committed together or not at
all.

A checkpoint is kept before anybody is shown it, so that a log never says less than it has said. This module
must never sign by itself, nor decide whose log it is: it asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from avow.evidence.merkle import NODE_LEVELS, Stack
from avow.store.driver import Connection
from avow.store.log.reads import split
from avow.store.statements import text

LEAVES_MAX = 4_096
"""How many leaves one checkpoint adds at most: a few milliseconds of work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log stands: its epoch, and how many leaves it has."""

    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A step that was committed. note: the signed checkpoint; None where there was nothing to add."""

    before: Place
    after: Place
    note: str | None

    @property
    def leaves(self) -> int:
        """How many leaves it added."""
        return self.after.size - self.before.size


Sign: TypeAlias = Callable[[Place, Place, bytes, datetime], str]
"""Signs: where the log stood, where it stands with the new leaves, the root over all, the time."""


class Sealing:
    """What the sealer does on its connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lead(self) -> bool:
        """Be the one that seals while this connection lasts; others stand by. False: another one is."""
        return await self._connection.fetchval(text("sealing.sql", "lead"))

    async def begin_log(self, origin: str, key: str) -> bool:
        """Begin the first log of the database. False: there is one already."""
        return await self._connection.fetchval(text("sealing.sql", "begin_log"), origin, key)

    async def due(self) -> bool:
        """Whether a step would find something to do; costs a look at an index."""
        return await self._connection.fetchval(text("sealing.sql", "seal_due"))

    async def step(self, sign: Sign, most: int = LEAVES_MAX) -> Sealed | None:
        """Seal what can be seen and isn't sealed, at most so many entries. None: somebody else is sealing.

        Right with any number of sealers at once, and whatever becomes of the connection: all of a step is
        committed together. What `sign` raises leaves nothing behind.
        """
        async with self._connection.transaction():
            row = await self._connection.fetchrow(text("sealing.sql", "seal_leaves"), most)
            if row["epoch"] is None:
                return None
            before = Place(row["epoch"], row["size"])
            if row["hashes"] is None:
                return Sealed(before, before, None)
            stack = Stack(before.size, row["stack"])
            done = [
                (node.level // NODE_LEVELS, node.place, value)
                for node, value in stack.extend(split(row["hashes"]))
            ]
            after = Place(before.epoch, stack.size)
            note = sign(before, after, stack.root, row["at"])
            await self._connection.execute(
                text("sealing.sql", "seal_root"), after.epoch, after.size, stack.hashes,
                *([each[column] for each in done] for column in range(3)), stack.root, note, row["at"],
            )  # fmt: skip
            return Sealed(before, after, note)

    async def next_epoch(
        self, after: int, origin: str, key: str, reason: str, previous: str | None, sign: Sign
    ) -> Place | None:
        """End the newest log (epoch `after`) and begin another, whose first leaf is the old one's last word.

        previous: a checkpoint from outside that covers more than the database knows of. Needs the owner's
        rights. None: another one was begun meanwhile.
        """
        async with self._connection.transaction():
            epoch = await self._connection.fetchval(
                text("sealing.sql", "next_log"), after, origin, key, reason, previous
            )
            if epoch is None:
                return None
            row = await self._connection.fetchrow(text("sealing.sql", "newest_log"))
            at = await self._connection.fetchval(text("reads.sql", "now"))
            place, root = Place(epoch, 1), Stack(1, row["stack"]).root
            note = sign(place, place, root, at)
            await self._connection.execute(
                text("sealing.sql", "seal_root"), epoch, 1, row["stack"], [], [], [], root, note, at
            )
            return place
