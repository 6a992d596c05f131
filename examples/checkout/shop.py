"""What the tests of the checkout share: a stage, the outside in its own process, the account of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from avow.engine.outside import Destination
from avow.engine.workers.clients import Clients
from avow.testing import Found, Provider, Stage, stage

from .system import app

PRICE, DISCOUNT = 5_000, 500
ENDED = ("completed", "cancelled")
ON_PURPOSE = {"payment.authorize": 2, "payment.void": 2, "payment.capture": 2, "payment.refund": 3}
"""An order may have two cards, and several refunds; the sums tell whether that is so."""


@dataclass
class Shop:
    """One shop, its outside, and everything that was bought, sold or issued in it."""

    s: Stage
    outside: Provider
    orders: list[UUID] = field(default_factory=list[UUID])
    coupons: list[UUID] = field(default_factory=list[UUID])
    gift_cards: dict[UUID, int] = field(default_factory=dict[UUID, int])
    refunds: list[UUID] = field(default_factory=list[UUID])

    async def buy(self, buyer: str = "ann", **given: Any) -> UUID:
        """An order of one chair, paid by card unless said otherwise; nothing is carried out yet."""
        wanted = {"sku": "chair", "quantity": 1, "price": PRICE, "card": "4242"} | given
        order = await self.s.as_(buyer).do("Order.place", **wanted)
        self.orders.append(order)
        return order

    async def announce(self, buyer: str = "ann", **given: Any) -> UUID:
        """The same, paid by transfer, which the provider expects now."""
        order = await self.place_by_transfer(buyer, **given)
        await self.settle()
        return order

    async def place_by_transfer(self, buyer: str = "ann", **given: Any) -> UUID:
        """The same, of which the provider hasn't been told yet."""
        wanted = {"sku": "chair", "quantity": 1, "price": PRICE} | given
        order = await self.s.as_(buyer).do("Order.place_by_transfer", **wanted)
        self.orders.append(order)
        return order

    async def coupon(self, limit: int = 1) -> UUID:
        """A coupon of five euros, for so many orders."""
        until = self.s.now + timedelta(days=365)
        given = {"code": "SPRING", "cents": DISCOUNT, "limit": limit, "until": until}
        coupon = await self.s.as_("dan", "shopkeeper").do("Coupon.issue", **given)
        self.coupons.append(coupon)
        return coupon

    async def gift_card(self, cents: int, holder: str = "ann") -> UUID:
        """A gift card with so much on it."""
        card = await self.s.as_("dan", "shopkeeper").do("GiftCard.sell", holder=holder, balance=cents)
        self.gift_cards[card] = cents
        return card

    async def refund(self, order: UUID, command: str = "ask", **cents: int) -> UUID:
        """Money of an order to be given back."""
        refund = await self.s.as_("dan", "shopkeeper").do(f"Refund.{command}", order=order, **cents)
        self.refunds.append(refund)
        return refund

    async def cancel(self, order: UUID, buyer: str = "ann") -> None:
        """The buyer's wish."""
        await self.s.as_(buyer).do("Order.cancel", order)

    async def settle(self) -> None:
        """Until nothing moves any more."""
        await self.s.work()
        await self.s.try_again()

    async def state(self, order: UUID) -> str:
        return (await self.s.look(order)).state

    async def ask(self, what: Any, *given: Any, **options: Any) -> Any:
        """Tell the outside how to behave, without holding up the shop."""
        return await asyncio.to_thread(what, *given, **options)

    async def check(self, stuck: int = 0) -> None:
        """The account: each order has ended as it should or is stuck, and the outside agrees to the cent."""
        ledger = await self.ask(self.outside.ledger)
        sums: dict[str, dict[str, int]] = ledger.sums()
        waits = {work["id"] for work in await self.s.waiting() if work["stuck"]}
        assert len(waits) == stuck, await self.s.waiting()
        owed = [task for task in await self.s.as_("fin", "finance", "operator").tasks() if task["owed"]]
        assert {task["record"] for task in owed} == set(map(str, waits))
        orders = [await self.s.look(order) for order in self.orders]
        refunds = [await self.s.look(refund) for refund in self.refunds]
        for order in orders:
            assert order.state in ENDED or order.id in waits, f"an order hangs in {order.state}"
            if order.id not in waits:
                back = sum(r.on_first + r.on_second for r in refunds if r.order == order.id and _returned(r))
                _check_order(order, sums.get(str(order.id), {}), back)
        assert ledger.doubled(ON_PURPOSE) == []
        if not stuck:
            await self._check_gifts(orders, refunds)

    async def _check_gifts(self, orders: list[Found], refunds: list[Found]) -> None:
        """No cent of a gift card and no use of a coupon is lost or made."""
        kept = [order for order in orders if order.state == "completed"]
        for coupon in self.coupons:
            assert (await self.s.look(coupon)).used == sum(order.coupon == coupon for order in kept)
        for card, sold in self.gift_cards.items():
            found = await self.s.look(card)
            back = {r.order: r.on_gift for r in refunds}
            spent = sum(o.gift_cents - back.get(o.id, 0) for o in kept if o.gift_card == card)
            assert (found.balance, found.spent) == (sold - spent, spent)


def _returned(refund: Found) -> bool:
    return refund.state == "returned"


def _check_order(order: Found, sums: dict[str, int], back: int) -> None:
    """The outside's lines of one order against its record."""
    paid = order.card_cents + order.second_cents
    reserved = sums.get("stock.reserve", 0) - sums.get("stock.release", 0)
    captured = sums.get("payment.capture", 0)
    # A transfer that was called off before it arrived was never held.
    authorized = sums.get("payment.authorize", 0)
    held = authorized and authorized - sums.get("payment.void", 0)
    if order.state == "completed":
        assert (reserved, captured, held) == (order.quantity, paid, paid)
        assert sums.get("payment.refund", 0) == back
        assert "shipping.ship" in sums
    else:
        assert (reserved, captured, held) == (0, 0, 0), "a cancelled order has left something behind"
        assert "shipping.ship" not in sums


@asynccontextmanager
async def shop(outside: Provider) -> AsyncGenerator[Shop]:
    """An empty shop."""
    await asyncio.to_thread(outside.reset)
    clients = Clients({
        name: Destination(name, outside.url, allow_private=True) for name in ("stock", "payment", "shipping")
    })  # fmt: skip
    try:
        async with stage(app, http=clients.open) as s:
            yield Shop(s, outside)
    finally:
        await clients.aclose()
