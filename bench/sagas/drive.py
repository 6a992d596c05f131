"""Placing the orders, and waiting until each of them has ended or waits for a person.

It must never take the database for granted: that one is stopped on the way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from avow.store import driver
from bench.replay.account import open_database
from bench.replay.clients import Clients
from bench.replay.sending import Sender, Token

LANES_AT_ONCE = 48
REPEATS_ONE_IN = 10
ATTEMPTS_MAX = 240
"""For a minute: a database that recovers needs its time."""
LOOK_EVERY_S = 0.5
QUIET_S_MAX = 180.0
"""How long nothing may move before the run is given up."""
LOT = 20
DECLINED, CANCELLED = 7, 13
"""Which of each lot has a card that is declined, and which one is cancelled."""

ENDED = """
SELECT (SELECT count(*) FROM checkout.orders o WHERE state IN ('completed', 'cancelled')
    OR EXISTS (SELECT FROM avow.work w WHERE w.id = o.id AND w.stuck IS NOT NULL)) AS orders,
  (SELECT max(entry) FROM avow.audit) AS entries
"""


def buyer(number: int) -> str:
    """Each order has a buyer of its own."""
    return f"buyer-{number}"


class Drive:
    """One run over one server.

    finished: called after the first answer of each key. ended: called with how many orders have ended by now.
    """

    def __init__(
        self, clients: Clients, token: Token, admin_url: str, finished: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.sender = Sender(clients, finished, REPEATS_ONE_IN, ATTEMPTS_MAX)
        self._token, self._admin_url, self._ended = token, admin_url, ended

    async def run(self, count: int) -> None:
        """Place so many orders; returns when each has ended and each request has all its answers."""
        waiting = iter(range(count))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_ended(count))
            async with self.sender.repeating(), asyncio.TaskGroup() as lanes:
                for _ in range(LANES_AT_ONCE):
                    lanes.create_task(self._lane(waiting))

    async def _lane(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            card = "declined" if number % LOT == DECLINED else "4242"
            body = {"sku": "chair", "quantity": 1 + number % 3, "price": 1_000 + number, "card": card}
            token = self._token(buyer(number))
            placed = await self.sender.step("Order", "place", "/orders", token, f"{number}/place", body)
            if placed.status < 400 and number % LOT == CANCELLED:
                path = f"/orders/{json.loads(placed.body)['id']}/cancel"
                await self.sender.step("Order", "cancel", path, token, f"{number}/cancel")

    async def _until_ended(self, count: int) -> None:
        clock = asyncio.get_running_loop().time
        before, changed_s = None, clock()
        while before is None or before["orders"] < count:
            found = await self._look()
            if found is not None:
                self._ended(found["orders"])
                if found != before:
                    before, changed_s = found, clock()
            if clock() - changed_s > QUIET_S_MAX:
                raise TimeoutError(f"nothing moves any more: {before and dict(before)} of {count} orders")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> Any:
        """How many orders have ended; None while the database is away."""
        try:
            connection = await open_database(self._admin_url)
            try:
                return await connection.fetchrow(ENDED)
            finally:
                await connection.close()
        except (*driver.Lost, OSError, TimeoutError):
            return None
