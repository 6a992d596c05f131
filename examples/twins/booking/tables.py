"""What is kept: rooms and their stays, tours and their parties, and what has happened."""

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from dbos import SQLAlchemyDatasource
from sqlalchemy import JSON, CheckConstraint, DateTime, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["BOOKING_DATABASE_URL"]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True), dict[str, Any]: JSON,
    }  # fmt: skip


class Record(Base):
    __abstract__ = True
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=0)
    since: Mapped[int] = mapped_column(default=0)


class Room(Record):
    __tablename__ = "room"
    number: Mapped[str] = mapped_column(String(20))
    beds: Mapped[int]


class Booking(Record):
    __tablename__ = "booking"
    owner: Mapped[str]
    room: Mapped[str] = mapped_column(ForeignKey("room.id"), index=True)
    arrives: Mapped[datetime]
    leaves: Mapped[datetime]
    people: Mapped[int]
    __table_args__ = (CheckConstraint("arrives < leaves"),)


class Tour(Record):
    __tablename__ = "tour"
    title: Mapped[str] = mapped_column(String(200))
    places: Mapped[int]
    asked: Mapped[int] = mapped_column(default=0)
    starts: Mapped[datetime]


class Party(Record):
    __tablename__ = "party"
    owner: Mapped[str]
    tour: Mapped[str] = mapped_column(ForeignKey("tour.id"), index=True)
    people: Mapped[int]
    turn: Mapped[int] = mapped_column(default=0)


class Entry(Base):
    """What has happened to a record, or was refused, and by whom."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    record: Mapped[str] = mapped_column(index=True)
    word: Mapped[str]
    actor: Mapped[str]
    given: Mapped[dict[str, Any]]
    version: Mapped[int | None]
    state: Mapped[str | None]
    refused: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


source = SQLAlchemyDatasource.create(URL)
