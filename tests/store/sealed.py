"""A log for tests: sealed step by step, over entries that are put into the audit log by hand.

Sealing looks at numbers, transactions and hashes; what is in a header is none of its business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

from avow.engine.log.key import LogKey, log_key
from avow.engine.log.sealer import Steps
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.merkle import root_of
from avow.evidence.note import Signer
from avow.store.driver import Connection
from avow.store.log.reads import LogReads, split
from avow.store.pool import KEPT_PLANS, connect
from tests.fix_database import Database

RECORD = UUID(int=0xA0_0000_0000_7000_8000_0000_0000_0000)

APPEND = """
WITH t AS (SELECT pg_current_xact_id() AS own)
INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
SELECT 'main', 'Hall', $1::uuid, n, e.header, sha256('\\x00'::bytea || e.header)
FROM t, generate_series($2::bigint, $2::bigint + $3::int - 1) AS n,
     convert_to('entry ' || n, 'UTF8') AS e (header)
ORDER BY n
RETURNING entry
"""


@dataclass
class Log:
    """One database with a key beside it."""

    made: Database
    admin: Connection
    key: LogKey
    steps: Steps

    @property
    def reads(self) -> LogReads:
        return LogReads.on(self.admin)

    @property
    def signer(self) -> Signer:
        found = self.key.keys.signer()
        assert found is not None
        return found

    async def append(self, first: int, count: int = 1, record: UUID = RECORD, on: Any = None) -> list[int]:
        """Put entries into the audit log: versions of one record; gives back their numbers."""
        rows = await (on or self.admin).fetch(APPEND, record, first, count)
        return [row[0] for row in rows]

    async def seal(self) -> int:
        """Seal everything that can be sealed; gives back how many leaves that were."""
        count = 0
        while (sealed := await self.steps.step()) is not None and sealed.leaves:
            count += sealed.leaves
        return count

    async def leaves(self) -> list[int]:
        """The entries of the log in its order."""
        return [row[0] for row in await self.admin.fetch("SELECT entry FROM avow.leaf ORDER BY epoch, index")]

    async def demand_sound(self) -> int:
        """The newest checkpoint is signed, is over all leaves, and is kept outside; gives back its size."""
        head = await self.reads.head()
        assert head is not None
        assert head.note is not None
        opened = open_checkpoint(head.note.encode(), self.signer.verifier).checkpoint
        hashes = split(await self.admin.fetchval("SELECT avow.leaf_hashes($1, 0, 1000000)", head.epoch))
        assert (opened.size, opened.root) == (len(hashes), root_of(hashes))
        assert opened.root == await self.reads.root(head.epoch, opened.size)
        assert self.key.newest() == head.note.encode()
        return opened.size


MakeLog: TypeAlias = Callable[..., AbstractAsyncContextManager[Log]]


@asynccontextmanager
async def sealing(made: Database, folder: Path, *, take_over: bool = True) -> AsyncIterator[Log]:
    """A log of a database whose key is in a folder."""
    admin, served = await connect(made.admin_url), await connect(made.application_url, KEPT_PLANS)
    key = log_key(str(folder / "log.key"), folder, made.system.name)
    steps = Steps(made.system.name, served, key)
    try:
        assert await steps.lead()
        if take_over:
            await steps.take_over()
        yield Log(made, admin, key, steps)
    finally:
        await served.close()
        await admin.close()
