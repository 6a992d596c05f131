"""The peers as running services: their database, their process, what is sent to them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from avow.store.pool import connect
from avow.store.schema.install import create_database
from bench.speed.avow_http import records_file
from bench.speed.database import settle
from bench.speed.restate import restate
from bench.speed.service import Service, free_port, python, service
from bench.speed.stage import ROOT, Stage
from bench.speed.tokens import AUDIENCE, Issuer
from bench.speed.wrk import Load

PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Rival:
    """A peer that runs. `processes`: those below which everything of it runs."""

    name: str
    load: Load
    processes: tuple[int, ...]


UVICORN = (
    *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    *("--timeout-keep-alive", "65"),  # as ours: with 5 s it ends connections while the other one has its turn
)


@asynccontextmanager
async def rival(made: Stage, issuer: Issuer, name: str) -> AsyncGenerator[Rival]:
    """Run one peer. Raises EnvironmentFault where it can't be installed or started."""
    run = _restate if name == "restate" else _fastapi
    async with run(made, issuer, name) as running:
        yield running


@asynccontextmanager
async def _fastapi(made: Stage, issuer: Issuer, name: str) -> AsyncGenerator[Rival]:
    database, port = f"peer_{name}", free_port()
    await _fill(made, database)
    key = json.dumps(issuer.key.as_dict(private=False))
    environment = {
        "PEER_DATABASE_URL": made.admin_url(database),
        "PEER_PUBLIC_KEY": key,
        "PEER_ISSUER": issuer.name,
        "PEER_AUDIENCE": AUDIENCE,
    }
    command = python("-m", "uvicorn", f"bench.speed.peers.{name}.app:app", *UVICORN, "--port", str(port))
    async with _running(made, name, command, port, environment) as one:
        load = Load(one.url, issuer.token("clerk-1", "clerk"), records_file(made, made.records))
        yield Rival(name, load, (one.pid,))


async def _fill(made: Stage, database: str) -> None:
    """A database with the tables that a hand-written service has, and the same payments as everybody's."""
    server = await connect(made.cluster.url())
    try:
        await create_database(server, database)
    finally:
        await server.close()
    connection = await connect(made.admin_url(database))
    try:
        if await connection.fetchval("SELECT to_regclass('payment') IS NULL"):
            tables, _, filling = (PEERS / "tables.sql").read_text().partition("-- name: fill\n")
            await connection.execute(tables)
            await connection.execute(filling, made.records)
        await settle(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _restate(made: Stage, issuer: Issuer, name: str) -> AsyncGenerator[Rival]:
    async with restate(made.home, "bench.speed.peers.restate.app:app", {}) as one:
        records = records_file(made, made.records)
        load = Load(one.url, issuer.token("clerk-1"), records, collection="/Payment")
        yield Rival(name, load, one.processes)


def _running(
    made: Stage, name: str, command: list[str], port: int, environment: Mapping[str, str]
) -> AbstractAsyncContextManager[Service]:
    return service(name, command, port, made.home / f"{name}.log", {"PYTHONPATH": str(ROOT), **environment})
