"""What is kept: departments, requests, votes, what has happened, and what people are asked."""

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from dbos import SQLAlchemyDatasource
from sqlalchemy import JSON, CheckConstraint, DateTime, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["APPROVAL_DATABASE_URL"]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True), dict[str, Any]: JSON, list[str]: JSON,
    }  # fmt: skip


class Department(Base):
    __tablename__ = "department"
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="running")
    version: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(100))
    budget: Mapped[int]
    seats: Mapped[list[str]]
    __table_args__ = (CheckConstraint("budget >= 0"),)


class Request(Base):
    __tablename__ = "request"
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="", index=True)
    version: Mapped[int] = mapped_column(default=0)
    since: Mapped[int] = mapped_column(default=0)
    requester: Mapped[str]
    department: Mapped[str] = mapped_column(ForeignKey("department.id"), index=True)
    amount: Mapped[int]
    purpose: Mapped[str] = mapped_column(String(500))
    account: Mapped[str] = mapped_column(String(34))
    reason: Mapped[str | None] = mapped_column(String(500))
    due: Mapped[datetime]
    __table_args__ = (CheckConstraint("amount >= 1"),)


class Vote(Base):
    """Who has agreed to a request as it is now."""

    __tablename__ = "vote"
    request: Mapped[str] = mapped_column(ForeignKey("request.id"), primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)


class Entry(Base):
    """What has happened to a record, or was refused, and by whom."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    record: Mapped[str] = mapped_column(index=True)
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
    request: Mapped[str] = mapped_column(ForeignKey("request.id"), index=True)
    word: Mapped[str]
    role: Mapped[str]
    due: Mapped[datetime | None]
    reminded: Mapped[bool] = mapped_column(default=False)
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None]


source = SQLAlchemyDatasource.create(URL)
