"""What is kept: who is to come, what is prepared and handed in, what has happened, who is asked and told."""

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from dbos import SQLAlchemyDatasource
from sqlalchemy import JSON, DateTime, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["ONBOARDING_DATABASE_URL"]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True), dict[str, Any]: JSON, list[str]: JSON,
    }  # fmt: skip


class Record(Base):
    __abstract__ = True
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=0)
    since: Mapped[int] = mapped_column(default=0)


class Case(Record):
    __tablename__ = "onboarding"
    person: Mapped[str]
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(254))
    login: Mapped[str] = mapped_column(String(40))
    boss: Mapped[str]
    first_day: Mapped[datetime]
    account: Mapped[str | None] = mapped_column(String(64))
    called_off: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str | None] = mapped_column(String(100))


class Job(Record):
    """Something that one of us prepares; of each kind one is asked for."""

    __tablename__ = "job"
    onboarding: Mapped[str] = mapped_column(ForeignKey("onboarding.id"), index=True)
    kind: Mapped[str]
    what: Mapped[str] = mapped_column(String(500))
    due: Mapped[datetime]
    __table_args__ = (UniqueConstraint("onboarding", "kind"),)


class Paper(Record):
    __tablename__ = "paper"
    onboarding: Mapped[str] = mapped_column(ForeignKey("onboarding.id"), index=True)
    person: Mapped[str]
    kind: Mapped[str] = mapped_column(String(100))
    due: Mapped[datetime]
    file: Mapped[str | None] = mapped_column(String(200))
    remark: Mapped[str | None] = mapped_column(String(1_000))


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
    kind: Mapped[str]
    record: Mapped[str] = mapped_column(index=True)
    word: Mapped[str]
    role: Mapped[str]
    due: Mapped[datetime]
    reminded: Mapped[int] = mapped_column(default=0)
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
