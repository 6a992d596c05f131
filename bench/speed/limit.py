"""The limit: what pgbench gets out of the same cluster with the leanest SQL that writes the same.

It must do everything that a command writes, and nothing that a command merely checks or computes.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from avow.store.pool import connect
from avow.store.schema.install import create_database
from avow.store.server import binaries
from bench.speed.database import settle
from bench.speed.sample import Sample
from bench.speed.stage import Stage

SQL = Path(__file__).parent / "sql"
DATABASE = "limit"
CLIENTS = (1, 2, 4, 8, 16, 64)
FORMS = ("function", "statement")
BATCH = 50
THREADS_MAX = 2
CONNECTED_PER_S = 16
"""Clients; pgbench counts what it needs to connect as part of its time, and leaves it out of its rate."""
GRACE_S = 60
FINGERPRINT = bytes(32)

_RATE = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)$", re.MULTILINE)
_COUNT = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms$", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


class PgbenchFailed(Exception):
    """pgbench ended with an error, or some of its transactions did."""


@dataclass(frozen=True, slots=True)
class Said:
    """What pgbench says: transactions, their rate, their mean latency."""

    transactions: int
    rate: float
    latency_ms: float


def read(text: str) -> Said:
    """Read pgbench's summary. Raises PgbenchFailed unless every transaction succeeded."""
    rate, count, latency, failed = (found.search(text) for found in (_RATE, _COUNT, _LATENCY, _FAILED))
    if rate is None or count is None or latency is None or (failed is not None and failed[1] != "0"):
        raise PgbenchFailed(text.strip()[-500:])
    return Said(int(count[1]), float(rate[1]), float(latency[1]))


def distinct(drawn: int, records: int) -> float:
    """How many different ones there are, on average, among so many that were drawn uniformly."""
    return records * (1 - (1 - 1 / records) ** drawn)


@dataclass(frozen=True)
class Limit:
    """The lean tables, filled."""

    url: str
    records: int

    async def run(self, form: str, clients: int, seconds: int, *, queue: bool = True) -> Sample:
        """pgbench on one form for a while. A batch counts as many commands as it wrote."""
        duration = seconds + clients // CONNECTED_PER_S
        command = [
            str(binaries.find().program("pgbench")), "-n", "-M", "prepared",
            "-f", str(SQL / f"limit_{form}.sql"), "-c", str(clients), "-j", str(min(clients, THREADS_MAX)),
            "-T", str(duration), "-D", f"records={self.records}", "-D", f"queue={str(queue).lower()}",
            "-D", f"batch={BATCH}", self.url,
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **binaries.server_environment()},
        )  # fmt: skip
        try:
            async with asyncio.timeout(duration + GRACE_S):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = out.decode("utf-8", "replace")
        if process.returncode:
            raise PgbenchFailed(text.strip()[-500:])
        said = read(text)
        commands = said.transactions * (distinct(BATCH, self.records) if form == "batch" else 1)
        return Sample(round(commands), said.transactions / said.rate, mean_ms=said.latency_ms)


@asynccontextmanager
async def limit(made: Stage) -> AsyncGenerator[Limit]:
    """Make the lean tables in a database of their own on the stage's cluster."""
    server = await connect(made.cluster.url())
    try:
        await create_database(server, DATABASE)
    finally:
        await server.close()
    connection = await connect(made.admin_url(DATABASE))
    try:
        if not await connection.fetchval("SELECT to_regnamespace('lean') IS NOT NULL"):
            await connection.execute((SQL / "limit.sql").read_text())
            await connection.execute((SQL / "limit_fill.sql").read_text(), len(made.records))
            await settle(connection)
    finally:
        await connection.close()
    yield Limit(made.admin_url(DATABASE), len(made.records))


@asynccontextmanager
async def raw_call(found: Limit) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """One command as the bare driver calls the lean function, on one connection."""
    connection: Any = cast(Any, await connect(found.url))
    try:
        statement = await connection.prepare("SELECT lean.capture($1, $2, lean.id_of($3), 1, true)")

        async def call() -> None:
            assert await statement.fetchval(uuid4(), FINGERPRINT, random.randint(1, found.records))

        yield call
    finally:
        await connection.close()
