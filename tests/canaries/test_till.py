"""Looked at first and done later: what somebody else does in between shows wherever nobody looks again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.canaries.mutants import ROOT, declared, explored, mutant

TILL = "tests/canaries/till.py"
ACTS = {"coupons": 2_000, "shelf": 16_000, "cards": 6_000}


class Canary(NamedTuple):
    """A fault: what is written instead of what, which promise breaks, and in how many steps."""

    backend: str
    old: str
    new: str
    promise: str
    steps: int


CANARIES = {
    # The limit is checked, then the use is counted by another statement (saleor#544, django-oscar#2101).
    "a coupon used twice": Canary(
        "coupons", "if self.coupon.used >= self.coupon.limit", "if self.seen >= self.coupon.limit",
        "Coupon.never_more_often", 5,
    ),
    # Two baskets, each below the stock, together above it (magento2#6363, woocommerce#12467).
    "negative stock": Canary(
        "shelf", "if self.pieces > self.item.stock:", "if self.pieces > self.seen:",
        "Item.never_negative", 5,
    ),
    "stock written back as it was read": Canary(
        "shelf", "leave(self.item.stock - self.pieces)", "leave(self.seen - self.pieces)", "stock_adds_up", 5
    ),
    # Two transfers at once, from one gift card to another (Starbucks 2015).
    "a gift card moved twice": Canary(
        "cards", "self.target.balance + self.source.balance", "self.target.balance + self.seen",
        "money_adds_up", 6,
    ),
    "money moved onto itself": Canary(
        "cards", "if self.source.id == self.target.id:", "if self.source.id == self.id:",
        "money_adds_up", 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CANARIES)
def test_what_relies_on_what_was_seen_before_is_found_by_the_smallest_schedule(
    name: str, tmp_path: Path
) -> None:
    canary = CANARIES[name]
    found = explored(mutant(TILL, canary.old, canary.new, tmp_path, canary.backend), ACTS[canary.backend])
    assert [finding.promise for finding in found] == [canary.promise]
    assert len(found[0].schedule.acts) <= canary.steps, found[0].story


@pytest.mark.parametrize("backend", ACTS)
def test_who_looks_again_gives_no_finding(backend: str, tmp_path: Path) -> None:
    system = declared((ROOT / TILL).read_text("utf-8"), tmp_path, backend)
    assert explored(system, ACTS[backend]) == ()
