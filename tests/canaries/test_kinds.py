"""Kinds of bugs that others have had, one of each planted in a reference backend: lint and model find it.

What it breaks is a promise of that backend, or something that contradicts itself whatever is promised.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.canaries.mutants import explored, mutant


class Planted(NamedTuple):
    """A bug: in which backend, what is written instead of what, what breaks, in how many steps at most.

    acts: how many the search is given.
    """

    backend: str
    old: str
    new: str
    promise: str
    steps: int
    acts: int


KINDS = {
    "used once more than granted": Planted(
        "checkout", "invariant(used <= limit,", "invariant(used <= limit + 1,", "coupons_add_up", 3, 5_000
    ),
    "spent and kept": Planted(
        "checkout", "        self.into.load(self.balance)\n        self.balance = 0\n",
        "        self.into.load(self.balance)\n", "GiftCard.poured_out", 3, 3_000,
    ),
    "poured as it was sold": Planted(
        "checkout", "self.into.load(self.balance)", "self.into.load(self.sold)",
        "gift_cards_keep_their_worth", 5, 4_000,
    ),
    "left from behind": Planted(
        "admission",
        """        left = sorted([*self.left, turn])
        while left and left[0] <= self.seats + self.given_back:
            self.given_back += 1
            left.pop(0)
        self.left = left""",
        "        self.given_back += 1", "turns_have_places", 17, 5_000,
    ),
    "over while it is needed": Planted(
        "checkout", "to=withdrawn, by=shopkeeper, when=used == 0)", "to=withdrawn, by=shopkeeper)",
        "Order.give_back can happen", 5, 2_000,
    ),
    "a timer takes what was confirmed": Planted(
        "booking", "lapse = transition(held, to=lapsed", "lapse = transition([held, confirmed], to=lapsed",
        "stays_are_kept", 4, 1_000,
    ),
    "a line is jumped": Planted(
        "booking", "every=minutes(1), when=its_turn, uses=tour)", "every=minutes(1), uses=tour)",
        "Party.in_turn", 3, 5_000,
    ),
    "given back by nobody": Planted(
        "admission", '"""Who stands behind moves up."""\n        self.course.give_back(self.turn)',
        '"""Who stands behind moves up."""', "lines_add_up", 7, 1_500,
    ),
    "an edit keeps the votes": Planted(
        "approval", "        voids=[approve, sanction],\n", "", "Request.revise keeps approve", 4, 8_000
    ),
    "counted until it is paid": Planted(
        "approval", "among=[approved, paid], limit", "among=[approved], limit", "within_means", 6, 5_000
    ),
    "at the bound itself": Planted(
        "approval", "if self.amount < LARGE:", "if self.amount <= LARGE:", "enough_agree", 4, 1_000
    ),
    "both hands of one": Planted(
        "approval", "by=privacy & ~performed(ask), erases", "by=privacy, erases", "forgotten_by_two", 2, 500
    ),
    "four eyes of two roles": Planted(
        "enrollment", "by=dean & ~performed(verify)", "by=dean & ~registrar", "four_eyes", 5, 800
    ),
    "without the board": Planted(
        "approval", "        if self.amount < LARGE:\n            self.grant()", "        self.grant()",
        "enough_agree", 4, 2_500,
    ),
    "rejected with the place in hand": Planted(
        "enrollment", "reject = transition([submitted, verified], to",
        "reject = transition([submitted, verified, approved], to", "places_add_up", 6, 1_000,
    ),
    "undone for ever": Planted(
        "checkout", "on=void_payment.done, sets={payment: None})", "on=void_payment.done)",
        "Order.undone can end", 4, 4_000,
    ),
    "refused when its time has come": Planted(
        "checkout", "            self.coupon.give_back()\n",
        "            self.coupon.give_back()\n            self.coupon.give_back()\n",
        "Order.undone can end", 4, 4_000,
    ),
    "told and dropped": Planted(
        "onboarding", "calling_off, on=make_account.done, sets={account: make_account.result.id}",
        "calling_off, on=make_account.done",
        "Onboarding.stopped_late keeps what make_account tells", 7, 4_000,
    ),
    "a place ahead of its turn": Planted(
        "admission", "every=minutes(1), when=its_turn, uses=course)",
        "every=minutes(1), when=still_open, uses=course)", "Enrollment.in_turn", 12, 4_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_bug_of_each_kind_is_found_in_few_steps(kind: str, tmp_path: Path) -> None:
    planted = KINDS[kind]
    system = mutant(f"examples/{planted.backend}/system.py", planted.old, planted.new, tmp_path)
    findings = {finding.promise: finding for finding in explored(system, planted.acts)}
    assert planted.promise in findings, list(findings)
    found = findings[planted.promise]
    assert len(found.schedule.acts) <= planted.steps + 2, found.story
    assert found.sentence
    assert found.place.line
