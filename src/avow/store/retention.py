"""What is kept for a time only: answers to idempotency keys.

It must never hold a lock for long, nor read the whole table: a few rows at a time by the index on their
time, each batch in a statement of its own.
"""

from __future__ import annotations

import asyncio
import logging

from avow.errors import ProblemError
from avow.store import driver
from avow.store.pool import Pool
from avow.store.statements import text

KEY_RETENTION_DAYS = 7
"""How long a key is answered as it was answered first; written into the function that forgets."""
ROWS_MAX = 1_000
"""How many keys one statement forgets."""
PAUSE_S = 300.0
"""How long a server waits, once it has forgotten everything that has expired, until it looks again."""

_log = logging.getLogger("avow.store")


async def forget_keys(pool: Pool, rows_max: int = ROWS_MAX) -> int:
    """Forget all keys that have expired by the database's clock; gives back how many.

    However many there are: a server that is given commands faster than it forgets would never catch up.
    Between two statements it rests for as long as the first one took, so that commands come first.
    """
    loop = asyncio.get_running_loop()
    forgotten = 0
    while True:
        started = loop.time()
        async with pool.borrow() as connection:
            count: int = await connection.fetchval(text("write.sql", "forget_keys"), rows_max)
        forgotten += count
        if count < rows_max:
            return forgotten
        await asyncio.sleep(loop.time() - started)


async def keep_forgetting(pool: Pool, pause_s: float = PAUSE_S) -> None:
    """Forget expired keys every so often, until cancelled. A database that is away is tried again."""
    while True:
        try:
            await forget_keys(pool)
        except (ProblemError, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
            _log.warning("expired idempotency keys were not forgotten: %s", type(error).__name__)
        await asyncio.sleep(pause_s)
