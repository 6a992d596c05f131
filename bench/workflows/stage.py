"""The stage of a run: a fresh cluster, the declaration's tables, the provider, an issuer of tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from avow.store.pool import connect
from avow.store.schema.install import create_database, install, login
from avow.store.server import cluster as clusters
from bench.speed.database import SETTINGS, demand_durability
from bench.speed.service import Service, free_port, python, service
from bench.speed.stage import LOGIN, PASSWORD, ROOT, Stage
from bench.speed.tokens import Issuer, issuer
from bench.workflows.system import app as declared
from examples.demo.home import own_home

TARGET = Path(__file__).with_name("system.py")


@dataclass(frozen=True)
class Surroundings:
    """What every contender needs. provider: the outside that all of them call."""

    stage: Stage
    provider: Service
    issuer: Issuer


@asynccontextmanager
async def surroundings() -> AsyncGenerator[Surroundings]:
    """Make it, and remove it. Raises EnvironmentFault where a commit wouldn't be durable."""
    with (
        own_home(ROOT / ".avow", "workflows") as home,
        clusters.start(home, settings=SETTINGS) as lease,
        issuer() as who,
    ):
        made = Stage(home, lease.cluster)
        await database(made, declared.name)
        connection = await connect(made.admin_url(declared.name))
        try:
            await demand_durability(connection)
            await install(connection, declared)
            await login(connection, declared, LOGIN, PASSWORD)
        finally:
            await connection.close()
        port = free_port()
        command = python(
            "-m", "uvicorn", "bench.workflows.provider:app", "--port", str(port), "--loop", "uvloop",
            "--http", "httptools", "--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "65",
        )  # fmt: skip
        log, path = home / "provider.log", {"PYTHONPATH": str(ROOT)}
        async with service("provider", command, port, log, path) as provider:
            yield Surroundings(made, provider, who)


async def database(made: Stage, name: str) -> None:
    """An empty database."""
    server = await connect(made.cluster.url())
    try:
        await create_database(server, name)
    finally:
        await server.close()
