"""Writing the logs of a database as files, checked as they are read, and going on where it broke off.

What is written is what a checkpoint covers: every header must have its leaf's hash, and all leaves must come
to the root that was signed. It must never write the checkpoint of something that it has not checked, nor of
a log that doesn't go on from the checkpoint that is in the folder already.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from avow.canonical import leaf_hash
from avow.engine.log.tiles import WIDTH, Damaged, Folder, Tiles, bundle_of
from avow.errors import UsageError
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.verifier import Checkpoint, Invalid, parse_key
from avow.store.driver import Connection
from avow.store.log.reads import Epoch, LogReads

BUNDLES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Exported:
    """One log that was written. kept: how many of its entries were there already."""

    origin: str
    size: int
    kept: int


async def export(
    connection: Connection, folder: Path, progress: Callable[[int, int], None]
) -> list[Exported]:
    """Write every log of the database into a folder of its own, `epoch-N`; the connection must see all
    tenants.

    Raises Damaged for what isn't what was signed; nothing of it is under a checkpoint then.
    """
    reads = LogReads.on(connection)
    await reads.see_all()
    return [
        await _Export(reads, epoch, Folder(folder / f"epoch-{epoch.epoch}")).run(progress)
        for epoch in await reads.epochs()
        if epoch.size is not None
    ]


class _Export:
    """One log on its way into a folder."""

    def __init__(self, reads: LogReads, epoch: Epoch, folder: Folder) -> None:
        self._reads, self._epoch, self._folder, self._tiles = reads, epoch, folder, Tiles()
        self._before: Checkpoint | None = None

    async def run(self, progress: Callable[[int, int], None]) -> Exported:
        """Everything that the newest checkpoint covers."""
        newest = await self._reads.newest_checkpoint(self._epoch.epoch)
        if newest is None:
            raise Damaged(f"{self._epoch.origin} has lost its checkpoints")
        try:
            checkpoint = open_checkpoint(newest.note.encode(), parse_key(self._epoch.key)).checkpoint
        except Invalid as error:
            raise Damaged(f"{self._epoch.origin}: the newest checkpoint: {error}") from None
        self._before = self._written(checkpoint)
        kept = self._resume(checkpoint)
        dropped = await self._reads.dropped_upto(self._epoch.epoch)
        if dropped is not None and kept < dropped.upto:
            said = f"the entries of its first {dropped.upto:,} leaves were {dropped.text}"
            raise UsageError(f"{self._epoch.origin}: {said}", "Go on in that folder, or in a copy of it.")
        async for entries in self._bundles(checkpoint.size):
            self._put(entries)
            progress(self._tiles.stack.size, checkpoint.size)
        if self._tiles.stack.root != checkpoint.root:
            said = f"its leaves aren't those that checkpoint {checkpoint.size:,} was signed over"
            raise Damaged(f"{self._epoch.origin}: {said}")
        for level, place, width, content in self._tiles.partial():
            self._folder.put_tile(level, place, content, width)
        self._folder.put("key", f"{self._epoch.key}\n".encode())
        self._folder.put("checkpoint", newest.note.encode())
        return Exported(self._epoch.origin, checkpoint.size, kept)

    def _written(self, checkpoint: Checkpoint) -> Checkpoint | None:
        """The checkpoint of the folder, if it has one; the database's must go on from it."""
        note = self._folder.checkpoint()
        if note is None:
            return None
        try:
            before = open_checkpoint(note, parse_key(self._epoch.key)).checkpoint
        except Invalid as error:
            raise Damaged(f"{self._epoch.origin}: the checkpoint in the folder: {error}") from None
        if before.size > checkpoint.size:
            said = f"the folder has {before.size:,} leaves, and the database {checkpoint.size:,}"
            raise Damaged(f"{self._epoch.origin}: {said}: it was restored, or leaves were cut off")
        return before

    def _append(self, entries: list[bytes]) -> None:
        """Extend the tree, and write the tiles that are full with it."""
        for entry in entries:
            for tile in self._tiles.append(leaf_hash(entry)):
                self._folder.put_tile(*tile)
            stack, before = self._tiles.stack, self._before
            if before is not None and stack.size == before.size and stack.root != before.root:
                said = f"its first {before.size:,} leaves aren't those that the folder's checkpoint"
                raise Damaged(f"{self._epoch.origin}: {said} was signed over")

    def _resume(self, checkpoint: Checkpoint) -> int:
        """Take over the full bundles that are there; whether they are the log's is seen at the root."""
        for entries in self._folder.bundles():
            if self._tiles.stack.size + WIDTH > checkpoint.size:
                break
            self._append(entries)
        return self._tiles.stack.size

    async def _bundles(self, size: int) -> AsyncGenerator[list[bytes]]:
        """The entries from here on, as many as a bundle holds at a time."""
        first = self._tiles.stack.size
        while first < size:
            end = min(size, first + BUNDLES_AT_ONCE * WIDTH)
            rows = await self._reads.leaves(self._epoch.epoch, first, end)
            if len(rows) < end - first:
                raise Damaged(f"{self._epoch.origin}: of leaves {first:,} to {end - 1:,} some are missing")
            for place, (value, data) in enumerate(rows, first):
                if data is None or leaf_hash(data) != value:
                    raise Damaged(
                        f"{self._epoch.origin}: leaf {place:,} isn't its entry, or its entry is gone"
                    )
            for at in range(0, len(rows), WIDTH):
                yield [data for _, data in rows[at : at + WIDTH] if data is not None]
            first = end

    def _put(self, entries: list[bytes]) -> None:
        number = self._tiles.stack.size // WIDTH
        self._folder.put_tile("entries", number, bundle_of(entries), len(entries))
        self._append(entries)
