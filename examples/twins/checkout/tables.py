"""The tables of the checkout. Amounts are whole cents."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from examples.twins.service.database import Base


class Coupon(Base):
    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("tenant", "id"),
        CheckConstraint("used BETWEEN 0 AND usable", name="coupon_never_used_more_often"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    tenant: Mapped[str]
    code: Mapped[str]
    cents: Mapped[int]
    usable: Mapped[int]
    used: Mapped[int] = mapped_column(default=0)
    until: Mapped[datetime]
    version: Mapped[int] = mapped_column(BigInteger)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - its base class declares it so


class Order(Base):
    """later: paid by transfer, until `pay_until`. payment: the provider's id of it, once it is known."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("tenant", "id"),
        ForeignKeyConstraint(["tenant", "coupon"], ["coupons.tenant", "coupons.id"]),
        CheckConstraint("coupon_cents >= 0 AND card_cents >= 0", name="order_paid_by_real_money"),
        CheckConstraint("coupon_cents + card_cents = price", name="order_adds_up"),
        Index("order_unpaid", "pay_until", postgresql_where=text("state = 'awaiting'")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    tenant: Mapped[str]
    buyer: Mapped[str]
    sku: Mapped[str]
    quantity: Mapped[int]
    price: Mapped[int]
    coupon: Mapped[uuid.UUID | None]
    coupon_cents: Mapped[int] = mapped_column(default=0)
    card: Mapped[str | None]
    card_cents: Mapped[int]
    later: Mapped[bool]
    pay_until: Mapped[datetime | None]
    payment: Mapped[str | None]
    shipment: Mapped[str | None]
    problem: Mapped[str | None]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(BigInteger)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - its base class declares it so


class Refund(Base):
    __tablename__ = "refunds"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "order"], ["orders.tenant", "orders.id"]),
        CheckConstraint("cents > 0", name="refund_of_something"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    tenant: Mapped[str]
    order: Mapped[uuid.UUID] = mapped_column(index=True)
    cents: Mapped[int]
    problem: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="asked")
    version: Mapped[int] = mapped_column(BigInteger)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - its base class declares it so


class Job(Base):
    """A call to be made, written in the transaction that wants it (an outbox). Done jobs are deleted.

    key:          under which the other side carries it out once, in all attempts.
    locked_until: until then a worker is at it; a lock that has run out is a dead worker's.
    dead:         why a person has to look at it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("job_ready", "ready_at", postgresql_where=text("dead IS NULL")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    order: Mapped[uuid.UUID] = mapped_column(index=True)
    refund: Mapped[uuid.UUID | None]
    key: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    ready_at: Mapped[datetime] = mapped_column(server_default=func.now())
    locked_until: Mapped[datetime | None]
    locked_by: Mapped[uuid.UUID | None]
    dead: Mapped[str | None]


class Heard(Base):
    """A webhook that was acted on, by the sender's id of it; written in the transaction of what it caused."""

    __tablename__ = "heard"
    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
