"""How long a call waits: from the commit of what asks for it until it arrives at the provider."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Collection
from typing import Any

from avow.store.pool import connect
from bench.speed.figures import percentile
from bench.speed.run import Pace
from bench.workflows.contest import rival
from bench.workflows.rounds import RoundFailed
from bench.workflows.stage import Surroundings
from bench.workflows.system import app as declared

SAGAS = 100
PAUSE_S = 0.05
"""Between two sagas: what is measured is how long a call waits, and not how long a queue is."""
END_S_MAX = 30.0
COMMITTED = """
SELECT w.id::text AS id, extract(epoch FROM a.at)::float8 AS at
FROM workflows.sagas w JOIN avow.audit a ON (a.kind, a.id, a.version) = ('Saga', w.id, 1)
WHERE a.entry > $1
"""
"""When each saga was started: the time that its entry bears, which is before its commit."""


async def commit_to_call(around: Surroundings, pace: Pace, who: str) -> dict[str, Any]:
    """On an idle machine, saga after saga: milliseconds to the first call. who: which way Avow runs."""
    connection = await connect(around.stage.admin_url(declared.name))
    try:
        async with rival(around, who) as running:
            await asyncio.to_thread(ask, around, "DELETE", "")
            before = await connection.fetchval("SELECT coalesce(max(entry), 0) FROM avow.audit")
            for number in range(SAGAS):
                (answer,) = await running.clients.send(running.start(f"{who}-{number}-{id(around)}", None), 1)
                if answer is None or answer.status >= 300:
                    raise RoundFailed(f"Avow answered {answer}")
                await asyncio.sleep(PAUSE_S)
            committed = {row["id"]: row["at"] for row in await connection.fetch(COMMITTED, before)}
            came = await _came(around, committed)
    finally:
        await connection.close()
    waits = sorted(1_000 * (came[saga] - at) for saga, at in committed.items())
    return {
        "calls": len(waits),
        "p50_ms": round(percentile(waits, 0.5), 2),
        "p99_ms": round(percentile(waits, 0.99), 2),
    }


async def _came(around: Surroundings, committed: Collection[str]) -> dict[str, float]:
    """When the first call of each saga came. Raises TimeoutError where one doesn't."""
    async with asyncio.timeout(END_S_MAX):
        while True:
            came = await asyncio.to_thread(ask, around, "GET", "/came")
            if came.keys() >= set(committed):
                return came
            await asyncio.sleep(PAUSE_S)


def ask(around: Surroundings, method: str, path: str) -> dict[str, Any]:
    """What the provider knows."""
    asked = urllib.request.Request(around.provider.url + path, method=method)
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)
