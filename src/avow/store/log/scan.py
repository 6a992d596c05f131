"""Everything that verification reads of the logs, in the snapshot that it reads the entries in. It never
writes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from avow.evidence.log_check import Kept
from avow.store.log.reads import split
from avow.store.statements import text

LEAVES_AT_ONCE = 8_192
COSIGNATURES_AT_ONCE = 2_000
"""More than a checkpoint may have."""
STATEMENT_S_MAX = 3_600.0
"""How long one statement of a verification may take; it has a connection to itself."""
NAMED_MAX = 1_000
"""How many leaves or entries are named one by one, of each sort."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """A log as the database speaks of it.

    size: how many leaves it has. stack: of the newest log alone. covered: the size of its newest checkpoint.
    """

    epoch: int
    origin: str
    key: str
    previous: str | None
    size: int | None
    stack: Sequence[bytes] | None
    covered: int | None


@dataclass(frozen=True, slots=True)
class LeafName:
    """Whose entry a leaf is. gone: its entry isn't there any more."""

    index: int
    tenant: str
    kind: str
    id: str
    version: int
    gone: bool = False


class Cosigned(NamedTuple):
    """What is kept as a witness's: the size and the note of its checkpoint, if there is one; its key, its
    line."""

    size: int
    key: str
    line: str
    note: str | None


class LogScan:
    """The logs in one open snapshot, as one tenant or all of them (None) may see them."""

    def __init__(self, connection: Any, tenant: str | None) -> None:
        self._connection, self._tenant = connection, tenant

    async def _fetch(self, name: str, *parameters: Any) -> list[Any]:
        return await self._connection.fetch(text("verify.sql", name), *parameters, timeout=STATEMENT_S_MAX)

    async def logs(self) -> list[LogRow]:
        """All logs, from the first."""
        return [LogRow(*row) for row in await self._fetch("verify_logs")]

    async def leaves(self, epoch: int, first: int, end: int) -> list[bytes]:
        """The hashes of leaves, from the first on."""
        return split((await self._fetch("verify_leaf_hashes", epoch, first, end))[0][0])

    async def strangers(self, epoch: int, first: int, end: int) -> list[LeafName]:
        """Those of the leaves that aren't the entry that they name, as far as the tenant may see them."""
        rows = await self._fetch("verify_leaf_owners", epoch, first, end, NAMED_MAX)
        return [LeafName(row[0], *row[2:]) for row in rows]

    async def names(self, epoch: int, leaves: range, most: int) -> list[LeafName]:
        """Whose entries the first of some leaves are, as far as the tenant may see them."""
        rows = await self._fetch("verify_leaf_names", epoch, leaves.start, leaves.stop, most)
        return [LeafName(*row) for row in rows]

    async def nodes(self, epoch: int, first: int, end: int) -> dict[tuple[int, int], bytes]:
        """The nodes that are complete with these leaves, by level and index."""
        return {(row[0], row[1]): row[2] for row in await self._fetch("verify_nodes", epoch, first, end)}

    async def node_count(self, epoch: int) -> int:
        """How many nodes a log has."""
        return (await self._fetch("verify_node_count", epoch))[0][0]

    async def checkpoints(self, epoch: int, first: int, end: int) -> list[Kept]:
        """The checkpoints that end among these leaves."""
        return [Kept(*row) for row in await self._fetch("verify_checkpoints", epoch, first, end)]

    async def cosignatures(self, epoch: int, most: int = COSIGNATURES_AT_ONCE) -> AsyncGenerator[Cosigned]:
        """What witnesses have signed, from the first checkpoint on, read so many at a time."""
        after = -1
        while rows := await self._fetch("verify_cosignatures", epoch, after, most):
            # All of one checkpoint, or what is left of it comes with the next batch.
            last = rows[-1][0] if len(rows) < most or rows[0][0] == rows[-1][0] else rows[-1][0] - 1
            for row in rows:
                if row[0] <= last:
                    yield Cosigned(*row)
            after = last

    async def dropped(self) -> tuple[int, datetime, str] | None:
        """How many leaves are of dropped entries, when last, and where they were exported to."""
        rows = await self._fetch("verify_dropped")
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    async def unsealed(self) -> int:
        """How many entries have no leaf."""
        return (await self._fetch("verify_unsealed", self._tenant))[0][0]

    async def passed_over(self) -> list[LeafName]:
        """Entries without a leaf that the sealer won't look at again."""
        rows = await self._fetch("verify_passed_over", self._tenant, NAMED_MAX)
        return [LeafName(0, *row) for row in rows]
