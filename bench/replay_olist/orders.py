"""The orders of the files, each with its payments. The package's docstring explains how they are read."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

CENTS = 100
VOUCHER, BOLETO = "voucher", "boleto"
CANCELLED, UNAVAILABLE = "canceled", "unavailable"


@dataclass(frozen=True, slots=True)
class Order:
    """One order. Amounts in cents, in the order in which the file numbers the payments.

    transfer: paid by boleto. on_its_way: the carrier had it.
    """

    name: str
    status: str
    on_its_way: bool
    sku: str
    pieces: int
    vouchers: tuple[int, ...]
    cards: tuple[int, ...]
    transfer: bool

    @property
    def price(self) -> int:
        """All payments together."""
        return sum(self.vouchers) + sum(self.cards)

    @property
    def given_up(self) -> bool:
        """Cancelled before the carrier had it."""
        return self.status == CANCELLED and not self.on_its_way


def read_orders(folder: Path, every: int) -> list[Order]:
    """Every `every`-th order of the file, as it stands there."""
    items, payments = defaultdict[str, list[str]](list), defaultdict[str, list[dict[str, str]]](list)
    for row in _rows(folder, "order_items"):
        items[row["order_id"]].append(row["product_id"])
    for row in _rows(folder, "order_payments"):
        payments[row["order_id"]].append(row)
    rows = _rows(folder, "orders")[::every]
    return [_order(row, items[row["order_id"]], payments[row["order_id"]]) for row in rows]


def _order(row: dict[str, str], products: list[str], payments: list[dict[str, str]]) -> Order:
    name, status = row["order_id"], row["order_status"]
    paid = sorted(payments, key=lambda payment: int(payment["payment_sequential"]))
    sku = f"gone-{name}" if status == UNAVAILABLE else (products or ["unnamed"])[0]
    return Order(
        name, status, bool(row["order_delivered_carrier_date"]), sku, max(len(products), 1),
        vouchers=tuple(_cents(p) for p in paid if p["payment_type"] == VOUCHER),
        cards=tuple(_cents(p) for p in paid if p["payment_type"] != VOUCHER),
        transfer=any(p["payment_type"] == BOLETO for p in paid),
    )  # fmt: skip


def _cents(payment: dict[str, str]) -> int:
    return int(Decimal(payment["payment_value"]) * CENTS)


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(folder / f"olist_{name}_dataset.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
