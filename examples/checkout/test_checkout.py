"""What the checkout promises, against an outside that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from avow.testing import Fault, Provider, Refused

from .shop import DISCOUNT, PRICE, Shop, shop

CALLS = (
    ("stock", "reserve"), ("payment", "authorize"), ("payment", "capture"), ("shipping", "ship"),
)  # fmt: skip


@pytest.fixture(scope="module")
def outside() -> Iterator[Provider]:
    with Provider(seed=1) as provider:
        yield provider


@pytest.fixture
async def b(outside: Provider) -> AsyncIterator[Shop]:
    async with shop(outside) as made:
        yield made


async def test_an_order_is_paid_and_shipped(b: Shop) -> None:
    order = await b.buy()
    await b.settle()
    assert await b.state(order) == "completed"
    await b.check()


async def test_coupon_gift_cards_and_two_cards_pay_one_order(b: Shop) -> None:
    first, second = await b.gift_card(700), await b.gift_card(300)
    await b.s.as_("ann").do("GiftCard.pour", second, into=first)
    b.gift_cards = {first: 1_000}
    coupon = await b.coupon()
    order = await b.buy(
        coupon=coupon, gift_card=first, gift_cents=900, second_card="5555", second_cents=1_500
    )
    await b.settle()
    found = await b.s.look(order)
    assert (found.coupon_cents, found.card_cents) == (DISCOUNT, PRICE - DISCOUNT - 900 - 1_500)
    await b.check()


async def test_a_gift_card_alone_pays_without_a_payment(b: Shop) -> None:
    order = await b.buy(gift_card=await b.gift_card(PRICE), gift_cents=PRICE, card=None)
    await b.settle()
    assert await b.state(order) == "completed"
    await b.check()


@pytest.mark.parametrize("given", [
    {"gift_cents": PRICE}, {"second_cents": PRICE}, {"card": None}, {"gift_cents": PRICE + 1, "card": None},
])  # fmt: skip
async def test_nothing_is_bought_with_money_that_is_not_there(b: Shop, given: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"invariant-violated|input-invalid"):
        await b.buy(**given)


async def test_more_than_a_gift_card_holds_or_of_somebody_else_is_refused(b: Shop) -> None:
    card = await b.gift_card(100)
    for buyer, cents in (("ann", 101), ("bob", 50)):
        with pytest.raises(Refused):
            await b.buy(buyer, gift_card=card, gift_cents=cents)


@pytest.mark.parametrize(("service", "operation"), CALLS)
@pytest.mark.parametrize("fault", [
    "lose_reply", "duplicate", "cut_before", "cut_within", "fail_before", "fail_after", "garbage",
    Fault("busy", seconds=0),
])  # fmt: skip
async def test_a_call_that_goes_wrong_is_done_once(b: Shop, service: str, operation: str, fault: Any) -> None:
    await b.ask(b.outside.behave, service, operation, script=[fault, fault])
    order = await b.buy()
    await b.settle()
    assert await b.state(order) == "completed"
    await b.check()


async def test_a_provider_that_is_down_for_a_while_holds_orders_up_and_loses_none(b: Shop) -> None:
    await b.ask(b.outside.down)
    orders = [await b.buy() for _ in range(3)]
    await b.s.work()
    assert {await b.state(order) for order in orders} == {"placed"}
    await b.ask(b.outside.up)
    await b.settle()
    assert {await b.state(order) for order in orders} == {"completed"}
    await b.check()


async def test_a_declined_card_undoes_the_order_and_gives_back_coupon_and_gift_card(b: Shop) -> None:
    given: dict[str, Any] = {
        "coupon": await b.coupon(),
        "gift_card": await b.gift_card(100),
        "gift_cents": 100,
    }
    order = await b.buy(card="declined", **given)
    await b.settle()
    assert ((await b.s.look(order)).state, (await b.s.look(order)).problem) == ("cancelled", "declined")
    await b.check()
    await b.buy(**given)
    await b.settle()
    await b.check()


async def test_a_second_card_that_is_declined_lets_go_the_first(b: Shop) -> None:
    order = await b.buy(second_card="insufficient", second_cents=1_000)
    await b.settle()
    assert await b.state(order) == "cancelled"
    await b.check()


async def test_who_comes_too_late_for_the_last_piece_gets_coupon_and_gift_card_back(b: Shop) -> None:
    await b.ask(b.outside.set_stock, {"chair": 1})
    given: dict[str, Any] = {
        "coupon": await b.coupon(2),
        "gift_card": await b.gift_card(200),
        "gift_cents": 100,
    }
    orders = [await b.buy(**given) for _ in range(2)]
    await b.settle()
    assert sorted([await b.state(order) for order in orders]) == ["cancelled", "completed"]
    await b.check()


async def test_the_last_use_of_a_coupon_is_granted_once(b: Shop) -> None:
    coupon = await b.coupon(limit=1)
    ends = await asyncio.gather(*(b.buy(f"b{n}", coupon=coupon) for n in range(8)), return_exceptions=True)
    refusals = [end.code for end in ends if isinstance(end, Refused)]
    assert refusals == ["invariant-violated"] * 7
    await b.settle()
    await b.check()


# --- cancel -----------------------------------------------------------------------------------------


async def test_an_order_that_is_cancelled_before_anything_has_begun_calls_nobody(b: Shop) -> None:
    order = await b.buy()
    await b.cancel(order)
    await b.settle()
    assert await b.state(order) == "cancelled"
    assert await b.ask(b.outside.requests) == []
    await b.check()


@pytest.mark.parametrize("point", ["arrival", "work", "reply"])
@pytest.mark.parametrize(("service", "operation"), CALLS[:3])
@pytest.mark.parametrize("lost", [False, True])
async def test_a_cancel_during_a_call_leaves_nothing_behind(
    b: Shop, service: str, operation: str, point: str, lost: bool
) -> None:
    faults: list[Any] = [Fault("hold", at=point), *(["lose_reply"] if lost else [])]
    await b.ask(b.outside.behave, service, operation, script=[faults])
    order = await b.buy(coupon=await b.coupon(), gift_card=await b.gift_card(100), gift_cents=100)
    working = asyncio.create_task(b.s.work())
    await b.ask(b.outside.wait_held)
    await b.cancel(order)
    await b.ask(b.outside.release)
    await working
    await b.settle()
    # What was captured before it could be withdrawn is final.
    assert await b.state(order) == ("completed" if operation == "capture" else "cancelled")
    await b.check()


@pytest.mark.parametrize("steps", range(6))
async def test_a_cancel_between_two_calls_leaves_nothing_behind(b: Shop, steps: int) -> None:
    order = await b.buy(coupon=await b.coupon(), second_card="5555", second_cents=1_000)
    for _ in range(steps):
        await b.s.worker.step()
    captured = (await b.ask(b.outside.ledger)).count("payment", "capture")
    if captured:
        with pytest.raises(Refused, match="state-conflict"):
            await b.cancel(order)
    else:
        await b.cancel(order)
    await b.settle()
    assert await b.state(order) == ("completed" if captured else "cancelled")
    await b.check()


# --- transfers --------------------------------------------------------------------------------------


async def _tell(b: Shop, order: Any, kind: str = "payment.authorized", message: str = "") -> str:
    return str(await b.s.hear("psp", kind, {"reference": str(order)}, message))


async def test_a_transfer_that_arrives_carries_the_order_out_however_often_it_is_told(b: Shop) -> None:
    order = await b.announce()
    assert await b.state(order) == "awaiting"
    await b.ask(b.outside.settle, "payment", str(order))
    await asyncio.gather(*(_tell(b, order, message="m1") for _ in range(3)))
    await b.settle()
    assert await b.state(order) == "completed"
    await b.check()


@pytest.mark.parametrize("point", ["arrival", "reply"])
async def test_a_transfer_that_is_called_off_while_it_is_announced_is_let_go(b: Shop, point: str) -> None:
    await b.ask(b.outside.behave, "payment", "authorize", script=[Fault("hold", at=point)])
    order = await b.place_by_transfer()
    working = asyncio.create_task(b.s.work())
    await b.ask(b.outside.wait_held)
    await b.cancel(order)
    await b.ask(b.outside.release)
    await working
    await b.settle()
    assert await b.state(order) == "cancelled"
    await b.check()


async def test_a_message_without_a_transfer_carries_nothing_out(b: Shop) -> None:
    order = await b.announce()
    await _tell(b, order)
    await b.settle()
    found = await b.s.look(order)
    assert (found.state, found.problem) == ("cancelled", "transfer-missing")
    await b.check()


async def test_a_transfer_that_is_rejected_undoes_the_order(b: Shop) -> None:
    order = await b.announce(coupon=await b.coupon())
    await b.ask(b.outside.settle, "payment", str(order), "declined")
    await _tell(b, order, "payment.declined")
    await b.settle()
    assert await b.state(order) == "cancelled"
    await b.check()


async def test_an_order_that_nobody_pays_lapses(b: Shop) -> None:
    order = await b.announce(gift_card=await b.gift_card(100), gift_cents=100)
    await b.s.advance(days=14)
    await b.settle()
    assert await b.state(order) == "cancelled"
    await b.check()


async def test_a_payment_that_is_late_for_a_cancelled_order_is_let_go(b: Shop) -> None:
    """The money is there, its message isn't; the time to pay runs out first."""
    order = await b.announce()
    await b.ask(b.outside.settle, "payment", str(order))
    await b.cancel(order)
    await b.settle()
    assert await _tell(b, order) == "refused"
    await b.settle()
    assert await b.state(order) == "cancelled"
    await b.check()


@pytest.mark.parametrize("first", ["timer", "payment", "both"])
async def test_time_and_payment_at_once_end_in_one_of_the_two(b: Shop, first: str) -> None:
    order = await b.announce()
    await b.ask(b.outside.settle, "payment", str(order))
    tell, lapse = (lambda: _tell(b, order)), (lambda: b.s.advance(days=14))
    if first == "both":
        await asyncio.gather(lapse(), tell())
    else:
        for happen in (lapse, tell) if first == "timer" else (tell, lapse):
            await happen()
    await b.settle()
    assert await b.state(order) in (("cancelled",) if first == "timer" else ("completed", "cancelled"))
    assert first != "payment" or await b.state(order) == "completed"
    await b.check()


async def test_a_transfer_for_goods_that_are_sold_out_is_let_go(b: Shop) -> None:
    await b.ask(b.outside.set_stock, {"chair": 0})
    order = await b.announce()
    await b.ask(b.outside.settle, "payment", str(order))
    await _tell(b, order)
    await b.settle()
    assert await b.state(order) == "cancelled"
    await b.check()


# --- refunds ----------------------------------------------------------------------------------------


async def _completed(b: Shop, **given: Any) -> Any:
    order = await b.buy(**given)
    await b.settle()
    return order


async def test_two_refunds_at_once_never_give_back_more_than_was_paid(b: Shop) -> None:
    order = await _completed(b)
    ends = await asyncio.gather(*(b.refund(order, on_first=3_000) for _ in range(2)), return_exceptions=True)
    assert [end.code for end in ends if isinstance(end, Refused)] == ["invariant-violated"]
    await b.refund(order, on_first=2_000)
    await b.settle()
    assert (await b.ask(b.outside.ledger)).balance(str(order)) == 0
    await b.check()


async def test_each_part_goes_back_to_where_it_came_from(b: Shop) -> None:
    card = await b.gift_card(1_000)
    order = await _completed(b, gift_card=card, gift_cents=600, second_card="5555", second_cents=1_500)
    await b.refund(order, on_first=100)
    await b.refund(order, "ask_second", on_second=1_500)
    await b.refund(order, "credit", on_gift=600)
    for command, cents in (("ask", "on_first"), ("ask_second", "on_second"), ("credit", "on_gift")):
        with pytest.raises(Refused, match="invariant-violated"):
            await b.refund(order, command, **{cents: 2_900})
    await b.settle()
    assert (await b.s.look(card)).balance == 1_000
    await b.check()


@pytest.mark.parametrize("fault", ["lose_reply", "duplicate", "fail_after", "cut_before"])
async def test_a_refund_that_goes_wrong_is_made_once(b: Shop, fault: str) -> None:
    order = await _completed(b)
    await b.ask(b.outside.behave, "payment", "refund", script=[fault, fault])
    await b.refund(order, on_first=700)
    await b.settle()
    assert (await b.ask(b.outside.ledger)).balance(str(order)) == PRICE - 700
    await b.check()


async def test_nothing_is_refunded_of_an_order_that_was_not_carried_out(b: Shop) -> None:
    order = await b.buy()
    with pytest.raises(Refused, match="guard-failed"):
        await b.refund(order, on_first=1)


# --- workers, and what people have to see -----------------------------------------------------------


@pytest.mark.parametrize(("service", "operation"), CALLS)
async def test_a_worker_that_dies_between_call_and_record_is_replaced(
    b: Shop, service: str, operation: str
) -> None:
    await b.ask(b.outside.behave, service, operation, script=[Fault("hold", at="reply")])
    order = await b.buy()
    working = asyncio.create_task(b.s.work())
    await b.ask(b.outside.wait_held)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await b.ask(b.outside.release)
    await b.s.advance(minutes=1)
    await b.settle()
    assert await b.state(order) == "completed"
    await b.check()


async def test_a_call_while_its_first_copy_is_still_at_work_waits_for_it(b: Shop) -> None:
    await b.ask(b.outside.behave, "payment", "authorize", script=[Fault("hold", at="work")])
    order = await b.buy()
    working = asyncio.create_task(b.s.work())
    await b.ask(b.outside.wait_held)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await b.s.advance(minutes=1)
    assert await b.state(order) == "authorize_card", "its key is in use: that is no refusal"
    await b.ask(b.outside.release)
    await b.settle()
    assert await b.state(order) == "completed"
    await b.check()


async def test_an_order_whose_void_is_refused_is_stuck_with_what_is_owed(b: Shop) -> None:
    await b.ask(b.outside.behave, "payment", "capture", script=[Fault("hold", at="arrival")])
    order = await b.buy()
    working = asyncio.create_task(b.s.work())
    await b.ask(b.outside.wait_held)
    payment = (await b.s.look(order)).payment
    await b.ask(httpx2.post, f"{b.outside.url}/payments/{payment}/capture")
    await b.ask(b.outside.release)
    await working
    await b.settle()
    (work,) = await b.s.waiting()
    assert (work["id"], work["name"], bool(work["stuck"])) == (order, "void_payment", True)
    await b.check(stuck=1)
