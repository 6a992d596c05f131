"""What is kept: cases, what has happened to them, what people are asked, and who is told."""

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from dbos import SQLAlchemyDatasource
from sqlalchemy import JSON, DateTime, ForeignKey, Index, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["VERIFICATION_DATABASE_URL"]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True), dict[str, Any]: JSON, list[str]: JSON,
    }  # fmt: skip


class Case(Base):
    __tablename__ = "verification"
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    version: Mapped[int] = mapped_column(default=0)
    since: Mapped[int] = mapped_column(default=0)
    person: Mapped[str]
    passport: Mapped[str] = mapped_column(String(20))
    proof: Mapped[str | None] = mapped_column(String(200))
    wanted: Mapped[str | None] = mapped_column(String(200))
    renews: Mapped[str | None] = mapped_column(ForeignKey("verification.id"))
    answer_by: Mapped[datetime]
    scan_id: Mapped[str | None]
    scan: Mapped[str | None]
    scan_risk: Mapped[int] = mapped_column(default=0)
    scan_revision: Mapped[int] = mapped_column(default=0)
    screening_id: Mapped[str | None]
    screening: Mapped[str | None]
    screening_risk: Mapped[int] = mapped_column(default=0)
    screening_revision: Mapped[int] = mapped_column(default=0)
    verdict: Mapped[str | None]
    grounds: Mapped[str | None] = mapped_column(String(2_000))
    assessed_by: Mapped[str | None]
    until: Mapped[datetime | None]
    problem: Mapped[str | None]
    __table_args__ = (
        Index(
            "asked_once", "person", unique=True,
            postgresql_where=text("state IN ('submitted', 'cancelling', 'awaiting')"),
        ),
    )  # fmt: skip


class Entry(Base):
    """What has happened to a case, or was refused, and by whom."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    case: Mapped[str | None]
    version: Mapped[int | None]
    word: Mapped[str]
    actor: Mapped[str]
    state: Mapped[str | None]
    given: Mapped[dict[str, Any]]
    refused: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class Task(Base):
    """A command that waits for a person."""

    __tablename__ = "task"
    id: Mapped[str] = mapped_column(primary_key=True)
    case: Mapped[str] = mapped_column(ForeignKey("verification.id"), index=True)
    word: Mapped[str]
    role: Mapped[str]
    due: Mapped[datetime | None]
    reminded: Mapped[bool] = mapped_column(default=False)
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None]


class Subscription(Base):
    __tablename__ = "subscription"
    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    secret: Mapped[str]
    words: Mapped[list[str]]
    live: Mapped[bool] = mapped_column(default=True)


source = SQLAlchemyDatasource.create(URL)
