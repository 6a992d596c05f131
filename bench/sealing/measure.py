"""How long entries wait for their checkpoint at a rate, and how fast a log is sealed that is behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from avow.engine.log.key import log_key
from avow.engine.log.sealer import Sealer, Steps
from avow.store.pool import Pool, connect
from avow.testing.databases import Database
from bench.sealing.load import as_many_as_can_be, at_a_rate, engine_on
from bench.speed.system import app
from bench.verification.fill import load
from bench.verification.processes import server_of, server_s

CONNECTIONS: Final = 8
LAG = """
SELECT count(*), percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY s.lag_ms), max(s.lag_ms)
FROM (
    SELECT 1000 * extract(epoch FROM c.at - a.at)::float8 AS lag_ms
    FROM avow.audit a JOIN avow.leaf l ON l.entry = a.entry
    CROSS JOIN LATERAL (
        SELECT at FROM avow.checkpoint k WHERE k.epoch = l.epoch AND k.size > l.index
        ORDER BY k.size LIMIT 1) c
    WHERE a.entry > $1) s
"""
DUE = "SELECT avow.seal_due()"
SEALED_S_MAX: Final = 60.0
HELD = "CREATE TABLE IF NOT EXISTS public.held (id integer); BEGIN; INSERT INTO public.held VALUES (1)"


@asynccontextmanager
async def sealer_of(made: Database, folder: Path) -> AsyncGenerator[None]:
    """A sealer as a server runs one: in a thread of this process."""
    sealer = Sealer(app.name, made.application_url, log_key(None, folder, app.name))
    sealer.start()
    try:
        yield
    finally:
        await asyncio.to_thread(sealer.stop)


async def lag(
    made: Database, folder: Path, per_s: float, seconds: float, *, held: bool, clients: int
) -> dict[str, Any]:
    """How long entries wait for their checkpoint at a rate, perhaps beside a write transaction held open."""
    pool, admin, other = (
        Pool(made.application_url, CONNECTIONS),
        await connect(made.admin_url),
        await connect(made.admin_url, {"idle_in_transaction_session_timeout": "0"}),
    )
    try:
        async with sealer_of(made, folder):
            await as_many_as_can_be(engine_on(pool), clients, 1.0)
            await all_sealed(made)
            first = await admin.fetchval("SELECT coalesce(max(entry), 0) FROM avow.audit")
            if held:
                await other.execute(HELD)
            done = await at_a_rate(engine_on(pool), clients, per_s, seconds)
            if held:
                await asyncio.sleep(1.0)
                await other.execute("COMMIT")
            await all_sealed(made)
        count, (p50, p99), most = await admin.fetchrow(LAG, first)
    finally:
        await pool.close()
        await admin.close()
        await other.close()
    return {
        "asked_per_s": per_s, "per_s": round(done.per_s), "seconds": round(done.seconds, 1), "entries": count,
        "transaction_held_open": held, "p50_ms": round(p50, 1), "p99_ms": round(p99, 1),
        "max_ms": round(most, 1),
    }  # fmt: skip


async def behind(made: Database, folder: Path, entries: int) -> dict[str, Any]:
    """How fast a log that is behind is sealed: leaves in a second of processor time, and of the clock."""
    await load(made, entries)
    server = await process_of(made)
    served = await connect(made.application_url)
    try:
        steps, count = Steps(app.name, served, log_key(None, folder, app.name)), 0
        await steps.lead()
        await steps.take_over()
        started, used = time.monotonic(), used_s(server)
        while (sealed := await steps.step()) is not None and sealed.leaves:
            count += sealed.leaves
        seconds, used = time.monotonic() - started, used_s(server) - used
    finally:
        await served.close()
    return {"leaves": count, "per_s": round(count / seconds), "per_cpu_s": round(count / used)}


async def all_sealed(made: Database) -> None:
    """Wait until each entry has its leaf: what a round has left is its own."""
    admin = await connect(made.admin_url)
    try:
        async with asyncio.timeout(SEALED_S_MAX):
            while await admin.fetchval(DUE):  # noqa: ASYNC110  it is the database that is waited for
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


def used_s(server: int) -> float:
    """Processor time of this process, and of all processes of the server."""
    times = os.times()
    return times.user + times.system + server_s(server)


async def process_of(made: Database) -> int:
    connection = await connect(made.admin_url)
    try:
        return await server_of(connection)
    finally:
        await connection.close()
