"""DBOS Transact behind FastAPI: a workflow named by the key, a step for each call, a durable sleep.

As in its documentation: the workflow's id is the key, a step's output is recorded when it ends, and a time is
waited for with `DBOS.sleep`. Pools and everything else are as DBOS sets them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import httpx2
from dbos import DBOS, DBOSConfig, SetWorkflowID
from fastapi import FastAPI, Header
from pydantic import BaseModel

from bench.speed.peers.access import Clerk

CONFIG: DBOSConfig = {
    "name": "workflows", "system_database_url": os.environ["PEER_DATABASE_URL"], "log_level": "WARNING",
}  # fmt: skip
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]

DBOS(config=CONFIG)
_http = httpx2.AsyncClient(base_url=os.environ["PEER_PROVIDER_URL"])


class Due(BaseModel):
    """When a timer is to fire."""

    due: datetime


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """DBOS lives as long as the process."""
    DBOS.launch()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)


@DBOS.step(retries_allowed=True, max_attempts=8)
async def call(what: str, key: str) -> str:
    """One call to the outside."""
    answer = await _http.post(f"/{what}", headers={"Idempotency-Key": key})
    answer.raise_for_status()
    return str(answer.json()["id"])


@DBOS.workflow()
async def saga() -> dict[str, str]:
    """Three calls that are all made, or all taken back."""
    run, undo, told = DBOS.workflow_id, list[str](), dict[str, str]()
    try:
        for what, back in (("reserve", "release"), ("charge", "refund"), ("ship", None)):
            told[what] = await call(what, f"{run}-{what}")
            undo += [back] if back else []
    except Exception:  # noqa: BLE001 - whatever a step failed with
        for back in reversed(undo):
            await call(back, f"{run}-{back}")
    return told


@DBOS.workflow()
async def timer(due: float) -> None:
    """Wait for a time."""
    await DBOS.sleep_async(max(0.0, due - datetime.now(UTC).timestamp()))


@app.post("/sagas", status_code=202)
async def start_saga(_: Clerk, idempotency_key: Key) -> None:
    """Start a saga, once per key."""
    with SetWorkflowID(idempotency_key):
        await DBOS.start_workflow_async(saga)


@app.post("/timers", status_code=202)
async def start_timer(_: Clerk, idempotency_key: Key, body: Due) -> None:
    """Start a timer, once per key."""
    with SetWorkflowID(idempotency_key):
        await DBOS.start_workflow_async(timer, body.due.timestamp())
