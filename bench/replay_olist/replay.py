"""Sending the orders: gift cards, the order, its cancel or its transfer; in the end what is given back.

Each order's steps are sent in their order, all orders at once. What has to be waited for is asked of the
database, so that nobody waits for an answer that a killed process owes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from avow.store.driver import Connection
from avow.testing import Provider
from bench.replay.clients import Clients
from bench.replay.sending import Sender, Token
from bench.replay_olist.orders import CANCELLED, UNAVAILABLE, Order

LANES_AT_ONCE = 48
REPEATS_ONE_IN = 10
LOOK_EVERY_S = 0.25
QUIET_S_MAX = 180.0
"""How long nothing may move before the replay is given up."""

UNPAID = "SELECT id FROM checkout.orders WHERE state = 'awaiting'"
OPEN = """
SELECT (SELECT count(*) FROM checkout.orders o WHERE state NOT IN ('completed', 'cancelled')
    AND NOT EXISTS (SELECT FROM avow.work w WHERE w.id = o.id AND w.stuck IS NOT NULL)) AS orders,
  (SELECT count(*) FROM checkout.refunds r WHERE state = 'asked'
    AND NOT EXISTS (SELECT FROM avow.work w WHERE w.id = r.id AND w.stuck IS NOT NULL)) AS refunds,
  (SELECT count(*) FROM avow.audit) AS entries
"""
COMPLETED = "SELECT id, card_cents, second_cents, gift_cents FROM checkout.orders WHERE state = 'completed'"


class Replay:
    """One run over one server. placed: the record of each order that was accepted.

    finished: called after the first answer of each key. ended: called with how many orders are still open.
    """

    def __init__(
        self, clients: Clients, token: Token, outside: Provider, database: Connection,
        finished: Callable[[], None], ended: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.sender, self.placed = Sender(clients, finished, REPEATS_ONE_IN), dict[str, UUID]()
        self._token, self._outside, self._database, self._ended = token, outside, database, ended
        self._shop, self._paid, self._will_pay = token("dan", "shopkeeper"), set[UUID](), set[UUID]()

    async def run(self, orders: Sequence[Order]) -> None:
        """Send everything; returns when each request has all its answers and nothing moves any more."""
        gone = {order.sku: 0 for order in orders if order.status == UNAVAILABLE}
        await asyncio.to_thread(self._outside.set_stock, gone)
        async with self.sender.repeating():
            await self._all(self._buy, orders)
            await self._wait()
            await self._all(self._take_back, [order for order in orders if order.status == CANCELLED])
            await self._wait()

    async def _all(self, send: Callable[[Order], Any], orders: Sequence[Order]) -> None:
        """Send what each order needs, while transfers arrive."""
        waiting = iter(orders)
        paying = asyncio.create_task(self._pay())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(LANES_AT_ONCE):
                    group.create_task(_in_turn(send, waiting))
        finally:
            paying.cancel()
            with suppress(asyncio.CancelledError):
                await paying

    async def _buy(self, order: Order) -> None:
        buyer = self._token(order.name)
        body: dict[str, Any] = {"sku": order.sku, "quantity": order.pieces, "price": order.price}
        if order.vouchers:
            body |= {"gift_card": await self._gift_card(order, buyer), "gift_cents": sum(order.vouchers)}
        command, path = "place", "/orders"
        if order.transfer:
            command, path = "place_by_transfer", "/orders/place_by_transfer"
        elif order.cards:
            body |= {"card": "4242"}
        if len(order.cards) > 1:
            body |= {"second_card": "5555", "second_cents": sum(order.cards[1:])}
        placed = await self.sender.step("Order", command, path, buyer, f"{order.name}/{command}", body)
        if placed.status >= 400:
            return
        record = self.placed[order.name] = UUID(json.loads(placed.body)["id"])
        if order.given_up:
            path = f"/orders/{record}/cancel"
            await self.sender.step("Order", "cancel", path, buyer, f"{order.name}/cancel")
        elif order.transfer:
            self._will_pay.add(record)

    async def _gift_card(self, order: Order, buyer: str) -> str:
        """One gift card with the money of all the vouchers."""
        cards = list[str]()
        for number, cents in enumerate(order.vouchers):
            body, key = {"holder": order.name, "balance": cents}, f"{order.name}/sell-{number}"
            sold = await self.sender.step("GiftCard", "sell", "/gift_cards", self._shop, key, body)
            cards.append(json.loads(sold.body)["id"])
        for number, card in enumerate(cards[1:]):
            path, key = f"/gift_cards/{card}/pour", f"{order.name}/pour-{number}"
            await self.sender.step("GiftCard", "pour", path, buyer, key, {"into": cards[0]})
        return cards[0]

    async def _take_back(self, order: Order) -> None:
        """Give everything back of a cancelled order that was carried out."""
        done = self._completed.get(self.placed.get(order.name))
        if done is None:
            return
        parts = (("ask", "", "on_first", "card_cents"), ("credit", "/credit", "on_gift", "gift_cents"),
                 ("ask_second", "/ask_second", "on_second", "second_cents"))  # fmt: skip
        for command, below, part, cents in parts:
            if done[cents]:
                body, key = {"order": str(done["id"]), part: done[cents]}, f"{order.name}/{command}"
                await self.sender.step("Refund", command, f"/refunds{below}", self._shop, key, body)

    async def _wait(self) -> None:
        """Until no order and no refund is under way that isn't stuck."""
        clock = asyncio.get_running_loop().time
        before, changed_s = None, clock()
        while (found := await self._database.fetchrow(OPEN))["orders"] or found["refunds"]:
            await self._pay_once()
            self._ended(found["orders"])
            if found != before:
                before, changed_s = found, clock()
            elif clock() - changed_s > QUIET_S_MAX:
                raise TimeoutError(f"{found['orders']} orders and {found['refunds']} refunds don't end")
            await asyncio.sleep(LOOK_EVERY_S)
        self._ended(0)
        rows = await self._database.fetch(COMPLETED)
        self._completed: Mapping[UUID | None, Any] = {row["id"]: row for row in rows}

    async def _pay(self) -> None:
        while True:
            await self._pay_once()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _pay_once(self) -> None:
        """Let the transfers arrive that are waited for."""
        awaited = {row["id"] for row in await self._database.fetch(UNPAID)}
        due = (awaited & self._will_pay) - self._paid
        self._paid |= due
        await asyncio.to_thread(self._settle, due)

    def _settle(self, orders: set[UUID]) -> None:
        for order in orders:
            self._outside.settle("payment", str(order))


async def _in_turn(send: Callable[[Order], Any], orders: Iterator[Order]) -> None:
    for order in orders:
        await send(order)
