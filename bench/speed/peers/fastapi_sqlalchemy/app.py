"""The service that most teams write: FastAPI and SQLAlchemy 2's ORM with asyncio, one session per request.

As in the documentation: mapped classes, one `async_sessionmaker`, `expire_on_commit=False`, the unit of work
writes. The same steps in the same order as its sibling over bare asyncpg.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, Identity, SmallInteger, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.speed.peers.access import Clerk
from bench.speed.peers.evidence import entry, fingerprint


class Row(DeclarativeBase):
    """What is mapped here."""

    type_annotation_map = {int: BigInteger}  # noqa: RUF012 (SQLAlchemy's own form)


class Payment(Row):
    """An authorized amount, of which parts are captured."""

    __tablename__ = "payment"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    version: Mapped[int]
    head: Mapped[bytes]
    amount: Mapped[int]
    captured: Mapped[int]


class IdempotencyKey(Row):
    """One command of one caller, and its answer."""

    __tablename__ = "idempotency_key"
    subject: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEntry(Row):
    """One entry of the log."""

    __tablename__ = "audit_entry"
    entry: Mapped[int] = mapped_column(Identity(), primary_key=True)
    record: Mapped[uuid.UUID]
    version: Mapped[int]
    header: Mapped[bytes]
    hash: Mapped[bytes]


class OutboxItem(Row):
    """One thing to be told to others."""

    __tablename__ = "outbox"
    item: Mapped[int] = mapped_column(Identity(), primary_key=True)
    record: Mapped[uuid.UUID]
    version: Mapped[int]
    kind: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Capture(BaseModel):
    """The body of a capture."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: int = Field(ge=1, le=2**53)


engine = create_async_engine(
    os.environ["PEER_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """The engine lives as long as the process."""
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/payments/{record}/capture")
async def capture(
    record: uuid.UUID, body: Capture, subject: Clerk, idempotency_key: Annotated[str, Header(max_length=255)]
) -> Response:
    """Capture a part, once per key."""
    mark = fingerprint(record, body.amount)
    async with sessions.begin() as session:
        payment = await session.get(Payment, record, with_for_update={"key_share": True})
        if payment is None:
            raise HTTPException(404)
        version, captured = payment.version + 1, payment.captured + body.amount
        status, answer = 200, _shown(payment, version, captured)
        if payment.state != "open" or captured > payment.amount:
            status, answer = 409, json.dumps({"code": "refused", "state": payment.state})
        if not await _claimed(session, subject, idempotency_key, mark, status, answer):
            return _replay(await session.get_one(IdempotencyKey, (subject, idempotency_key)), mark)
        if status == 200:
            header, head = entry(record, version, payment.head, subject, body.amount, captured)
            payment.version, payment.captured, payment.head = version, captured, head
            session.add(AuditEntry(record=record, version=version, header=header, hash=head))
            session.add(OutboxItem(record=record, version=version, kind="captured"))
    return Response(answer, status, media_type="application/json")


async def _claimed(
    session: AsyncSession, subject: str, key: str, mark: bytes, status: int, answer: str
) -> bool:
    fresh = insert(IdempotencyKey).values(
        subject=subject, key=key, fingerprint=mark, status=status, body=answer
    )
    return (await session.scalar(fresh.on_conflict_do_nothing().returning(IdempotencyKey.key))) is not None


def _shown(payment: Payment, version: int, captured: int) -> str:
    return json.dumps({
        "id": str(payment.id), "state": payment.state, "version": version, "amount": payment.amount,
        "captured": captured,
    })  # fmt: skip


def _replay(known: IdempotencyKey, mark: bytes) -> Response:
    if known.fingerprint != mark:
        raise HTTPException(422, "The key was used for another request.")
    return Response(known.body, known.status, {"Idempotency-Replayed": "true"}, "application/json")
