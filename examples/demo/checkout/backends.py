"""The two checkouts, each with a provider of its own, and what an attack has to know of their insides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from avow.store.driver import Connection
from avow.testing import Provider
from examples.demo.backend import Server
from examples.demo.by_hand import LOCK_S, ByHand
from examples.demo.declared import Declared

SERVICES = ("stock", "payment", "shipping")
WEBHOOK_RETRIES_S = (0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Booked:
    """What a backend's own books say of one order. kept_cents: what was taken and not given back."""

    order: str
    state: str
    kept_cents: int


class Shop(Server, Protocol):
    """A checkout. outside: its provider. orders, coupons: the names of its tables."""

    outside: Provider
    orders: str
    coupons: str

    async def books(self, database: Connection) -> Sequence[Booked]:
        """Its own books, of every order."""
        ...

    async def moving(self, database: Connection, orders: Sequence[str]) -> int:
        """How many of these orders haven't ended yet, or still have something to be done for them."""
        ...

    async def stuck(self, database: Connection, orders: Sequence[str]) -> int:
        """How much of what is to be done for them waits for a person."""
        ...

    async def end_time_to_pay(self, database: Connection, orders: Sequence[str]) -> None:
        """Let these orders' two weeks be over now."""
        ...


DECLARED_BOOKS = """
SELECT o.id::text AS order, o.state,
    (CASE WHEN o.state = 'completed' THEN o.card_cents + o.second_cents ELSE 0 END
    - coalesce((SELECT sum(r.on_first + r.on_second) FROM checkout.refunds r
        WHERE r.order = o.id AND r.state = 'returned'), 0))::bigint AS kept_cents
FROM checkout.orders o ORDER BY o.id
"""
DECLARED_MOVING = """
SELECT count(*) FROM checkout.orders o WHERE o.id = ANY ($1::uuid[])
    AND (EXISTS (SELECT FROM avow.work w WHERE w.id = o.id AND w.stuck IS NULL)
        OR EXISTS (SELECT FROM checkout.refunds r WHERE r.order = o.id AND r.state = 'asked')
        OR o.state NOT IN ('completed', 'cancelled')
            AND NOT EXISTS (SELECT FROM avow.work w WHERE w.id = o.id AND w.stuck IS NOT NULL))
"""
DECLARED_STUCK = "SELECT count(*) FROM avow.work WHERE stuck IS NOT NULL AND id = ANY ($1::uuid[])"
DECLARED_END_TIME = """
UPDATE avow.work SET due = avow.now(), ready_at = avow.now() WHERE name = 'lapse' AND id = ANY ($1::uuid[])
"""


@dataclass
class DeclaredCheckout(Declared):
    """`examples/checkout`, or a copy of it."""

    outside: Provider = field(default_factory=Provider)
    orders: str = "checkout.orders"
    coupons: str = "checkout.coupons"

    def connect(self, outside: Provider, home: Path) -> None:
        """Let it call this provider, and be told by it. Before the start."""
        self.outside = outside
        where = {name: {"url": outside.url, "allow_private": True} for name in SERVICES}
        place = home / "destinations.json"
        place.write_text(json.dumps(where))
        self.settings["AVOW_DESTINATIONS"] = str(place)
        secret = self.surroundings.sender_secrets(self.system)["psp"]
        _tell(outside, self.url, secret)

    async def books(self, database: Connection) -> Sequence[Booked]:
        """Its orders and its refunds."""
        return [Booked(**row) for row in await database.fetch(DECLARED_BOOKS)]

    async def moving(self, database: Connection, orders: Sequence[str]) -> int:
        """By their states, and what the workers have to do."""
        return int(await database.fetchval(DECLARED_MOVING, orders))

    async def stuck(self, database: Connection, orders: Sequence[str]) -> int:
        """What `avow effects` would show."""
        return int(await database.fetchval(DECLARED_STUCK, orders))

    async def end_time_to_pay(self, database: Connection, orders: Sequence[str]) -> None:
        """A worker finds it on its next look."""
        await database.execute(DECLARED_END_TIME, orders)


BY_HAND_BOOKS = """
SELECT o.id::text AS order, o.state, (CASE WHEN o.state = 'completed' THEN o.card_cents ELSE 0 END
    - coalesce((SELECT sum(r.cents) FROM refunds r WHERE r.order = o.id AND r.state = 'returned'), 0))::bigint
    AS kept_cents
FROM orders o ORDER BY o.id
"""
BY_HAND_MOVING = """
SELECT count(*) FROM orders o WHERE o.id = ANY ($1::uuid[])
    AND (EXISTS (SELECT FROM jobs j WHERE j.order = o.id AND j.dead IS NULL)
        OR o.state NOT IN ('completed', 'cancelled')
            AND NOT EXISTS (SELECT FROM jobs j WHERE j.order = o.id AND j.dead IS NOT NULL))
"""
BY_HAND_STUCK = 'SELECT count(*) FROM jobs WHERE dead IS NOT NULL AND "order" = ANY ($1::uuid[])'
BY_HAND_END_TIME = "UPDATE orders SET pay_until = clock_timestamp() WHERE id = ANY ($1::uuid[])"


class CheckoutByHand(ByHand):
    """`examples/twins/checkout`."""

    name = "checkout"
    orders, coupons = "orders", "coupons"

    def __init__(self, admin_url: str, log: Path, outside: Provider, secret: str) -> None:
        self.outside, self._webhook_secret = outside, secret
        super().__init__(
            admin_url,
            log,
            {
                "TWIN_PROVIDER_URL": outside.url,
                "TWIN_WEBHOOK_SECRET": secret,
                "TWIN_JOB_LOCK_S": str(LOCK_S),
            },
        )

    def start(self) -> None:
        """Start the server, and let the provider know where it is."""
        super().start()
        _tell(self.outside, self.url, self._webhook_secret)

    async def books(self, database: Connection) -> Sequence[Booked]:
        """Its orders and its refunds."""
        return [Booked(**row) for row in await database.fetch(BY_HAND_BOOKS)]

    async def moving(self, database: Connection, orders: Sequence[str]) -> int:
        """By their states, and its jobs."""
        return int(await database.fetchval(BY_HAND_MOVING, orders))

    async def stuck(self, database: Connection, orders: Sequence[str]) -> int:
        """Its dead jobs."""
        return int(await database.fetchval(BY_HAND_STUCK, orders))

    async def end_time_to_pay(self, database: Connection, orders: Sequence[str]) -> None:
        """Its sweep finds them."""
        await database.execute(BY_HAND_END_TIME, orders)


def _tell(outside: Provider, url: str, secret: str) -> None:
    outside.send_webhooks_to(
        f"{url}/events/psp", service="payment", secret=secret, retries_s=WEBHOOK_RETRIES_S
    )
