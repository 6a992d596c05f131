"""The stage of a run: a fresh cluster, the declaration's tables, its records, an issuer of tokens.

It must never use a database that somebody has named: everything lives in a folder of this run's own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine, Request
from avow.engine.identifier import new_id
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.pool import Pool, connect
from avow.store.schema.install import create_database, install, login
from avow.store.server import cluster as clusters
from avow.store.server.cluster import Cluster
from avow.store.server.postmaster import read_pid_file
from avow.store.sharing import SHARED, Bounds
from bench.speed.database import SETTINGS, demand_durability, settle
from bench.speed.system import app as declared
from bench.speed.tokens import TENANT
from examples.demo.home import own_home

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(__file__).resolve().parent / "system.py"
RECORDS = 10_000
AMOUNT = 10**12
"""Authorized for each payment: more than any run can capture."""
FILLING_TASKS = 64
PRISTINE = "pristine"
"""A copy of the filled database, for parts that need more of them."""
LOGIN, PASSWORD = "payment_bench", "of a benchmark"

CLERK = Actor(Subject("clerk-1"), TENANT, frozenset({"clerk"}), "token:1")


@dataclass(frozen=True)
class Stage:
    """What a measurement needs. `records`: the ids of the payments that are captured from."""

    home: Path
    cluster: Cluster
    records: list[UUID] = field(default_factory=list[UUID])

    @property
    def postmaster(self) -> int:
        """The process id of the cluster."""
        found = read_pid_file(self.cluster.data_dir)
        assert found is not None
        return found.pid

    def admin_url(self, database: str = declared.name) -> str:
        """As the superuser, who also owns the peers' databases."""
        return self.cluster.url(database)

    def application_url(self, database: str = declared.name) -> str:
        """As a login with the application's rights only."""
        where = self.cluster.url(database).rpartition("@")[2]
        return f"postgresql://{LOGIN}:{PASSWORD.replace(' ', '%20')}@{where}"


@asynccontextmanager
async def stage(settings: Mapping[str, str] | None = None, records: int = RECORDS) -> AsyncGenerator[Stage]:
    """Make it, fill it, remove it. Raises EnvironmentFault where a commit wouldn't be durable."""
    with (
        own_home(ROOT / ".avow", "speed") as home,
        clusters.start(home, settings={**SETTINGS, **(settings or {})}) as lease,
    ):
        made = Stage(home, lease.cluster)
        await make_tables(made, declared.name)
        made.records.extend(await fill(made, records))
        await clone(made, declared.name, PRISTINE)
        yield made


async def clone(made: Stage, source: str, name: str) -> None:
    """A copy of a database that nobody is connected to."""
    server = await connect(made.cluster.url())
    try:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
    finally:
        await server.close()


async def make_tables(made: Stage, database: str) -> None:
    """A database with the tables of the declaration."""
    server = await connect(made.cluster.url())
    try:
        await demand_durability(server)
        await create_database(server, database)
    finally:
        await server.close()
    connection = await connect(made.admin_url(database))
    try:
        await install(connection, declared)
        await login(connection, declared, LOGIN, PASSWORD)
    finally:
        await connection.close()


def request(command: str, record: UUID | None, given: Mapping[str, Any]) -> Request:
    """One command under a fresh key."""
    key = str(new_id())
    fingerprint = hashlib.sha256(f"{command} {record} {given}".encode()).digest()
    return Request("Payment", command, record, given, CLERK, key, fingerprint, key)


def engine_on(pool: Pool, bounds: Bounds = SHARED) -> Engine:
    """The engine as a server has it, or with another measure of sharing."""
    return Engine(declared, pool, lambda problem, _: problem.code.encode(), bounds)


async def fill(made: Stage, count: int, database: str = declared.name) -> list[UUID]:
    """Authorize payments by commands, and leave the database settled."""
    pool = Pool(made.application_url(database))
    engine, found = engine_on(pool), list[UUID]()

    async def authorize(some: int) -> None:
        for _ in range(some):
            reply = await engine.execute(request("authorize", None, {"amount": AMOUNT}))
            assert reply.status == 201, reply
            assert reply.record is not None
            found.append(reply.record)

    try:
        shares = [count // FILLING_TASKS + (place < count % FILLING_TASKS) for place in range(FILLING_TASKS)]
        await asyncio.gather(*(authorize(share) for share in shares))
    finally:
        await pool.close()
    connection = await connect(made.admin_url(database))
    try:
        await settle(connection)
    finally:
        await connection.close()
    return found
