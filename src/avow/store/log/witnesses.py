"""Cosignatures: kept beside the checkpoints that they are for. It must never ask a witness."""

from __future__ import annotations

from avow.store.log.reads import Borrow, StoredCheckpoint
from avow.store.statements import text


class Cosignatures:
    """What witnesses signed, over a pool's `borrow`, or over one connection that `lead` belongs to."""

    def __init__(self, borrow: Borrow) -> None:
        self._borrow = borrow

    async def lead(self) -> bool:
        """Be the one that asks witnesses while this connection lasts. False: another one is."""
        async with self._borrow() as connection:
            return await connection.fetchval(text("witnesses.sql", "leads_witnessing"))

    async def keep(self, epoch: int, size: int, key: str, line: str) -> None:
        """Keep the line that the witness of this verifier key signed a checkpoint with."""
        async with self._borrow() as connection:
            await connection.fetchval(text("witnesses.sql", "keep_cosignature"), epoch, size, key, line)

    async def size(self, epoch: int, key: str) -> int:
        """The size of the largest checkpoint that a witness has signed; 0 for none."""
        async with self._borrow() as connection:
            return await connection.fetchval(text("witnesses.sql", "cosigned_size"), epoch, key)

    async def lines(self, epoch: int, size: int) -> list[tuple[str, str]]:
        """The lines that witnesses signed a checkpoint with, each with the verifier key it is kept under."""
        async with self._borrow() as connection:
            rows = await connection.fetch(text("witnesses.sql", "cosignatures"), epoch, size)
        return [(row[0], row[1]) for row in rows]

    async def checkpoint_over(self, epoch: int, index: int) -> StoredCheckpoint | None:
        """Of the checkpoints over a leaf, the first of those that the most witnesses stand for."""
        async with self._borrow() as connection:
            row = await connection.fetchrow(text("witnesses.sql", "most_witnessed"), epoch, index)
        return None if row is None else StoredCheckpoint(*row)

    async def newest_checkpoint(self, epoch: int) -> StoredCheckpoint | None:
        """Of the last witnessed checkpoints, the newest of those that the most witnesses stand for."""
        async with self._borrow() as connection:
            row = await connection.fetchrow(text("witnesses.sql", "newest_witnessed"), epoch)
        return None if row is None else StoredCheckpoint(*row)
