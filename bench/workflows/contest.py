"""The contenders as running services: how a saga or a timer is started, and how many have ended."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from avow.errors import EnvironmentFault
from avow.store.pool import connect
from bench.replay.clients import Clients
from bench.speed.avow_http import SECRET
from bench.speed.contest import UVICORN
from bench.speed.restate import restate
from bench.speed.service import POLL_S, READY_S_MAX, Service, free_port, python, service
from bench.speed.stage import ROOT
from bench.speed.tokens import AUDIENCE
from bench.workflows.stage import TARGET, Surroundings, database
from bench.workflows.system import app as declared

CLIENTS = 16
SAGAS, TIMERS = "sagas", "timers"
PEERS = Path(__file__).parent / "peers"

Ended = tuple[int, float]
"""How many have ended, and when the last one did, in seconds since 1970."""

ENDED: Mapping[tuple[str, str], str] = {
    ("avow", SAGAS): "SELECT count(*), max(extract(epoch FROM a.at)) FROM workflows.sagas s"
    " JOIN avow.audit a ON (a.kind, a.id, a.version) = ('Saga', s.id, s.version) WHERE s.state = 'done'",
    ("avow", TIMERS): "SELECT count(*), max(extract(epoch FROM a.at)) FROM workflows.timers t"
    " JOIN avow.audit a ON (a.kind, a.id, a.version) = ('Timer', t.id, t.version) WHERE t.state = 'fired'",
    ("dbos", SAGAS): "SELECT count(*), max(updated_at) / 1000.0 FROM dbos.workflow_status"
    " WHERE status = 'SUCCESS' AND name = 'saga'",
    ("dbos", TIMERS): "SELECT count(*), max(updated_at) / 1000.0 FROM dbos.workflow_status"
    " WHERE status = 'SUCCESS' AND name = 'timer'",
    ("procrastinate", SAGAS): "SELECT count(*), max(extract(epoch FROM at)) FROM saga",
    ("procrastinate", TIMERS): "SELECT count(*), max(extract(epoch FROM e.at)) FROM procrastinate_jobs j"
    " JOIN procrastinate_events e ON (e.job_id, e.type) = (j.id, 'succeeded') WHERE j.task_name LIKE '%fire'",
}  # fmt: skip
"""Where each contender over PostgreSQL has recorded what has ended."""


@dataclass(frozen=True)
class Rival:
    """A contender that runs.

    start: the bytes of the request that starts a saga, or a timer for a time, under a key.
    ended: how many of a sort have ended. processes: those below which everything of it runs.
    """

    name: str
    clients: Clients
    start: Callable[[str, datetime | None], bytes]
    ended: Callable[[str], Awaitable[Ended]]
    processes: tuple[int, ...]


@asynccontextmanager
async def rival(around: Surroundings, name: str) -> AsyncGenerator[Rival]:
    """Run one. Raises EnvironmentFault where it can't be installed or started."""
    async with RUNS[name](around) as running:
        try:
            yield running
        finally:
            await running.clients.close()


def avow_environment(around: Surroundings) -> dict[str, str]:
    """What a server and a worker need, as in production: it seals its log, too."""
    made = around.stage
    destinations = made.home / "destinations.json"
    destinations.write_text(json.dumps({"provider": {"url": around.provider.url, "allow_private": True}}))
    return {
        "AVOW_DATABASE_URL": made.application_url(declared.name),
        "AVOW_SECRET": SECRET,
        "AVOW_DESTINATIONS": str(destinations),
        "AVOW_LOG_KEY": str(made.home / "log.key"),
        **around.issuer.environment(),
    }


@asynccontextmanager
async def _avow(around: Surroundings, *options: str) -> AsyncGenerator[Rival]:
    """`avow serve`, which does its work itself unless told otherwise."""
    port = free_port()
    command = python("-m", "avow.cli", "serve", str(TARGET), "--port", str(port), *options)
    async with _running(around, "avow", command, port, avow_environment(around)) as one:
        yield _over_postgresql(around, "avow", one, around.stage.admin_url(declared.name))


@asynccontextmanager
async def _avow_apart(around: Surroundings) -> AsyncGenerator[Rival]:
    """`avow serve` that leaves the work to an `avow work`."""
    async with working(around, 1), _avow(around, "--no-work") as running:
        yield running


@asynccontextmanager
async def working(around: Surroundings, count: int) -> AsyncGenerator[tuple[int, ...]]:
    """So many `avow work`; gives their processes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **avow_environment(around)}
    command = python("-m", "avow.cli", "work", str(TARGET))
    workers = [
        await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=environment
        )
        for _ in range(count)
    ]
    try:
        for worker in workers:
            if worker.stdout is None or not await worker.stdout.readline():
                raise EnvironmentFault("worker-failed", "A worker didn't start.", "See the messages above.")
        yield tuple(worker.pid for worker in workers)
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.terminate()
            await worker.wait()


@asynccontextmanager
async def _fastapi(around: Surroundings, name: str, package: str) -> AsyncGenerator[Rival]:
    made, port = around.stage, free_port()
    await database(made, package)
    environment = {
        "PEER_DATABASE_URL": made.admin_url(package),
        "PEER_PROVIDER_URL": around.provider.url,
        "PEER_PUBLIC_KEY": json.dumps(around.issuer.key.as_dict(private=False)),
        "PEER_ISSUER": around.issuer.name,
        "PEER_AUDIENCE": AUDIENCE,
    }
    command = python(
        "-m", "uvicorn", f"bench.workflows.peers.{package}.app:app", *UVICORN, "--port", str(port)
    )
    async with _running(around, name, command, port, environment) as one:
        yield _over_postgresql(around, name, one, made.admin_url(package))


def _over_postgresql(around: Surroundings, name: str, one: Service, url: str) -> Rival:
    clients, token = Clients(one.url, CLIENTS), around.issuer.token("clerk-1", "clerk")

    def start(key: str, due: datetime | None) -> bytes:
        if due is None:
            return clients.post("/sagas", token, key)
        return clients.post("/timers", token, key, json.dumps({"due": due.isoformat()}).encode())

    async def ended(sort: str) -> Ended:
        connection = await connect(url)
        try:
            count, last = await connection.fetchrow(ENDED[name, sort])
        finally:
            await connection.close()
        return count, float(last or 0)

    return Rival(name, clients, start, ended, (one.pid,))


@asynccontextmanager
async def _restate(around: Surroundings) -> AsyncGenerator[Rival]:
    told = {"PEER_PROVIDER_URL": around.provider.url}
    application = "bench.workflows.peers.restate_service.app:app"
    async with restate(around.stage.home, application, told) as one:
        await _ready(one.admin)
        clients, token = Clients(one.url, CLIENTS), around.issuer.token("clerk-1")

        def start(key: str, due: datetime | None) -> bytes:
            if due is None:
                return clients.post("/Saga/run/send", token, key)
            wait_ms = max(0, round((due - datetime.now(UTC)).total_seconds() * 1_000))
            return clients.post(f"/Timer/fire/send?delay={wait_ms}ms", token, key)

        async def ended(sort: str) -> Ended:
            return await asyncio.to_thread(_restate_ended, one.admin, "Saga" if sort == SAGAS else "Timer")

        yield Rival("restate", clients, start, ended, one.processes)


async def _ready(admin: int) -> None:
    """Wait until its partitions can be asked. Raises TimeoutError."""
    async with asyncio.timeout(READY_S_MAX):
        while True:
            try:
                await asyncio.to_thread(_restate_ended, admin, "Saga")
            except urllib.error.HTTPError:
                await asyncio.sleep(POLL_S)
            else:
                return


def _restate_ended(admin: int, service_name: str) -> Ended:
    """What its own introspection says."""
    query = (
        "SELECT count(*) AS ended, max(completed_at) AS last FROM sys_invocation"  # noqa: S608 - a name of ours
        f" WHERE target_service_name = '{service_name}' AND status = 'completed'"
    )
    asked = urllib.request.Request(
        f"http://127.0.0.1:{admin}/query", json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(asked) as answer:
        (row,) = json.load(answer)["rows"]
    last = datetime.fromisoformat(row["last"]).timestamp() if row.get("last") else 0.0
    return row["ended"], last


def _running(
    around: Surroundings, name: str, command: list[str], port: int, environment: Mapping[str, str]
) -> AbstractAsyncContextManager[Service]:
    log, path = around.stage.home / f"{name}.log", {"PYTHONPATH": str(ROOT)}
    return service(name, command, port, log, {**path, **environment})


RUNS: Mapping[str, Callable[[Surroundings], AbstractAsyncContextManager[Rival]]] = {
    "avow": _avow,
    "avow_apart": _avow_apart,
    "dbos": partial(_fastapi, name="dbos", package="dbos_workflows"),
    "restate": _restate,
    "procrastinate": partial(_fastapi, name="procrastinate", package="procrastinate_jobs"),
}
