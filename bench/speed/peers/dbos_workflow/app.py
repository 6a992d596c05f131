"""DBOS Transact behind FastAPI: a workflow with one transaction, keyed by the idempotency key.

As in its documentation: the workflow's id is the key (`SetWorkflowID`), the transaction is a step of a
datasource, whose output is recorded in the same transaction. DBOS keeps which keys were seen; the
service writes the row, the audit entry and the outbox. Pools and everything else are as DBOS sets them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSConfig, SetWorkflowID
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from bench.speed.peers.access import Clerk
from bench.speed.peers.evidence import entry

URL = os.environ["PEER_DATABASE_URL"]
CONFIG: DBOSConfig = {"name": "payments", "system_database_url": URL, "log_level": "WARNING"}
# The row is locked, so that nothing needs to be serialized again.
OPTIONS = {"name": "capture", "isolation_level": "READ COMMITTED"}

LOCK = text("SELECT state, version, head, amount, captured FROM payment WHERE id = :id FOR NO KEY UPDATE")
CHANGE = text("UPDATE payment SET version = :version, captured = :captured, head = :head WHERE id = :id")
LOG = text("INSERT INTO audit_entry (record, version, header, hash) VALUES (:id, :version, :header, :head)")
SEND = text("INSERT INTO outbox (record, version, kind) VALUES (:id, :version, 'captured')")


class Capture(BaseModel):
    """The body of a capture."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: int = Field(ge=1, le=2**53)


DBOS(config=CONFIG)
_source: list[AsyncSQLAlchemyDatasource] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """DBOS lives as long as the process."""
    _source.append(await AsyncSQLAlchemyDatasource.create(URL))
    DBOS.launch()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)


async def write(record: str, amount: int, subject: str) -> dict[str, Any] | None:
    """One transaction; None: the capture is refused."""
    session = _source[0].sql_session()
    row = (await session.execute(LOCK, {"id": UUID(record)})).one()
    version, captured = row.version + 1, row.captured + amount
    if row.state != "open" or captured > row.amount:
        return None
    header, head = entry(UUID(record), version, row.head, subject, amount, captured)
    given = {"id": UUID(record), "version": version, "captured": captured, "header": header, "head": head}
    for statement in (CHANGE, LOG, SEND):
        await session.execute(statement, {name: given[name] for name in statement.compile().params})
    return {"id": record, "state": row.state, "version": version, "amount": row.amount, "captured": captured}


@DBOS.workflow()
async def capture_workflow(record: str, amount: int, subject: str) -> dict[str, Any] | None:
    """Runs once per key, whatever crashes."""
    return await _source[0].run_tx_step_async(OPTIONS, write, record, amount, subject)


@app.post("/payments/{record}/capture")
async def capture(
    record: UUID, body: Capture, subject: Clerk, idempotency_key: Annotated[str, Header(max_length=255)]
) -> dict[str, Any]:
    """Capture a part, once per key."""
    with SetWorkflowID(f"{subject}:{idempotency_key}"):
        answer = await capture_workflow(str(record), body.amount, subject)
    if answer is None:
        raise HTTPException(409, "refused")
    return answer
