"""The strongest service that is usually written by hand: FastAPI, bare asyncpg, one transaction, no ORM.

Seven round trips: BEGIN, the row with its lock, the key with its answer, the row's change, the audit
entry, the outbox, COMMIT. A copy of a request waits at the row, then finds the key and
is given the kept answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from bench.speed.peers.access import Clerk
from bench.speed.peers.evidence import entry, fingerprint

POOL = {"min_size": 10, "max_size": 10}
"""asyncpg's own defaults."""

LOCK = "SELECT state, version, head, amount, captured FROM payment WHERE id = $1 FOR NO KEY UPDATE"
CLAIM = (
    "INSERT INTO idempotency_key (subject, key, fingerprint, status, body) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT DO NOTHING RETURNING true"
)
KNOWN = "SELECT fingerprint, status, body FROM idempotency_key WHERE subject = $1 AND key = $2"
CHANGE = "UPDATE payment SET version = $2, captured = $3, head = $4 WHERE id = $1"
LOG = "INSERT INTO audit_entry (record, version, header, hash) VALUES ($1, $2, $3, $4)"
SEND = "INSERT INTO outbox (record, version, kind) VALUES ($1, $2, 'captured')"


class Capture(BaseModel):
    """The body of a capture."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: int = Field(ge=1, le=2**53)


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncGenerator[None]:
    """The pool lives as long as the process."""
    async with asyncpg.create_pool(os.environ["PEER_DATABASE_URL"], **POOL) as pool:
        application.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/payments/{record}/capture")
async def capture(
    record: UUID, body: Capture, subject: Clerk, idempotency_key: Annotated[str, Header(max_length=255)]
) -> Response:
    """Capture a part, once per key."""
    mark = fingerprint(record, body.amount)
    async with app.state.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(LOCK, record)
        if row is None:
            raise HTTPException(404)
        version, captured = row["version"] + 1, row["captured"] + body.amount
        status, answer = 200, _shown(record, version, row["amount"], captured)
        if row["state"] != "open" or captured > row["amount"]:
            status, answer = 409, json.dumps({"code": "refused", "state": row["state"]})
        if not await connection.fetchval(CLAIM, subject, idempotency_key, mark, status, answer):
            return _replay(await connection.fetchrow(KNOWN, subject, idempotency_key), mark)
        if status == 200:
            header, head = entry(record, version, row["head"], subject, body.amount, captured)
            await connection.execute(CHANGE, record, version, captured, head)
            await connection.execute(LOG, record, version, header, head)
            await connection.execute(SEND, record, version)
    return Response(answer, status, media_type="application/json")


def _shown(record: UUID, version: int, amount: int, captured: int) -> str:
    shown: dict[str, Any] = {
        "id": str(record), "state": "open", "version": version, "amount": amount, "captured": captured,
    }  # fmt: skip
    return json.dumps(shown)


def _replay(known: Any, mark: bytes) -> Response:
    if known["fingerprint"] != mark:
        raise HTTPException(422, "The key was used for another request.")
    return Response(known["body"], known["status"], {"Idempotency-Replayed": "true"}, "application/json")
