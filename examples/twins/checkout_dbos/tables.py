"""What is kept: coupons, gift cards, orders and refunds, what has happened to them, and what is owed."""

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from dbos import SQLAlchemyDatasource
from sqlalchemy import JSON, CheckConstraint, DateTime, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["CHECKOUT_DATABASE_URL"]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True), dict[str, Any]: JSON,
    }  # fmt: skip


class Record(Base):
    __abstract__ = True
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=0)


class Coupon(Record):
    __tablename__ = "coupon"
    code: Mapped[str] = mapped_column(String(40))
    cents: Mapped[int]
    limit: Mapped[int]
    used: Mapped[int] = mapped_column(default=0)
    until: Mapped[datetime]
    __table_args__ = (CheckConstraint('used BETWEEN 0 AND "limit"', "coupon_used_up"),)


class GiftCard(Record):
    __tablename__ = "gift_card"
    holder: Mapped[str]
    balance: Mapped[int]
    spent: Mapped[int] = mapped_column(default=0)
    into: Mapped[str | None]
    __table_args__ = (CheckConstraint("balance >= 0 AND spent >= 0", "gift_card_balance"),)


class Order(Record):
    __tablename__ = "orders"
    buyer: Mapped[str]
    sku: Mapped[str] = mapped_column(String(64))
    quantity: Mapped[int]
    price: Mapped[int]
    address: Mapped[str | None] = mapped_column(String(500))
    email: Mapped[str | None] = mapped_column(String(254))
    coupon: Mapped[str | None] = mapped_column(ForeignKey("coupon.id"))
    gift_card: Mapped[str | None] = mapped_column(ForeignKey("gift_card.id"))
    gift_cents: Mapped[int] = mapped_column(default=0)
    card: Mapped[str | None] = mapped_column(String(64))
    second_card: Mapped[str | None] = mapped_column(String(64))
    second_cents: Mapped[int] = mapped_column(default=0)
    coupon_cents: Mapped[int] = mapped_column(default=0)
    card_cents: Mapped[int] = mapped_column(default=0)
    later: Mapped[bool] = mapped_column(default=False)
    payment: Mapped[str | None]
    second_payment: Mapped[str | None]
    shipment: Mapped[str | None]
    problem: Mapped[str | None]
    __table_args__ = (
        CheckConstraint("coupon_cents + gift_cents + card_cents + second_cents = price", "adds_up"),
        CheckConstraint("least(coupon_cents, gift_cents, card_cents, second_cents) >= 0", "not_below_zero"),
        CheckConstraint("gift_cents = 0 OR gift_card IS NOT NULL", "from_gift_card"),
        CheckConstraint("second_cents = 0 OR second_card IS NOT NULL", "on_second_card"),
        CheckConstraint("card_cents = 0 OR later OR card IS NOT NULL", "on_card"),
    )


class Refund(Record):
    __tablename__ = "refund"
    order: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    on_first: Mapped[int] = mapped_column(default=0)
    on_second: Mapped[int] = mapped_column(default=0)
    on_gift: Mapped[int] = mapped_column(default=0)
    receipt: Mapped[str | None]
    problem: Mapped[str | None]
    __table_args__ = (CheckConstraint("least(on_first, on_second, on_gift) >= 0", "gives_back"),)


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


class Owed(Base):
    """A call that was refused and has to be done all the same: it waits for a person."""

    __tablename__ = "owed"
    id: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[str] = mapped_column(index=True)
    path: Mapped[str]
    code: Mapped[str]


source = SQLAlchemyDatasource.create(URL)
