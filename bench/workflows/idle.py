"""What workers cost that have nothing to do, at a million finished items."""

from __future__ import annotations

import asyncio
from typing import Any

from avow.store.pool import connect
from bench.speed import processes
from bench.speed.database import settle
from bench.speed.run import Pace
from bench.workflows.contest import working
from bench.workflows.stage import Surroundings
from bench.workflows.system import app as declared

FINISHED = 1_000_000
WORKERS = 2
SETTLES_S, WATCHED_S = 5, 20
FILL = """
    WITH saga AS MATERIALIZED (
        SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1::int) AS n
    ), records AS (
        INSERT INTO workflows.sagas (tenant, id, state, version, head, boundary, changed_at)
        SELECT 'main', s.id, 'done', 4, sha256(s.n::text::bytea), b.fingerprint, now()
        FROM saga s, (SELECT fingerprint FROM avow.boundary ORDER BY in_force_since DESC LIMIT 1) AS b
    )
    INSERT INTO avow.attempt (tenant, kind, id, name, key, number, fence, at, outcome, detail)
    SELECT 'main', 'Saga', s.id, 'ship', gen_random_uuid(), 1, 1, now(), 'not-done', 'tried again'
    FROM saga s
"""
"""As many sagas that have ended, and of each an attempt that was made once more. What was to be done for them
is no row any more, as after real ones."""


async def idle(around: Surroundings, pace: Pace) -> dict[str, Any]:
    """CPU of the workers, each a process of its own, and of PostgreSQL meanwhile, in per cent of a core."""
    connection = await connect(around.stage.admin_url(declared.name))
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(FILL.replace("$1", str(FINISHED)))
        await settle(connection)
    finally:
        await connection.close()
    async with working(around, WORKERS) as workers:
        await asyncio.sleep(SETTLES_S)
        before = _used(around, workers)
        await asyncio.sleep(WATCHED_S)
        used = [after - earlier for after, earlier in zip(_used(around, workers), before, strict=True)]
    theirs, postgres = (round(100 * cpu_s / WATCHED_S, 2) for cpu_s in used)
    return {
        "finished": FINISHED,
        "workers": WORKERS,
        "percent_of_a_core_each": round(theirs / WORKERS, 2),
        "percent_of_a_core_postgres": postgres,
    }


def _used(around: Surroundings, workers: tuple[int, ...]) -> tuple[float, float]:
    """CPU seconds of the workers and of PostgreSQL until now."""
    return sum(processes.cpu_s(pid) for pid in workers), processes.cpu_s(around.stage.postmaster)
