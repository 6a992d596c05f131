"""The three measurements: pairs with and without a sealer, the lag at a rate, and a log that is behind."""

from __future__ import annotations

import asyncio
import math
import os
import statistics
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


async def pairs(
    sealed: Database, plain: Database, folder: Path, rounds: int, seconds: float, clients: int
) -> list[dict[str, Any]]:
    """The same load on a database that is sealed and on one that isn't; which comes first alternates."""
    pools = {True: Pool(sealed.application_url, CONNECTIONS), False: Pool(plain.application_url, CONNECTIONS)}
    engines = {on: engine_on(pool) for on, pool in pools.items()}
    found, server = list[dict[str, Any]](), await _server_of(sealed)
    async with sealer_of(sealed, folder):
        for on in (True, False):
            await as_many_as_can_be(engines[on], clients, min(seconds, 2.0))  # plans, caches, connections
        for place in range(rounds):
            pair = dict[str, Any]()
            for on in (True, False) if place % 2 else (False, True):
                before = _used_s(server)
                done = await as_many_as_can_be(engines[on], clients, seconds)
                if on:
                    await _all_sealed(sealed)
                used_us = 1e6 * (_used_s(server) - before) / done.commands
                name = "sealed" if on else "plain"
                pair |= {f"{name}_per_s": round(done.per_s), f"{name}_cpu_us": round(used_us, 1)}
            pair["throughput"] = round(pair["sealed_per_s"] / pair["plain_per_s"], 4)
            pair["cpu"] = round(pair["sealed_cpu_us"] / pair["plain_cpu_us"], 4)
            found.append(pair)
    for pool in pools.values():
        await pool.close()
    return found


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
            await _all_sealed(made)
            first = await admin.fetchval("SELECT coalesce(max(entry), 0) FROM avow.audit")
            if held:
                await other.execute(HELD)
            done = await at_a_rate(engine_on(pool), clients, per_s, seconds)
            if held:
                await asyncio.sleep(1.0)
                await other.execute("COMMIT")
            await _all_sealed(made)
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
    server = await _server_of(made)
    served = await connect(made.application_url)
    try:
        steps, count = Steps(app.name, served, log_key(None, folder, app.name)), 0
        await steps.lead()
        await steps.take_over()
        started, used = time.monotonic(), _used_s(server)
        while (sealed := await steps.step()) is not None and sealed.leaves:
            count += sealed.leaves
        seconds, used = time.monotonic() - started, _used_s(server) - used
    finally:
        await served.close()
    return {"leaves": count, "per_s": round(count / seconds), "per_cpu_s": round(count / used)}


def summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """The ratios of pairs, sealed to plain: median, lowest, highest, and the mean with its standard error.

    Single pairs lie a tenth apart, as the disk's flushes do: without its error a mean says nothing.
    """
    told = dict[str, float]()
    for name in ("throughput", "cpu"):
        ratios = [pair[name] for pair in found]
        told |= {name: statistics.median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
        if len(ratios) > 1:
            error = statistics.stdev(ratios) / math.sqrt(len(ratios))
            told |= {f"{name}_mean": round(statistics.mean(ratios), 4), f"{name}_mean_error": round(error, 4)}
    return told


async def _all_sealed(made: Database) -> None:
    """Wait until each entry has its leaf: what a round has left is its own."""
    admin = await connect(made.admin_url)
    try:
        async with asyncio.timeout(SEALED_S_MAX):
            while await admin.fetchval(DUE):  # noqa: ASYNC110  it is the database that is waited for
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


def _used_s(server: int) -> float:
    """Processor time of this process, and of all processes of the server."""
    times = os.times()
    return times.user + times.system + server_s(server)


async def _server_of(made: Database) -> int:
    connection = await connect(made.admin_url)
    try:
        return await server_of(connection)
    finally:
        await connection.close()
