"""Procrastinate behind FastAPI: three jobs, each of which defers the next one with what it was told.

As in its documentation: the worker runs in the service's process, woken by LISTEN and NOTIFY; a lock per
request holds a second copy back. What was told is kept in the next job's arguments, and by the last job in a
table of the service's own. Nothing is taken back: a job that failed for good would need code that isn't here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated

import httpx2
import procrastinate
from fastapi import FastAPI, Header
from procrastinate.exceptions import AlreadyEnqueued
from pydantic import BaseModel

from bench.speed.peers.access import Clerk

AT_ONCE = 64
"""Jobs under way, as many as Avow's worker takes."""
POLLED_EVERY_S = 0.2
"""As Avow polls: its default of 5 s would let timers wait."""
STEPS = ("reserve", "charge", "ship")
THERE = "SELECT to_regclass('saga') IS NOT NULL AS there"
TABLE = (
    "CREATE TABLE saga (id text PRIMARY KEY, told text[] NOT NULL,"
    " at timestamptz NOT NULL DEFAULT clock_timestamp())"
)
DONE = "INSERT INTO saga (id, told) VALUES (%(id)s, %(told)s) ON CONFLICT DO NOTHING"
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]

_connector = procrastinate.PsycopgConnector(conninfo=os.environ["PEER_DATABASE_URL"])
jobs = procrastinate.App(connector=_connector)
_http = httpx2.AsyncClient(base_url=os.environ["PEER_PROVIDER_URL"])


class Due(BaseModel):
    """When a timer is to fire."""

    due: datetime


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """The worker lives as long as the process."""
    async with jobs.open_async():
        if not (await _connector.execute_query_one_async(THERE))["there"]:
            await jobs.schema_manager.apply_schema_async()
            await _connector.execute_query_async(TABLE)
        working = asyncio.create_task(
            jobs.run_worker_async(
                concurrency=AT_ONCE, fetch_job_polling_interval=POLLED_EVERY_S, install_signal_handlers=False
            )
        )
        yield
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


app = FastAPI(lifespan=lifespan)


@jobs.task(retry=8)
async def call(run: str, told: list[str]) -> None:
    """One call to the outside, and then the next one."""
    what = STEPS[len(told)]
    answer = await _http.post(f"/{what}", headers={"Idempotency-Key": f"{run}-{what}"})
    answer.raise_for_status()
    told = [*told, str(answer.json()["id"])]
    if len(told) < len(STEPS):
        await call.defer_async(run=run, told=told)
    else:
        await _connector.execute_query_async(DONE, id=run, told=told)


@jobs.task
async def fire() -> None:
    """A time has come; that its job succeeded is the record of it."""


@app.post("/sagas", status_code=202)
async def start_saga(_: Clerk, idempotency_key: Key) -> None:
    """Start a saga, once per key while its first job waits."""
    with suppress(AlreadyEnqueued):
        await call.configure(queueing_lock=idempotency_key).defer_async(run=idempotency_key, told=[])


@app.post("/timers", status_code=202)
async def start_timer(_: Clerk, idempotency_key: Key, body: Due) -> None:
    """Start a timer, once per key while it waits."""
    with suppress(AlreadyEnqueued):
        await fire.configure(queueing_lock=idempotency_key, schedule_at=body.due).defer_async()
