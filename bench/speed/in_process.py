"""Tasks in this process that call something again and again: the engine, or the bare driver."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from avow.store.pool import Pool
from avow.store.sharing import SHARED, Bounds
from bench.speed.figures import percentile
from bench.speed.sample import Sample
from bench.speed.stage import Stage, engine_on, request

Call = Callable[[], Awaitable[None]]


async def tasks(call: Call, count: int, seconds: float) -> Sample:
    """Keep `count` calls under way for a while, and time each of them."""
    took = list[float]()
    gc.collect()
    started = time.perf_counter()
    end = started + seconds

    async def work() -> None:
        before = time.perf_counter()
        while before < end:
            await call()
            after = time.perf_counter()
            took.append(after - before)
            before = after

    await asyncio.gather(*(work() for _ in range(count)))
    elapsed = time.perf_counter() - started
    took.sort()
    return Sample(len(took), elapsed, 1e3 * percentile(took, 0.5), 1e3 * percentile(took, 0.99))


@asynccontextmanager
async def engine_call(
    made: Stage, records: int | None = None, bounds: Bounds = SHARED
) -> AsyncGenerator[Call]:
    """One capture from a random payment (of the first so many), through the engine as a server has it."""
    pool = Pool(made.application_url())
    engine, drawn = engine_on(pool, bounds), made.records[:records]

    async def call() -> None:
        reply = await engine.execute(request("capture", random.choice(drawn), {"amount": 1}))
        assert reply.status == 200, reply

    try:
        await engine.recall()
        yield call
    finally:
        await pool.close()
