"""One run of the benchmark: what all its parts share, and how each contender is made."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.sharing import SHARED, Bounds
from bench.speed import processes
from bench.speed.avow_http import avow_server, records_file
from bench.speed.contender import Contender, Pair, alternate
from bench.speed.contest import rival
from bench.speed.in_process import engine_call, tasks
from bench.speed.limit import Limit
from bench.speed.meter import Meter, accounted
from bench.speed.sample import Sample
from bench.speed.stage import Stage
from bench.speed.system import app as declared
from bench.speed.tokens import Issuer
from bench.speed.wrk import Load

CLIENTS = 64
READING = ("read", "list")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is measured. `rounds`: of each half of a pair; `seconds`: of a round."""

    rounds: int
    seconds: int
    warm_up_s: int


FULL = Pace(rounds=5, seconds=4, warm_up_s=2)
QUICK = Pace(rounds=2, seconds=2, warm_up_s=1)


@dataclass
class Run:
    """What the parts of a run share. limit: the lean tables. best: the fastest form and client count."""

    stage: Stage
    issuer: Issuer
    admin: Connection
    limit: Limit | None
    pace: Pace
    growth_max: int = 0
    best: tuple[str, int] | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    async def pair(self, ours: Contender, theirs: Contender) -> Pair:
        """Measure two alternately, at this run's pace."""
        return await alternate(ours, theirs, self.pace.rounds, self.pace.seconds, self.pace.warm_up_s)

    def pgbench(self, *, queue: bool = True) -> Contender:
        """The limit at its best: F."""
        assert self.best is not None, "the best client count is found first"
        assert self.limit is not None
        form, clients = self.best
        name = f"pgbench, one {form}, {clients} clients" + ("" if queue else ", no queue row")
        return Contender(name, partial(self.limit.run, form, clients, queue=queue))


@dataclass(frozen=True)
class AvowHttp:
    """Avow's server process, measured."""

    run: Run
    load: Load
    pid: int
    database: Connection
    records: Sequence[UUID]
    rss_mb: list[float] = field(default_factory=list[float])

    def contender(self, clients: int, operation: str = "capture", records: int | None = None) -> Contender:
        """The server under this many clients. records: drawn from the first so many; None: from all."""
        load, drawn = self.load, self.records if records is None else self.records[:records]
        if operation != "capture" or records is not None:
            load = Load(load.url, load.token, records_file(self.run.stage, drawn), operation)
        among = "" if records is None else f", {records} records"
        name = f"Avow over HTTP, {operation}, {clients} clients{among}"
        return Contender(name, partial(self._round, load, clients))

    async def _round(self, load: Load, clients: int, seconds: int) -> Sample:
        meter = Meter(self.database, self.run.stage.postmaster, self.pid)
        measure = partial(meter.measure, partial(load.run, clients, seconds))
        if load.operation in READING:
            sample = await measure()
        else:
            sample = await accounted(self.database, clients, measure)
        self.rss_mb.append(processes.rss_mb(self.pid)[0])
        return sample


@asynccontextmanager
async def avow_http(
    run: Run, workers: int = 1, database: str = declared.name, records: Sequence[UUID] | None = None
) -> AsyncGenerator[AvowHttp]:
    """`avow serve` on one of the stage's databases. records: to draw from; None: the stage's."""
    drawn = run.stage.records if records is None else records
    admin = await connect(run.stage.admin_url(database))
    try:
        async with avow_server(run.stage, run.issuer, workers, database) as server:
            load = Load(server.url, run.issuer.token("clerk-1", "clerk"), records_file(run.stage, drawn))
            yield AvowHttp(run, load, server.pid, admin, drawn)
    finally:
        await admin.close()


@asynccontextmanager
async def avow_engine(
    run: Run, count: int, records: int | None = None, bounds: Bounds = SHARED
) -> AsyncGenerator[Contender]:
    """The engine in this process, with so many commands under way. records: among the first so many."""
    among = "" if records is None else f", {records} records"
    how = "" if bounds == SHARED else ", each command in a transaction of its own"
    async with engine_call(run.stage, records, bounds) as call:
        meter = Meter(run.admin, run.stage.postmaster, os.getpid())

        async def once(seconds: int) -> Sample:
            measure = partial(meter.measure, partial(tasks, call, count, seconds))
            return await accounted(run.admin, 0, measure)

        yield Contender(f"Avow in process, {count} tasks{among}{how}", once)


@asynccontextmanager
async def peer(run: Run, name: str) -> AsyncGenerator[Contender]:
    """A peer under the usual number of clients."""
    async with rival(run.stage, run.issuer, name) as running:
        yield Contender(f"{name}, {CLIENTS} clients", partial(running.load.run, CLIENTS))


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"  {text}", file=sys.stderr, flush=True)
