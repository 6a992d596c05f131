"""How each order must end and what is kept of its money, computed from the files alone.

It must know nothing of what it judges.
"""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CARRIED_OUT, RETURNED, SOLD_OUT, GIVEN_UP = "carried out", "returned", "sold out", "given up"


@dataclass
class Expected:
    """By order: its end, and what is kept in cents of cards and of gift cards. refused: by code.

    An order that was given up may also have been carried out before, and returned: nothing of it is kept.
    """

    ends: dict[str, str] = field(default_factory=dict[str, str])
    on_cards: dict[str, int] = field(default_factory=dict[str, int])
    on_gift_cards: dict[str, int] = field(default_factory=dict[str, int])
    refused: Counter[str] = field(default_factory=Counter[str])


def expect(folder: Path, every: int) -> Expected:
    """What must come of every `every`-th order."""
    cards, vouchers, found = Counter[str](), Counter[str](), Expected()
    for order, _, kind, _, value in _lines(folder, "order_payments"):
        euros, _, rest = value.partition(".")
        (vouchers if kind == "voucher" else cards)[order] += int(euros) * 100 + int(f"{rest}00"[:2])
    for order, _, status, _, _, carrier, *_ in _lines(folder, "orders")[::every]:
        if cards[order] + vouchers[order] == 0:
            found.refused["input-invalid"] += 1
            continue
        found.ends[order] = end = _end(status, carrier)
        kept = end == CARRIED_OUT
        found.on_cards[order], found.on_gift_cards[order] = kept * cards[order], kept * vouchers[order]
    return found


def _end(status: str, carrier: str) -> str:
    if status == "unavailable":
        return SOLD_OUT
    if status == "canceled":
        return RETURNED if carrier else GIVEN_UP
    return CARRIED_OUT


def _lines(folder: Path, name: str) -> list[list[str]]:
    """The lines below the heading. No member of these files has a comma or a quote in it."""
    text = gzip.decompress((folder / f"olist_{name}_dataset.csv.gz").read_bytes()).decode()
    return [line.replace('"', "").split(",") for line in text.splitlines()[1:]]
