"""The peers as running services: their database, their process, what is sent to them."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from avow.errors import EnvironmentFault
from avow.store.install import create_database
from avow.store.pool import connect
from bench.speed.avow_http import records_file
from bench.speed.database import settle
from bench.speed.service import Service, free_port, python, service
from bench.speed.stage import ROOT, Stage
from bench.speed.tokens import AUDIENCE, Issuer
from bench.speed.wrk import Load

PEERS = Path(__file__).parent / "peers"
RESTATE = ROOT / ".avow" / "bench" / "restate"
INSTALL_S_MAX = 300
REGISTER_S_MAX = 30


@dataclass(frozen=True)
class Rival:
    """A peer that runs. `processes`: those below which everything of it runs."""

    name: str
    load: Load
    processes: tuple[int, ...]


UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


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
    """The server, its one handler process, and the registration of one with the other."""
    binary = await asyncio.to_thread(restate_server)
    ingress, admin, node, handler = (free_port() for _ in range(4))
    environment = {
        "RESTATE_BASE_DIR": str(made.home / "restate"),
        "RESTATE_NODE_NAME": "bench",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RUST_LOG": "warn",
        "DO_NOT_TRACK": "1",
    }
    async with AsyncExitStack() as stack:
        command = python(
            "-m", "hypercorn", "--config", str(PEERS / "restate" / "hypercorn.toml"),
            "--bind", f"127.0.0.1:{handler}", "bench.speed.peers.restate.app:app",
        )  # fmt: skip
        handling = await stack.enter_async_context(_running(made, name, command, handler, {}))
        server = await stack.enter_async_context(
            _running(made, "restate-server", [binary], ingress, environment)
        )
        await asyncio.to_thread(register, admin, f"http://127.0.0.1:{handler}")
        load = Load(
            server.url, issuer.token("clerk-1"), records_file(made, made.records), collection="/Payment"
        )
        yield Rival(name, load, (server.pid, handling.pid))


def restate_server() -> str:
    """The server's binary, from its npm package. Raises EnvironmentFault without npm or network."""
    pattern = "node_modules/@restatedev/restate-server-*/bin/restate-server"
    if not (found := sorted(RESTATE.glob(pattern))):
        RESTATE.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(PEERS / "restate" / file, RESTATE)
        try:
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=RESTATE, capture_output=True, check=True, timeout=INSTALL_S_MAX,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            raise EnvironmentFault(
                "restate-missing", "Restate's server comes from npm, which isn't here or can't install it",
                "Install Node.js with npm, or leave this part out.",
            ) from None  # fmt: skip
        found = sorted(RESTATE.glob(pattern))
    return str(found[0])


def register(admin: int, uri: str) -> None:
    """Tell the server where its handler is."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments", json.dumps({"uri": uri}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(asked, timeout=REGISTER_S_MAX):
        pass


def _running(
    made: Stage, name: str, command: list[str], port: int, environment: Mapping[str, str]
) -> AbstractAsyncContextManager[Service]:
    return service(name, command, port, made.home / f"{name}.log", {"PYTHONPATH": str(ROOT), **environment})
