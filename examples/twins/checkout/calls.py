"""The calls to the outside: what each asks for, when it is still wanted, and what follows from its answer.

`CALLS` is the whole flow of an order. No transaction is open while a call is under way; what it has brought
about is recorded on the order as it is then, which may have been cancelled meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from .orders import SYSTEM, audit, call_off, enqueue, move
from .outside import Outside, Refused
from .tables import Job, Order, Refund

Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt: the job, its order and its refund as they were when it began."""

    job: Job
    order: Order
    refund: Refund | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of call.

    wanted:   in which state of the order the call still makes sense; None: whatever its state.
    done:     what its success brings about. too_late: what undoes it, if the order has moved on meanwhile.
    refused:  what a definite no brings about.
    """

    send: Callable[[Outside, Work], Awaitable[Said]]
    done: Callable[[AsyncSession, Order, Said], Awaitable[None]]
    refused: Callable[[AsyncSession, Order, str], Awaitable[None]] | None = None
    wanted: str | None = None
    too_late: str | None = None


def post(path: str, **fields: str) -> Callable[[Outside, Work], Awaitable[Said]]:
    """A POST below the payment of an order; fields: members of the body and the order's columns for them."""

    async def send(outside: Outside, work: Work) -> Said:
        order = work.order
        body = {name: getattr(order, column) for name, column in fields.items()}
        if "{payment}" not in path:
            body["reference"] = str(order.id)
        return await outside.post(path.format(payment=order.payment), work.job.key, body)

    return send


async def authorize(outside: Outside, work: Work) -> Said:
    order = work.order
    body = {
        "amount": order.card_cents, "currency": "EUR", "card": "later" if order.later else order.card,
        "reference": str(order.id),
    }  # fmt: skip
    return await outside.post("/payments/authorize", work.job.key, body)


async def confirm(outside: Outside, work: Work) -> Said:
    """A message alone is no proof: ask whether the transfer is really there."""
    said = await outside.payment(str(work.order.payment))
    if said["status"] != "authorized":
        raise Refused("transfer-missing")
    return said


async def void(outside: Outside, work: Work) -> Said:
    """Let go what is held. What was let go before, or never came, is fine."""
    payment = str(work.order.payment)
    try:
        return await outside.post(f"/payments/{payment}/void", work.job.key, {})
    except Refused:
        said = await outside.payment(payment)
        if said["status"] not in ("voided", "declined"):
            raise
        return said


async def refund(outside: Outside, work: Work) -> Said:
    """Give back a refund's part; without a refund all of it."""
    cents = work.order.card_cents if work.refund is None else work.refund.cents
    return await outside.post(f"/payments/{work.order.payment}/refund", work.job.key, {"amount": cents})


def on_to(state: str, then: str | None) -> Callable[[AsyncSession, Order, Said], Awaitable[None]]:
    async def done(session: AsyncSession, order: Order, said: Said) -> None:
        await move(session, order, state, state, then=then)

    return done


async def reserved(session: AsyncSession, order: Order, said: Said) -> None:
    if order.card_cents:
        await move(session, order, "reserved", "reserved", then="confirm" if order.later else "authorize")
    else:  # the coupon pays for all of it
        await move(session, order, "captured", "reserved", then="ship")


async def authorized(session: AsyncSession, order: Order, said: Said) -> None:
    order.payment = said["id"]
    await move(session, order, "authorized", "authorized", then="capture")


async def announced(session: AsyncSession, order: Order, said: Said) -> None:
    order.payment = said["id"]
    await move(session, order, "awaiting", "announced")


async def shipped(session: AsyncSession, order: Order, said: Said) -> None:
    order.shipment = said["id"]
    await move(session, order, "completed", "shipped")


async def nothing(session: AsyncSession, order: Order, said: Said) -> None:
    """The order has ended already."""


async def end(session: AsyncSession, order: Order, code: str) -> None:
    await call_off(session, order, "refused", problem=code)


CALLS = {
    "announce": Kind(authorize, announced, end, "announced", "void"),
    "reserve": Kind(
        post("/stock/reserve", sku="sku", quantity="quantity"), reserved, end, "placed", "release"
    ),
    "authorize": Kind(authorize, authorized, end, "reserved", "void"),
    "confirm": Kind(confirm, on_to("authorized", "capture"), end, "reserved"),
    "capture": Kind(
        post("/payments/{payment}/capture", amount="card_cents"),
        on_to("captured", "ship"), end, "authorized", "refund",
    ),
    "ship": Kind(post("/shipments"), shipped, wanted="captured"),
    "release": Kind(post("/stock/release"), nothing),
    "void": Kind(void, nothing),
    "refund": Kind(refund, nothing),
}  # fmt: skip


async def record(session: AsyncSession, work: Work, order: Order, said: Said) -> None:
    """What a success brings about, on the locked order."""
    kind = CALLS[work.job.name]
    if kind.wanted is None or order.state == kind.wanted:
        await kind.done(session, order, said)
    elif kind.too_late is not None:  # it was cancelled while the call was under way
        if kind.too_late == "void":
            order.payment = said["id"]
        enqueue(session, order, kind.too_late)
    await _end_refund(session, work, "returned", None)


async def record_refusal(session: AsyncSession, work: Work, order: Order, code: str) -> bool:
    """What a definite no brings about; False where only a person can help."""
    kind = CALLS[work.job.name]
    if work.refund is not None:
        await _end_refund(session, work, "refused", code)
        return True
    if kind.refused is None:
        return False
    if order.state == kind.wanted:
        await kind.refused(session, order, code)
    return True


async def _end_refund(session: AsyncSession, work: Work, state: str, problem: str | None) -> None:
    if work.refund is None:
        return
    found = await session.get_one(Refund, work.refund.id, with_for_update=True, populate_existing=True)
    before, found.state, found.problem = found.state, state, problem
    await session.flush()
    audit(session, found, state, before, SYSTEM)
