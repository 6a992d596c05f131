"""What is kept: courses, enrollments, what has happened to them, what people are asked, and who is told."""

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from dbos import SQLAlchemyDatasource
from sqlalchemy import JSON, DateTime, ForeignKey, Index, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["ADMISSION_DATABASE_URL"]


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


class Course(Record):
    __tablename__ = "course"
    title: Mapped[str] = mapped_column(String(200))
    seats: Mapped[int]
    asked: Mapped[int] = mapped_column(default=0)
    begins: Mapped[datetime]


class Enrollment(Record):
    __tablename__ = "enrollment"
    applicant: Mapped[str]
    course: Mapped[str] = mapped_column(ForeignKey("course.id"), index=True)
    essay: Mapped[str] = mapped_column(String(20_000), default="")
    transcript: Mapped[str | None] = mapped_column(String(200))
    remark: Mapped[str | None] = mapped_column(String(1_000))
    verified_by: Mapped[str | None]
    turn: Mapped[int] = mapped_column(default=0)
    __table_args__ = (
        Index(
            "one_each", "applicant", "course", unique=True,
            postgresql_where=text("state NOT IN ('rejected', 'withdrawn', 'lapsed', 'archived')"),
        ),
    )  # fmt: skip


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
    enrollment: Mapped[str] = mapped_column(ForeignKey("enrollment.id"), index=True)
    word: Mapped[str]
    role: Mapped[str]
    due: Mapped[datetime]
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
