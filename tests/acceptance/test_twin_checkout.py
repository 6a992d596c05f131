"""The hand-written checkout holds what its README says that it holds; the attacks on it are in the demo."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from avow.store.pool import connect
from avow.store.server import cluster
from avow.testing import Fault, Provider
from avow.testing.provider.webhooks import fresh_secret
from examples.demo.backend import Person, database_of, person, until
from examples.demo.checkout.attacks import PRICE, astray_at
from examples.demo.checkout.backends import CheckoutByHand
from tests.acceptance.polling import PATIENCE_S

DISCOUNT = 500


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckoutByHand]:
    """One shop for all of these: each buys for itself."""
    folder = tmp_path_factory.mktemp("checkout")
    with ExitStack() as stack:
        lease = stack.enter_context(cluster.start(folder, settings={"fsync": "off"}))
        outside = stack.enter_context(Provider())
        asyncio.run(_make_database(lease.cluster.url()))
        made = CheckoutByHand(lease.cluster.url("shop"), folder / "log", outside, fresh_secret())
        made.start()
        stack.callback(made.stop)
        yield made


async def _make_database(url: str) -> None:
    connection = await connect(url)
    await connection.execute("CREATE DATABASE shop")
    await connection.close()


def buyer(shop: CheckoutByHand, name: str = "ann") -> Person:
    return person(shop, name)


async def buy(shop: CheckoutByHand, **given: Any) -> str:
    wanted = {"sku": "chair", "quantity": 1, "price": PRICE, "card": "4242"} | given
    return (await buyer(shop).done("/orders", wanted))["id"]


async def ended(shop: CheckoutByHand, order: str) -> dict[str, Any]:
    """The order, once nothing is to be done for it; and the provider agrees with the books."""
    async with database_of(shop) as database:
        await until(lambda: _rests(lambda: shop.moving(database, [order])), "the order has ended")
    assert await astray_at(shop) == 0
    return (await buyer(shop).get(f"/orders/{order}")).json


async def _rests(moving: Callable[[], Awaitable[int]]) -> bool:
    return await moving() == 0


async def test_an_order_is_paid_and_shipped_and_then_not_cancelled(
    shop: CheckoutByHand,
) -> None:
    body = {"code": "SPRING", "cents": DISCOUNT, "limit": 1, "until": "2100-01-01T00:00:00Z"}
    coupon = (await person(shop, "dan", "shopkeeper").done("/coupons", body))["id"]
    order = await buy(shop, coupon=coupon)
    found = await ended(shop, order)
    assert (found["state"], found["card_cents"]) == ("completed", PRICE - DISCOUNT)
    assert shop.outside.ledger().balance(order) == PRICE - DISCOUNT
    assert (await buyer(shop).post(f"/orders/{order}/cancel")).code == "state-conflict"


async def test_a_declined_card_gives_back_the_stock_and_the_coupon(shop: CheckoutByHand) -> None:
    body = {"code": "ONCE", "cents": DISCOUNT, "limit": 1, "until": "2100-01-01T00:00:00Z"}
    coupon = (await person(shop, "dan", "shopkeeper").done("/coupons", body))["id"]
    order = await buy(shop, card="declined", coupon=coupon)
    found = await ended(shop, order)
    assert (found["state"], found["problem"]) == ("cancelled", "declined")
    assert shop.outside.ledger().reserved(order) == 0
    await ended(shop, await buy(shop, coupon=coupon))


@pytest.mark.parametrize("operation", ["reserve", "authorize", "capture"])
async def test_a_cancel_during_a_call_that_is_answered_leaves_nothing_behind(
    shop: CheckoutByHand, operation: str
) -> None:
    service = "stock" if operation == "reserve" else "payment"
    shop.outside.behave(service, operation, script=[Fault("hold", at="reply")])
    order = await buy(shop)
    await asyncio.to_thread(shop.outside.wait_held)
    await buyer(shop).done(f"/orders/{order}/cancel")
    shop.outside.release()
    assert (await ended(shop, order))["state"] == "cancelled"
    assert shop.outside.ledger().reserved(order) == 0


async def test_who_may_not_is_refused(shop: CheckoutByHand) -> None:
    order = await buy(shop)
    await ended(shop, order)
    refund = {"order": order, "on_first": 1}
    assert (await buyer(shop, "bob").get(f"/orders/{order}")).status == 404
    assert (await buyer(shop, "bob").post(f"/orders/{order}/cancel")).status == 404
    assert (await buyer(shop).post("/refunds", refund)).status == 403
    neighbour = person(shop, "nora", "shopkeeper", tenant="neighbour")
    assert (await neighbour.post("/refunds", refund)).status == 404


async def test_a_webhook_without_the_right_signature_changes_nothing(shop: CheckoutByHand) -> None:
    order = (await buyer(shop).done("/orders/place_by_transfer", {"sku": "a", "quantity": 1, "price": 1}))[
        "id"
    ]
    forged = {"type": "payment.authorized", "data": {"reference": order}}
    headers = {"webhook-id": str(uuid.uuid4()), "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    async with httpx2.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        answer = await client.post(f"{shop.url}/events/psp", json=forged, headers=headers)
    assert answer.status_code == 401
    await buyer(shop).done(f"/orders/{order}/cancel")
    assert (await ended(shop, order))["state"] == "cancelled"
