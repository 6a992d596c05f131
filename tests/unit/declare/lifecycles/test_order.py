"""Every transition of orders, payments, fulfillments and refunds is walked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.unit.declare.lifecycles.order import Reply, app
from tests.unit.declare.lifecycles.walking import Walk

CLERK = ("cleo", "clerk")
KEEPER = ("willy", "warehouse")


class Shop(Walk):
    """Walks with orders of four items at five each."""

    def order(self, settled: int = 0, authorized: int = 0) -> tuple[UUID, UUID]:
        """An order that is to be paid, with what has been paid of it."""
        sums = self.start("Sums", "begin")
        order = self.start("Order", "open", sums=sums)
        self.do("Order", "begin", order)
        self.do("Order", "put", order, quantity=4, price=5)
        self.do("Order", "choose", order, shipping="post")
        assert self.do("Order", "arrange", order) == "arranging_payment"
        for amount, at_once in ((settled, True), (authorized, False)):
            if amount:
                self.pay(order, amount, at_once)
        return order, sums

    def pay(self, order: UUID, amount: int, at_once: bool = True) -> UUID:
        payment = self.payment(order, amount)
        heard = self.hear("Payment", "authorize.done", payment, result=Reply(at_once))
        assert heard == ("settled" if at_once else "authorized")
        return payment

    def payment(self, order: UUID, amount: int) -> UUID:
        sums = self.value("Order", order, "sums")
        return self.start("Payment", "start", order=order, sums=sums, amount=amount)

    def parcel(self, order: UUID, items: int, *commands: str) -> UUID:
        sums = self.value("Order", order, "sums")
        parcel = self.start("Fulfillment", "start", *KEEPER, order=order, sums=sums, items=items)
        for command in ("pack", *commands):
            self.do("Fulfillment", command, parcel, *KEEPER)
        return parcel

    def at(self, order: UUID) -> str:
        return self.state("Order", order)


def walk_before_payment(shop: Shop) -> None:
    sums = shop.start("Sums", "begin")
    order = shop.start("Order", "open", sums=sums)
    assert shop.do("Order", "begin_draft", order, *CLERK) == "draft"
    shop.do("Order", "put_in_draft", order, *CLERK, quantity=1, price=1)
    assert shop.refused("Order", "arrange", order, *CLERK) == "guard-failed"
    shop.do("Order", "choose_in_draft", order, *CLERK, shipping="post")
    assert shop.do("Order", "arrange", order, *CLERK) == "arranging_payment"
    assert shop.do("Order", "revise", order) == "adding_items"
    shop.do("Order", "miss_variant", order, *CLERK, deleted_variants=True)
    assert shop.refused("Order", "arrange", order) == "guard-failed"
    assert shop.do("Order", "cancel", order) == "cancelled"
    assert shop.do("Sums", "close", sums, *CLERK) == "closed"


def walk_payments(shop: Shop) -> None:
    order, _ = shop.order(settled=8)
    assert shop.at(order) == "arranging_payment"
    held = shop.pay(order, 12, at_once=False)
    assert shop.at(order) == "payment_authorized"
    assert shop.do("Payment", "capture", held, *CLERK) == "capturing"
    assert shop.hear("Payment", "collect.done", held) == "settled"
    assert shop.at(order) == "payment_settled"
    order, sums = shop.order()
    for outcome, end in (("failed", "declined"), ("unknown", "error")):
        payment = shop.payment(order, 3)
        assert shop.hear("Payment", f"authorize.{outcome}", payment, code="x", reason="") == end
        assert shop.do("Payment", "cancel", payment, *CLERK) == "cancelled"
    for outcome in ("failed", "unknown"):
        held = shop.pay(order, 3, at_once=False)
        shop.do("Payment", "capture", held, *CLERK)
        assert shop.hear("Payment", f"collect.{outcome}", held, code="x", reason="") == "error"
    early, late, taken = (shop.payment(order, cents) for cents in (3, 4, 5))
    for payment in (early, late, taken):
        assert shop.do("Payment", "cancel", payment, *CLERK) == "withdrawing"
    assert shop.hear("Payment", "authorize.failed", early) == "cancelled"
    before = shop.value("Sums", sums, "authorized")
    assert shop.hear("Payment", "authorize.done", late, result=Reply(False)) == "authorized"
    assert shop.value("Sums", sums, "authorized") == before + 4
    assert shop.do("Payment", "cancel", late, *CLERK) == "cancelled"
    assert shop.value("Sums", sums, "authorized") == before
    settled = shop.value("Sums", sums, "settled")
    assert shop.hear("Payment", "authorize.done", taken, result=Reply(True)) == "settled"
    assert shop.value("Sums", sums, "settled") == settled + 5
    assert shop.do("Payment", "cancel", taken, *CLERK) == "cancelled"
    for outcome in ("done", "failed"):
        refund = shop.start("Refund", "start", *CLERK, payment=held, amount=2)
        assert shop.hear("Refund", f"pay_back.{outcome}", refund).startswith(("settled", "failed"))
    assert shop.not_started("Refund", "start", *CLERK, payment=held, amount=4) == "guard-failed"


STAGES: dict[str, list[tuple[int, tuple[str, ...]]]] = {
    "payment_settled": [],
    "partially_shipped": [(1, ("ship",))],
    "shipped": [(1, ("ship",)), (3, ("ship",))],
    "partially_delivered": [(1, ("ship", "deliver"))],
}


def shipped_to(shop: Shop, stage: str) -> UUID:
    """An order that is paid and on its way as far as this."""
    if stage == "payment_authorized":
        return shop.order(authorized=20)[0]
    order, _ = shop.order(settled=20)
    for items, commands in STAGES[stage]:
        shop.parcel(order, items, *commands)
    assert shop.at(order) == stage
    return order


def walk_shipping(shop: Shop) -> None:
    order = shipped_to(shop, "partially_delivered")
    parcel = shop.parcel(order, 3, "deliver")
    assert shop.at(order) == "delivered"
    assert shop.do("Fulfillment", "cancel", parcel, *CLERK) == "cancelled"
    assert shop.at(order) == "delivered", "there is no way back, and nothing is refused for it"
    assert shop.refused("Order", "cancel", order, *CLERK) == "guard-failed"
    shop.do("Sums", "call_off", shop.value("Order", order, "sums"), *CLERK, quantity=4)
    assert shop.do("Order", "cancel", order, *CLERK) == "cancelled"


def walk_changes(shop: Shop) -> None:
    """An order that was opened again returns to where it stood."""
    for stage in ("payment_authorized", *STAGES):
        order = shipped_to(shop, stage)
        assert shop.do("Order", "modify", order, *CLERK) == "modifying"
        assert shop.refused("Order", "need_more", order, *CLERK) == "guard-failed"
        assert shop.do("Order", "finish", order, *CLERK) == stage
        shop.do("Order", "modify", order, *CLERK, unsettled=2)
        assert shop.refused("Order", "finish", order, *CLERK) == "guard-failed"
        assert shop.do("Order", "need_more", order, *CLERK) == "arranging_additional_payment"
        assert shop.do("Order", "go_on", order, *CLERK) == stage
    order = shipped_to(shop, "payment_authorized")
    assert shop.do("Order", "ask_for_more", order, *CLERK) == "arranging_additional_payment"


def test_every_transition_is_walked() -> None:
    shop = Shop(app)
    walks: list[Any] = [walk_before_payment, walk_payments, walk_shipping, walk_changes]
    for walk in walks:
        walk(shop)
    assert shop.not_walked() == []
