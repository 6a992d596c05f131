"""Planted faults that the model alone shows: each is found, by few steps, and told with the line that let it.

What a fault breaks is said by another word than the one that was changed, as `always`; the backends as they
are give no finding.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.canaries.mutants import ROOT, declared, explored, mutant

ENROLLMENT, BOOKING = "examples/enrollment/system.py", "examples/booking/system.py"
CHECKOUT, SHOP = "examples/checkout/system.py", "tests/canaries/shop.py"
ACTS = {ENROLLMENT: 3_000, BOOKING: 2_500, CHECKOUT: 5_000, SHOP: 1_500}


class Canary(NamedTuple):
    """A fault: what is written instead of what, which promise breaks, in how many steps, and the last.

    acts: how many it takes to find it, where its backend's number isn't enough.
    """

    backend: str
    old: str
    new: str
    promise: str
    steps: int
    last: str
    acts: int = 0


CANARIES = {
    # A registration of a group counts as one (SparkDevNetwork/Rock#2059).
    "a group counts as one": Canary(
        SHOP, "when=taken + given.people <= seats)", "when=taken < seats)", "Outing.enough_seats", 2,
        "Outing.join",
    ),
    "nobody counts the beds": Canary(
        BOOKING, "when=(people <= room.beds) & in_state", "when=in_state", "Booking.room_enough", 2,
        "Booking.hold",
    ),
    # The timer of unpaid orders looks only at the state (woocommerce-gateway-stripe#5485).
    "a paid order lapses": Canary(
        SHOP, "after=timedelta(days=14), when=received == 0)", "after=timedelta(days=14))",
        "Order.no_money_lost", 3, "Order.lapse",
    ),
    "settled before it is paid": Canary(
        SHOP, "by=clerk, when=received >= price)", "by=clerk)", "Order.nothing_for_free", 3, "Order.send"
    ),
    "what is taken isn't written down": Canary(
        SHOP, "        self.taken_out += amount\n", "", "Purse.adds_up", 3, "Purse.take"
    ),
    "two eyes": Canary(ENROLLMENT, "dean & ~performed(verify)", "dean", "four_eyes", 5, "Enrollment.approve"),
    "unseen": Canary(
        ENROLLMENT, "@transition(verified, to=approved", "@transition([submitted, verified], to=approved",
        "four_eyes", 4, "Enrollment.approve",
    ),
    "by another hand": Canary(
        ENROLLMENT, "to=submitted, by=actor == applicant", "to=submitted, by=authenticated",
        "by_own_hand", 3, "Enrollment.submit",
    ),
    "a place is kept": Canary(
        ENROLLMENT, "self.course.give_back_seat()", "self.course.id", "places_add_up", 6, "Enrollment.leave"
    ),
    "one place too many": Canary(
        ENROLLMENT, "invariant(taken <= seats,", "invariant(taken <= seats + 1,",
        "places_add_up", 9, "Enrollment.approve",
    ),
    "two applications at once": Canary(
        ENROLLMENT, "among=[draft, submitted, verified, approved]", "among=[submitted, verified, approved]",
        "one_at_a_time", 3, "Enrollment.start",
    ),
    "with another one's card": Canary(
        CHECKOUT, "order.gift_card.holder != order.buyer", "order.gift_card.holder != order.gift_card.holder",
        "own_gift_cards", 2, "Order.place_by_transfer",
    ),
    "what was never carried out is given back": Canary(
        CHECKOUT, "sets=[order, on_first], when=sold & (on_first > 0)",
        "sets=[order, on_first], when=on_first > 0", "Refund.of_what_was_sold", 2, "Refund.ask",
    ),
    "a coupon stays used": Canary(
        CHECKOUT, "            self.coupon.give_back()\n", "            pass\n", "coupons_add_up", 6,
        "Order.give_back",
    ),
    "stuck behind a tour that is over": Canary(
        BOOKING, '    if party.tour.state == "open":\n', "    if party.tour.state:\n",
        "Party.lapse can happen", 5, "Party.lapse",
    ),
    "approved by nobody": Canary(
        ENROLLMENT, "dean & ~performed(verify)", "dean & performed(verify) & ~performed(verify)",
        "Enrollment.can_be_approved", 0, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CANARIES)
def test_a_planted_fault_is_found_shrunk_and_told_with_its_line(name: str, tmp_path: Path) -> None:
    canary = CANARIES[name]
    system = mutant(canary.backend, canary.old, canary.new, tmp_path)
    findings = {finding.promise: finding for finding in explored(system, canary.acts or ACTS[canary.backend])}
    assert canary.promise in findings, list(findings)
    found = findings[canary.promise]
    path = found.schedule.acts
    assert len(path) <= canary.steps, found.story
    assert found.sentence
    if canary.last:
        entity, _, word = canary.last.partition(".")
        assert (path[-1].entity, path[-1].command) == (entity, word)
        place = str(system.entities[entity].transitions[word].place)
        assert place in f"{found.why} {found.place}" or canary.promise.endswith("can end")


@pytest.mark.parametrize("backend", ACTS)
def test_the_backends_as_they_are_give_no_finding(backend: str, tmp_path: Path) -> None:
    system = declared((ROOT / backend).read_text("utf-8"), tmp_path)
    assert [finding.sentence for finding in explored(system, ACTS[backend])] == []
