"""The cluster that everything is measured on, and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from avow.errors import EnvironmentFault
from avow.store.driver import Connection

SETTINGS: Mapping[str, str] = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "max_connections": "300",
}
"""Beside the embedded cluster's own. Checkpoints are far away, so that no round has one and the next none."""

QUIET_S = 0.3
"""How long nothing is written: longer than a slow flush, during which nothing is written either."""
QUIET_S_MAX = 60.0

DURABILITY: Mapping[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""What must be so. Without it a commit is no commit, and no figure means anything."""


async def demand_durability(connection: Connection) -> dict[str, str]:
    """The settings that make a commit durable. Raises EnvironmentFault unless all of them are on."""
    found: dict[str, str] = {
        name: await connection.fetchval("SELECT current_setting($1)", name) for name in DURABILITY
    }
    if found != DURABILITY:
        off = ", ".join(name for name in DURABILITY if found[name] != DURABILITY[name])
        raise EnvironmentFault(
            "not-durable", f"{off} isn't on: what would be measured here is no commit", "Turn it on."
        )
    return found


async def settings(connection: Connection) -> dict[str, str]:
    """Everything that differs from PostgreSQL's own defaults, without paths, names and addresses."""
    rows = await connection.fetch(
        "SELECT name, setting || coalesce(unit, '') AS value FROM pg_settings"
        " WHERE source IN ('command line', 'configuration file')"
        " AND name !~ '(directory|file|port|log|timezone|lc_|default_text)' ORDER BY name"
    )
    return {row["name"]: row["value"] for row in rows}


async def wal_position(connection: Connection) -> int:
    """How many bytes of write-ahead log there have been."""
    return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


async def quiet(connection: Connection) -> None:
    """Wait until nothing is written any more: what a load generator left under way when it stopped."""
    async with asyncio.timeout(QUIET_S_MAX):
        before, after = -1, await wal_position(connection)
        while before != after:
            await asyncio.sleep(QUIET_S)
            before, after = after, await wal_position(connection)


async def last_entry(connection: Connection) -> int:
    """The number of the newest audit entry."""
    return int(await connection.fetchval("SELECT coalesce(max(entry), 0) FROM avow.audit"))


async def entries_after(connection: Connection, entry: int) -> int:
    """How many audit entries are newer than that one."""
    return int(await connection.fetchval("SELECT count(*) FROM avow.audit WHERE entry > $1", entry))


async def settle(connection: Connection) -> None:
    """Leave nothing half done for the next measurement: statistics, hint bits.

    No checkpoint: after it, the first change of each page would write the whole page to the log, which is
    measured by itself and is in nobody's other figures.
    """
    await connection.execute("VACUUM ANALYZE")
