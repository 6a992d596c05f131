"""Whether it stays fast as history grows: a database with a long history against one with hardly any."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from avow.store.driver import Connection
from avow.store.pool import connect
from bench.speed.contender import p99, rate
from bench.speed.database import settle
from bench.speed.plans import plans
from bench.speed.run import CLIENTS, Run, avow_http, say
from bench.speed.stage import PRISTINE, RECORDS, clone

SQL = Path(__file__).parent / "sql" / "growth.sql"
SIZES = (10_000, 1_000_000, 10_000_000)
VERSIONS = 10
CHUNK_PAYMENTS = 50_000
TOUCH_ROUNDS = 3
SMALL, GROWN = "small", "grown"


@cache
def statements() -> dict[str, str]:
    """The generator's statements by name."""
    parts = re.split(r"^-- name: (\w+)\n", SQL.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


async def growth(run: Run) -> dict[str, dict[str, Any]]:
    """Throughput and p99 at each size against almost empty; the largest size counts."""
    for name in (SMALL, GROWN):
        await clone(run.stage, PRISTINE, name)
    held, found = 0, dict[str, dict[str, Any]]()
    for size in (size for size in SIZES if size <= run.growth_max):
        say(f"growth: loading {size:,} audit entries")
        connection = await connect(run.stage.admin_url(GROWN))
        try:
            await grow(connection, held // VERSIONS, size // VERSIONS)
            drawn = await connection.fetch("SELECT bench_id(n) AS id FROM generate_series(1, $1::bigint) AS n"
                " ORDER BY random() LIMIT $2", size // VERSIONS, RECORDS)  # fmt: skip
            sizes = await connection.fetchval("SELECT pg_database_size(current_database())")
        finally:
            await connection.close()
        held = size
        found |= await _compare(run, size, [row["id"] for row in drawn], sizes)
    return found


async def _compare(run: Run, size: int, records: list[UUID], size_bytes: int) -> dict[str, dict[str, Any]]:
    async with (
        avow_http(run, database=GROWN, records=records) as grown,
        avow_http(run, database=SMALL) as small,
    ):
        # Loading made checkpoints: let every page that is drawn be written whole before anything is measured.
        await grown.contender(CLIENTS).run(TOUCH_ROUNDS * run.pace.seconds)
        pair = await run.pair(grown.contender(CLIENTS), small.contender(CLIENTS))
    shown = {"growth_throughput": pair.described(rate), "growth_p99": pair.described(p99)}
    run.details.setdefault("growth", {})[str(size)] = {
        "database_mb": round(size_bytes / 2**20),
        "throughput": shown["growth_throughput"],
        "p99": shown["growth_p99"],
        "plans": await plans(run, GROWN, records),
    }
    return shown


async def grow(connection: Connection, first: int, last: int) -> None:
    """Load the history of the payments after `first` up to `last`, and leave the database settled."""
    await connection.execute(statements()["id"])
    for start in range(first, last, CHUNK_PAYMENTS):
        end = min(start + CHUNK_PAYMENTS, last)
        for name in ("payments", "entries", "keys"):
            await connection.execute(statements()[name], start + 1, end)
    await settle(connection)
