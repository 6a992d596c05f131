"""The tables that every service has, and the one way to a database session."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime

from .problems import ProblemError

Sessions = async_sessionmaker[AsyncSession]

# No statement may hold a row or a connection longer than this.
STATEMENT_TIMEOUT_S = 10
LOCK_TIMEOUT_S = 5
CONNECTIONS_MAX = 20


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }


class AuditEntry(Base):
    """Who did what to which record; written in the transaction of the change itself."""

    __tablename__ = "audit_entries"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    record: Mapped[uuid.UUID] = mapped_column(index=True)
    action: Mapped[str]
    actor: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str]
    detail: Mapped[dict[str, Any]]


class IdempotencyKey(Base):
    """One intended command of one caller: in progress while `status` is null, answered afterwards."""

    __tablename__ = "idempotency_keys"
    tenant: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    locked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None]


def connect(database_url: str) -> AsyncEngine:
    """A pool on a `postgresql://` address. Nothing is opened before the first use."""
    scheme, separator, rest = database_url.partition("://")
    if not separator or scheme not in ("postgres", "postgresql"):
        raise ValueError("TWIN_DATABASE_URL must start with postgresql://")
    limits = {
        "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        "lock_timeout": f"{LOCK_TIMEOUT_S}s",
        "idle_in_transaction_session_timeout": f"{STATEMENT_TIMEOUT_S}s",
    }
    return create_async_engine(
        f"postgresql+asyncpg://{rest}",
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # what people write stays out of the log
        connect_args={"server_settings": limits},
    )


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncGenerator[AsyncSession, None]:
    """One READ COMMITTED transaction: committed at the end, rolled back by any exception.

    Raises ProblemError 409 when a constraint refuses, and a retryable 503 when PostgreSQL asks to try again.
    """
    try:
        async with sessions.begin() as session:
            yield session
    except DBAPIError as error:
        match getattr(error.orig, "sqlstate", None):
            case "23505":
                raise ProblemError(
                    409, "unique-violated", "Another record already has these values."
                ) from error
            case "23514":
                raise ProblemError(
                    409, "invariant-violated", "There is nothing left of what was wanted."
                ) from error
            case "22021":
                raise ProblemError(
                    422, "input-invalid", "A text contains a character that can't be stored."
                ) from error
            case "40001" | "40P01" | "55P03" | "57014":
                raise ProblemError(
                    503, "contention", "Send the same request again.", retryable=True
                ) from error
            case _:
                raise
