"""What PostgreSQL counts of its tables: complete, and of what is meant alone.

A connection keeps its counts to itself for a while: for a second while it works, for ten when it rests, and
until it has ended, which takes its time where nobody waits for it. On a busy machine each of these may fall
on either side of a question.
"""

from __future__ import annotations

from avow.store.driver import Connection
from tests.acceptance.polling import until

OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


async def all_told(admin: Connection) -> None:
    """Return when every count is where it can be read; all other connections to the database have to end."""

    async def alone() -> bool:
        return await admin.fetchval(OTHERS) == 0

    await until(alone, "all other connections have ended")
    await admin.execute("SELECT pg_stat_force_next_flush()")


async def begin_at_nothing(admin: Connection) -> None:
    """Forget all counts so far, also those that would still come."""
    await all_told(admin)
    await admin.execute("SELECT pg_stat_reset()")
