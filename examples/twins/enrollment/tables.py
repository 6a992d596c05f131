"""The tables of courses and enrollments."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from examples.twins.service.database import Base


class Course(Base):
    __tablename__ = "courses"
    __table_args__ = (
        UniqueConstraint("tenant", "id"),
        CheckConstraint("seats >= 1", name="course_has_a_seat"),
        CheckConstraint("taken BETWEEN 0 AND seats", name="course_never_oversold"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    tenant: Mapped[str]
    title: Mapped[str]
    seats: Mapped[int]
    taken: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="open")
    version: Mapped[int] = mapped_column(BigInteger)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - its base class declares it so


class Enrollment(Base):
    __tablename__ = "enrollments"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "course"], ["courses.tenant", "courses.id"]),
        Index(
            "enrollment_one_each",
            *("tenant", "course", "applicant"),
            unique=True,
            postgresql_where=text("state IN ('draft', 'submitted', 'verified', 'approved')"),
        ),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    tenant: Mapped[str]
    applicant: Mapped[str]
    course: Mapped[uuid.UUID]
    essay: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="draft")
    verified_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - its base class declares it so
