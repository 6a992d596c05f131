"""The attacks on the checkout. Each buys, strikes, waits until nothing moves, and settles the account.

Whether a checkout held is decided on the provider's ledger, on its own books and on its answers, never on
which of the two it is. What an attack wants the provider to do is counted: one that missed has no verdict.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from avow.store.driver import Connection
from avow.testing import Fault
from avow.testing.provider.ledger import Ledger
from examples.demo.attack import Attack, Later, Outcome, times
from examples.demo.backend import (
    Answer,
    AttackError,
    Person,
    database_of,
    person,
    sent_again,
    until,
    until_waiting,
)
from examples.demo.checkout.backends import Shop
from examples.demo.checkout.money import astray_cents, euros

PRICE, DISCOUNT = 5_000, 500
SETTLED_S_MAX = 120.0
"""How long an order may take, with everything that goes wrong: a dead worker's lease is 15 s."""
DOWN_S = 3.0
COPIES = 3
LATE_S = (0.0, 0.08, 0.16, 0.24)
"""How long after its transfer each message comes: about when the time to pay ends, on both sides."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of some orders. states: how many are in which. stuck: what waits for a person."""

    orders: Sequence[str]
    states: Counter[str]
    ledger: Ledger
    astray_cents: int
    stuck: int

    @property
    def adds_up(self) -> bool:
        """Money agrees, nothing is done twice, and nothing is left of what was cancelled."""
        return not (self.astray_cents or self.doubled or self.reserved)

    @property
    def doubled(self) -> int:
        """How much of what is done once for each order was done more often."""
        intended = {"payment.refund": len(self.ledger)}
        return sum(one.reference in self.orders for one in self.ledger.doubled(intended))

    @property
    def reserved(self) -> int:
        """Pieces that are reserved though no completed order has them."""
        pieces = sum(self.ledger.reserved(order) for order in self.orders)
        return pieces - self.states["completed"]

    def captured(self) -> int:
        """How often money was taken."""
        return sum(self.ledger.count("payment", "capture", order) for order in self.orders)

    def flaws(self) -> str:
        """What doesn't add up, as it goes on in the table's cell."""
        parts = [
            f"{euros(self.astray_cents)} astray" * bool(self.astray_cents),
            f"{self.doubled} done twice" * bool(self.doubled),
            f"{self.reserved} pieces left" * bool(self.reserved),
            f"{self.stuck} stuck" * bool(self.stuck),
        ]
        return "".join(f", {part}" for part in parts if part)


async def ask(what: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Ask something of the provider, which must not hold up the other attacks."""
    return await asyncio.to_thread(what, *given, **options)


async def astray_at(shop: Shop) -> int:
    """The money that doesn't add up, over everything that was ever bought in a shop."""
    async with database_of(shop) as database:
        books = await shop.books(database)
    return astray_cents(books, await ask(shop.outside.ledger))


def _buyer(shop: Shop) -> Person:
    return person(shop, "ann")


def _keeper(shop: Shop) -> Person:
    return person(shop, "dan", "shopkeeper")


async def _sent(who: Person, path: str, body: object = None) -> Answer:
    """The answer to one command, which is sent again, under its key, while the answer is: not now."""
    key = str(uuid.uuid4())
    return (await sent_again(lambda: who.post(path, body, key=key)))[0]


def _wanted(**more: Any) -> dict[str, Any]:
    return {"sku": "chair", "quantity": 1, "price": PRICE, **more}


async def _buy(shop: Shop) -> str:
    """An order that is paid by card; nothing is carried out yet."""
    return str((await _buyer(shop).done("/orders", _wanted(card="4242")))["id"])


async def _announce(shop: Shop, count: int) -> list[str]:
    """Orders whose transfers the provider expects."""
    bought = [await _buyer(shop).done("/orders/place_by_transfer", _wanted()) for _ in range(count)]
    orders = [str(each["id"]) for each in bought]
    async with database_of(shop) as database:
        await until(lambda: _all_in(shop, database, orders, "awaiting"), "transfers are awaited")
    return orders


async def _all_in(shop: Shop, database: Connection, orders: Sequence[str], state: str) -> bool:
    found = [each.state for each in await shop.books(database) if each.order in orders]
    return found == [state] * len(orders)


async def _settled(shop: Shop, orders: Sequence[str]) -> Account:
    """The account of these orders, once nothing is to be done for them any more."""
    async with database_of(shop) as database:

        async def still() -> bool:
            return await shop.moving(database, orders) == 0

        await until(still, "the orders have ended", SETTLED_S_MAX)
        books = [each for each in await shop.books(database) if each.order in orders]
        stuck = await shop.stuck(database, orders)
    ledger = await ask(shop.outside.ledger)
    own = Ledger(entry for entry in ledger if entry.reference in orders)
    states = Counter(each.state for each in books)
    return Account(orders, states, own, astray_cents(books, own), stuck)


async def _demand_hit(shop: Shop, operation: str, fault: str, count: int = 1) -> None:
    """Raises AttackError unless the provider did go wrong so often as wanted."""
    seen = [each for each in await ask(shop.outside.requests) if each["operation"] == operation]
    if sum(fault in each["faults"] for each in seen) < count:
        raise AttackError(f"{fault} of {operation} hit nothing")


@asynccontextmanager
async def _locked(shop: Shop, table: str, record: str) -> AsyncGenerator[Connection]:
    """A record that nobody can get past until the end; gives a connection to watch the others by."""
    async with database_of(shop) as holder, database_of(shop) as watch, holder.transaction():
        await holder.execute(f"SELECT FROM {table} WHERE id = $1 FOR UPDATE", record)
        yield watch


async def reply_lost(shop: Shop) -> Outcome:
    """The provider takes the money, and the connection is cut before it says so."""
    await ask(shop.outside.behave, "payment", "capture", script=["lose_reply"])
    account = await _settled(shop, [await _buy(shop)])
    await _demand_hit(shop, "capture", "lose_reply")
    held = account.adds_up and account.captured() == account.states["completed"] == 1
    return Outcome(held, f"charged {times(account.captured())}" + account.flaws())


async def webhook_copies(shop: Shop) -> Outcome:
    """A transfer's arrival is told three times in the same moment; a lock of ours lets all get far."""
    (order,) = await _announce(shop, 1)
    await ask(shop.outside.behave, "webhooks", "payment.authorized", script=[Fault("repeat", times=COPIES)])
    async with _locked(shop, shop.orders, order) as watch:
        await ask(shop.outside.settle, "payment", order)
        await until_waiting(watch, shop.rivals_in_database)
    await ask(shop.outside.wait_quiet)
    account = await _settled(shop, [order])
    sent = [each for each in await ask(shop.outside.sent_webhooks) if each["reference"] == order]
    if sum(each["type"] == "payment.authorized" for each in sent) < COPIES:
        raise AttackError("the webhook was not sent three times")
    held = account.adds_up and account.captured() == account.states["completed"] == 1
    return Outcome(held, f"charged {times(account.captured())}" + account.flaws())


async def cancel_during_capture(shop: Shop) -> Outcome:
    """Two buyers cancel while their money is being taken; one of the two replies is lost, too."""
    hold: list[str | Fault] = [Fault("hold", at="reply")]
    await ask(shop.outside.behave, "payment", "capture", script=[hold, [*hold, "lose_reply"]])
    orders: list[str] = []
    for number in (1, 2):
        orders.append(await _buy(shop))
        await ask(shop.outside.wait_held, count=number)
        await _sent(_buyer(shop), f"/orders/{orders[-1]}/cancel")
    await ask(shop.outside.release)
    account = await _settled(shop, orders)
    await _demand_hit(shop, "capture", "hold", 2)
    text = ", ".join(f"{count} {state}" for state, count in sorted(account.states.items()))
    held = account.adds_up and account.states.keys() <= {"completed", "cancelled"}
    return Outcome(held, text + account.flaws())


async def two_refunds(shop: Shop) -> Outcome:
    """More than half is to be given back, twice; a lock of ours lets both get as far as they can."""
    order = await _buy(shop)
    await _settled(shop, [order])
    body = {"order": order, "on_first": PRICE * 3 // 5}
    async with _locked(shop, shop.orders, order) as watch:
        sent = [asyncio.create_task(_sent(_keeper(shop), "/refunds", body)) for _ in range(2)]
        await until_waiting(watch, shop.rivals_in_database)
    answers = await asyncio.gather(*sent)
    account = await _settled(shop, [order])
    granted, refused = _granted(answers)
    held = account.adds_up and (granted, refused) == (1, 1)
    back = PRICE - account.ledger.balance(order)
    return Outcome(held, f"granted {granted} of 2, {euros(back)} back" + account.flaws())


def _granted(answers: Sequence[Answer]) -> tuple[int, int]:
    """How many were accepted, and how many refused for good."""
    return sum(a.status == 201 for a in answers), sum(400 <= a.status < 500 for a in answers)


async def time_against_payment(shop: Shop) -> Outcome:
    """The time to pay ends while messages of transfers arrive; of one it comes when the order has ended.

    The transfers themselves have arrived by then: an order that has ended lets go what is still expected.
    """
    orders = await _announce(shop, len(LATE_S) + 1)
    script: list[Fault] = [Fault("hold"), *(Fault("late", seconds=seconds) for seconds in LATE_S)]
    await ask(shop.outside.behave, "webhooks", "payment.authorized", script=script)
    async with database_of(shop) as database:
        for order in orders:
            await ask(shop.outside.settle, "payment", order)
        await shop.end_time_to_pay(database, orders)
        await until(lambda: _all_in(shop, database, orders[:1], "cancelled"), "an order has ended unpaid")
    await ask(shop.outside.release)
    await ask(shop.outside.wait_quiet)
    account = await _settled(shop, orders)
    ended = account.states["completed"] + account.states["cancelled"]
    text = f"{account.states['completed']} carried out, {account.states['cancelled']} given back"
    return Outcome(account.adds_up and ended == len(orders), text + account.flaws())


async def killed_after_the_charge(shop: Shop) -> Later:
    """The worker dies with -9 when the money is taken, and before it has written that down."""
    await ask(shop.outside.behave, "payment", "capture", script=[Fault("hold", at="reply")])
    order = await _buy(shop)
    await ask(shop.outside.wait_held)
    started = time.monotonic()
    await ask(shop.kill)
    await ask(shop.start)
    await ask(shop.outside.release)
    return _taken_over(shop, order, started)


async def _taken_over(shop: Shop, order: str, started: float) -> Outcome:
    """Nobody can tell a dead worker from a slow one before its lease has ended."""
    account = await _settled(shop, [order])
    held = account.adds_up and account.captured() == account.states["completed"] == 1
    seconds = time.monotonic() - started
    return Outcome(held, f"charged {times(account.captured())}, after {seconds:.0f} s" + account.flaws())


async def last_coupon(shop: Shop) -> Outcome:
    """Two buyers use a coupon that may be used once more; a lock of ours lets both get far."""
    body = {"code": uuid.uuid4().hex[:8], "cents": DISCOUNT, "limit": 1, "until": "2100-01-01T00:00:00Z"}
    coupon = str((await _keeper(shop).done("/coupons", body))["id"])
    wanted = _wanted(card="4242", coupon=coupon)
    async with _locked(shop, shop.coupons, coupon) as watch:
        sent = [asyncio.create_task(_sent(_buyer(shop), "/orders", wanted)) for _ in range(2)]
        await until_waiting(watch, shop.rivals_in_database)
    answers = await asyncio.gather(*sent)
    account = await _settled(shop, [str(a.json["id"]) for a in answers if a.status == 201])
    granted, refused = _granted(answers)
    held = account.adds_up and (granted, refused) == (1, 1)
    return Outcome(held, f"granted {granted} of 2" + account.flaws())


async def provider_down(shop: Shop) -> Outcome:
    """The provider goes away while it holds somebody's money, and comes back; orders come in meanwhile."""
    await ask(shop.outside.behave, "payment", "authorize", script=[Fault("hold", at="reply")])
    orders = [await _buy(shop)]
    await ask(shop.outside.wait_held)
    await ask(shop.outside.down)
    orders += [await _buy(shop) for _ in range(2)]
    await asyncio.sleep(DOWN_S)
    started = time.monotonic()
    await ask(shop.outside.up)
    await ask(shop.outside.release)
    account = await _settled(shop, orders)
    done = account.states["completed"]
    text = f"{done} of {len(orders)} carried out, {time.monotonic() - started:.0f} s later"
    return Outcome(account.adds_up and done == account.captured() == len(orders), text + account.flaws())


ATTACKS: tuple[Attack[Shop], ...] = (
    Attack("reply lost after the charge", reply_lost),
    Attack("cancel during capture", cancel_during_capture),
    Attack("kill -9 after the charge", killed_after_the_charge),
    Attack("a webhook 3 times at once", webhook_copies),
    Attack("two refunds at once", two_refunds),
    Attack("timer against payment", time_against_payment),
    Attack("a coupon's last use, twice", last_coupon),
    Attack("provider down for a while", provider_down),
)
"""Behind the kill nothing is to go wrong with a capture: its order's may come at any time."""
