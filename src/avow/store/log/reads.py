"""Reading the logs that entries are sealed in: where they stand, checkpoints, proofs, and what a checkpoint
covers.

Everything is read with the application's rights and in the reader's tenant; hashes of other tenants' leaves
are part of proofs, and say nothing of what they are of. It must never write.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from avow.canonical import HASH_BYTES
from avow.evidence.merkle import (
    EMPTY_ROOT,
    NODE_LEVELS,
    Node,
    consistency_ranges,
    inclusion_ranges,
    nodes,
    proof,
    root_of,
)
from avow.store.driver import Connection
from avow.store.statements import named, text

CHANGES_MAX = 20_000
"""How many leaves are looked through for what has changed since a time."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest log. key: what its signatures are checked with. note: its newest checkpoint; None before
    the first."""

    epoch: int
    origin: str
    key: str
    size: int
    stack: Sequence[bytes]
    note: str | None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as it is kept. note: as it was signed and published. at: when, by the database's clock."""

    epoch: int
    size: int
    root: bytes
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry and its leaf. epoch, index: None while it isn't sealed."""

    entry: int
    version: int
    header: bytes
    hash: bytes
    epoch: int | None
    index: int | None


@dataclass(frozen=True, slots=True)
class ErasedValue:
    """A private value of an entry that is gone. epoch, index: the leaf of the entry that erased it; None
    while that isn't sealed."""

    field: str
    epoch: int | None
    index: int | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One log of the database. previous: the checkpoint of the one before, its first leaf. size, at: of its
    newest checkpoint; None before the first."""

    epoch: int
    origin: str
    key: str
    reason: str
    previous: str | None
    begun_at: datetime
    size: int | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What isn't in the database any more. upto: the last version of a record, or the number of leaves."""

    upto: int
    at: datetime
    exported_to: str

    @property
    def text(self) -> str:
        """When, and where it is now, in words."""
        return f"dropped at {self.at:%Y-%m-%d %H:%M:%SZ}, exported to {self.exported_to}"


Borrow: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]


class LogReads:
    """Reads of the logs, over a pool's `borrow` or one connection (`on`)."""

    def __init__(self, borrow: Borrow) -> None:
        self._borrow = borrow

    @classmethod
    def on(cls, connection: Connection) -> LogReads:
        """On one connection, for who has one."""

        @asynccontextmanager
        async def lend() -> AsyncGenerator[Connection]:
            yield connection

        return cls(lend)

    async def head(self) -> Head | None:
        """The newest log; None where none was begun."""
        row = await self._row("newest_log")
        return None if row is None else Head(*row)

    async def epochs(self) -> list[Epoch]:
        """All logs, from the first."""
        async with self._borrow() as connection:
            return [Epoch(*row) for row in await connection.fetch(text("sealing.sql", "logs"))]

    async def newest_checkpoint(self, epoch: int) -> StoredCheckpoint | None:
        """The newest checkpoint of a log."""
        return _checkpoint(await self._row("checkpoint_newest", epoch))

    async def checkpoint_over(self, epoch: int, index: int) -> StoredCheckpoint | None:
        """The first checkpoint that covers a leaf."""
        return _checkpoint(await self._row("checkpoint_from", epoch, index + 1))

    async def checkpoint_at(self, at: datetime) -> StoredCheckpoint | None:
        """The newest checkpoint at or before a time."""
        return _checkpoint(await self._row("checkpoint_at", at))

    async def entry(self, tenant: str, kind: str, record: UUID, version: int) -> SealedEntry | None:
        """One entry of a record with its leaf."""
        row = await self._row("sealed_entry", tenant, kind, record, version)
        return None if row is None else SealedEntry(*row)

    async def erased(self, tenant: str, kind: str, record: UUID, version: int) -> list[ErasedValue]:
        """What was erased of the private values of one entry, by their fields."""
        async with self._borrow() as connection:
            rows = await connection.fetch(text("sealing.sql", "erased_of"), tenant, kind, record, version)
        return [ErasedValue(*row) for row in rows]

    async def head_at(
        self, tenant: str, kind: str, record: UUID, epoch: int, size: int
    ) -> SealedEntry | None:
        """The last entry of a record that is among the first `size` leaves of a log, or in an earlier log."""
        version = (await self.known_versions(tenant, kind, [record], epoch, size))[record]
        return await self.entry(tenant, kind, record, version) if version else None

    async def known_versions(
        self, tenant: str, kind: str, records: Sequence[UUID], epoch: int, size: int
    ) -> dict[UUID, int | None]:
        """The last version of each record among the first `size` leaves of a log, or in an earlier log.

        0: none is. None: nobody can tell any more, because the entries were dropped.
        """
        async with self._borrow() as connection:
            rows = await connection.fetch(
                text("sealing.sql", "known_versions"), tenant, kind, records, epoch, size
            )
        return {row["id"]: row["version"] for row in rows}

    async def changed_since(
        self, tenant: str, kind: str, epoch: int, size: int, after: UUID | None, limit: int
    ) -> list[UUID] | None:
        """The next records of a kind, by id, with entries beyond the first `size` leaves of a log; at most
        `limit`. None: so many leaves came since that nobody should look through them."""
        async with self._borrow() as connection:
            since = await connection.fetchval(text("sealing.sql", "leaves_since"), epoch, size)
            if since > CHANGES_MAX:
                return None
            # As many may be sealed meanwhile, and as many again not be sealed yet.
            sql = named("sealing.sql")["changed_since"].substitute(leaves_max=str(4 * CHANGES_MAX))
            start = UUID(int=0) if after is None else after
            return [row[0] for row in await connection.fetch(sql, tenant, kind, epoch, size, start, limit)]

    async def dropped(self, tenant: str, kind: str, record: UUID) -> Dropped | None:
        """What of a record's history was dropped from the database; None where nothing was."""
        row = await self._row("dropped_of", tenant, kind, record)
        return None if row is None else Dropped(*row)

    async def dropped_upto(self, epoch: int) -> Dropped | None:
        """The leaf up to which the entries of a log were dropped; None where none were."""
        row = await self._row("dropped_upto", epoch)
        return None if row is None else Dropped(*row)

    async def see_all(self) -> None:
        """See the entries of all tenants from here on, where the login may: on the one connection."""
        await self._row("see_all_tenants")

    async def leaves(self, epoch: int, first: int, end: int) -> list[tuple[bytes, bytes | None]]:
        """Leaves with what they are the hashes of; None where that is gone, or may not be seen."""
        async with self._borrow() as connection:
            rows = await connection.fetch(text("sealing.sql", "export_leaves"), epoch, first, end)
        return [(row[0], row[1]) for row in rows]

    async def inclusion(self, epoch: int, index: int, size: int) -> list[bytes]:
        """The proof that a leaf is in the log of this size. Raises ValueError where it isn't."""
        return await self._prove(epoch, inclusion_ranges(index, size))

    async def consistency(self, epoch: int, old_size: int, size: int) -> list[bytes]:
        """The proof that the log of one size only added to that of another. Raises ValueError for a larger
        old one."""
        return await self._prove(epoch, consistency_ranges(old_size, size))

    async def root(self, epoch: int, size: int) -> bytes:
        """The root over the first `size` leaves, from what is stored of them. Raises ValueError where some
        are missing."""
        if size == 0:
            return EMPTY_ROOT
        return (await self._prove(epoch, [range(size)]))[0]

    async def _prove(self, epoch: int, ranges: Sequence[range]) -> list[bytes]:
        wanted = [node for leaves in ranges for node in nodes(leaves)]
        return proof(ranges, await self._hashes(epoch, wanted))

    async def _hashes(self, epoch: int, wanted: Iterable[Node]) -> dict[Node, bytes]:
        """The hashes of complete subtrees, each made from those that are stored below it."""
        listed = sorted(set(wanted))
        below = [1 << node.level % NODE_LEVELS for node in listed]
        async with self._borrow() as connection:
            rows = await connection.fetch(
                text("sealing.sql", "subtrees"), epoch, [node.level // NODE_LEVELS for node in listed],
                [node.place * count for node, count in zip(listed, below, strict=True)],
                [(node.place + 1) * count for node, count in zip(listed, below, strict=True)],
            )  # fmt: skip
        found = dict[Node, bytes]()
        for node, count, (held,) in zip(listed, below, rows, strict=True):
            if len(held or b"") != count * HASH_BYTES:
                raise ValueError(f"leaves below {node.level}/{node.place} of log {epoch} are missing")
            found[node] = root_of(split(held))
        return found

    async def _row(self, name: str, *parameters: Any) -> Any:
        async with self._borrow() as connection:
            return await connection.fetchrow(text("sealing.sql", name), *parameters)


def split(hashes: bytes) -> list[bytes]:
    """Hashes that stand one after the other."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def _checkpoint(row: Any) -> StoredCheckpoint | None:
    return None if row is None else StoredCheckpoint(*row)
