"""What happens to an order, whoever asks for it: all of this runs while the order's row is locked."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.twins.service.database import AuditEntry
from examples.twins.service.problems import ProblemError

from .tables import Coupon, Job, Order, Refund

UNPAID = timedelta(days=14)
"""How long a transfer may take to arrive."""
OPEN = frozenset({"announced", "awaiting", "placed", "reserved", "authorized"})
"""States in which an order may be cancelled: its money isn't taken yet."""
SYSTEM = "checkout"
"""Who acts where nobody asked: a worker, a webhook, the clock."""


def represent(record: Coupon | Order | Refund) -> dict[str, Any]:
    match record:
        case Coupon():
            own = {"code": record.code, "cents": record.cents, "limit": record.usable, "used": record.used}
        case Order():
            own = {
                "state": record.state, "buyer": record.buyer, "sku": record.sku, "quantity": record.quantity,
                "price": record.price, "coupon": record.coupon and str(record.coupon),
                "coupon_cents": record.coupon_cents, "card_cents": record.card_cents,
                "payment": record.payment, "shipment": record.shipment, "problem": record.problem,
            }  # fmt: skip
        case Refund():
            own = {"state": record.state, "order": str(record.order), "on_first": record.cents}
    return {"id": str(record.id), "version": record.version, **own}


def audit(
    session: AsyncSession, record: Coupon | Order | Refund, action: str, before: str | None, actor: str
) -> None:
    after = "issued" if isinstance(record, Coupon) else record.state
    session.add(
        AuditEntry(
            tenant=record.tenant, record=record.id, action=action, actor=actor, before=before, after=after,
            detail=represent(record),
        )
    )  # fmt: skip


def enqueue(session: AsyncSession, order: Order, name: str, refund: Refund | None = None) -> None:
    """Have a call made, once for each order (or refund) and name: its key says which."""
    key = f"{name}-{order.id if refund is None else refund.id}"
    session.add(Job(name=name, order=order.id, refund=refund and refund.id, key=key))


async def move(
    session: AsyncSession, order: Order, to: str, action: str, actor: str = SYSTEM, *, then: str | None = None
) -> None:
    """Into another state, with its audit entry, and with the call that this state is for."""
    before, order.state = order.state, to
    await session.flush()
    audit(session, order, action, before, actor)
    if then is not None:
        enqueue(session, order, then)


async def lock(session: AsyncSession, order: uuid.UUID) -> Order | None:
    """An order, its row locked. Who needs its coupon, too, locks that after it."""
    return await session.get(Order, order, with_for_update=True, populate_existing=True)


async def use_coupon(session: AsyncSession, tenant: str, coupon_id: uuid.UUID) -> Coupon:
    """Take one use of a coupon. Raises 404 and 409."""
    query = select(Coupon).where(Coupon.tenant == tenant, Coupon.id == coupon_id).with_for_update()
    coupon = (await session.scalars(query)).one_or_none()
    if coupon is None:
        raise ProblemError(404, "not-found", "There is nothing here.")
    now = await session.scalar(select(func.clock_timestamp()))
    if now is None or now >= coupon.until:
        raise ProblemError(409, "guard-failed", "The coupon has expired.")
    if coupon.used >= coupon.usable:
        raise ProblemError(409, "invariant-violated", "The coupon is used up.")
    coupon.used += 1
    await session.flush()
    audit(session, coupon, "use", "issued", SYSTEM)
    return coupon


async def call_off(
    session: AsyncSession, order: Order, action: str, actor: str = SYSTEM, problem: str | None = None
) -> None:
    """End an order that wasn't carried out: what it holds is let go, its coupon may be used again."""
    reserved = order.state in ("reserved", "authorized")
    order.problem = problem
    await move(session, order, "cancelled", action, actor)
    if reserved:
        enqueue(session, order, "release")
    if order.payment is not None:
        enqueue(session, order, "void")
    if order.coupon is not None:
        coupon = await session.get_one(Coupon, order.coupon, with_for_update=True, populate_existing=True)
        coupon.used -= 1
        await session.flush()
        audit(session, coupon, "give_back", "issued", actor)


async def cancel(session: AsyncSession, order: Order, actor: str) -> None:
    """The buyer's wish. Raises 409 once the money is taken."""
    if order.state not in OPEN:
        detail = f"cancel isn't possible in the state {order.state}."
        raise ProblemError(409, "state-conflict", detail, current_state=order.state, allowed=[])
    await call_off(session, order, "cancel", actor)


async def pay(session: AsyncSession, order: Order) -> bool:
    """The transfer has arrived; whether the order was waiting for it, or has ended meanwhile."""
    if order.state == "announced":
        raise ProblemError(409, "too-early", "The order isn't ready for this yet.", retryable=True)
    if order.state != "awaiting":
        return False  # what is late is let go by the void that ended the order
    await move(session, order, "placed", "pay", then="reserve")
    return True


async def ask_refund(session: AsyncSession, order: Order, cents: int, actor: str) -> Refund:
    """Money of a completed order to be given back. Raises 409 when it is more than is left of it."""
    if order.state != "completed":
        raise ProblemError(409, "guard-failed", "The order wasn't carried out.")
    asked = select(func.coalesce(func.sum(Refund.cents), 0))
    already = await session.scalar(asked.where(Refund.order == order.id, Refund.state != "refused"))
    if cents + (already or 0) > order.card_cents:
        raise ProblemError(409, "invariant-violated", "More than was paid is never given back.")
    refund = Refund(tenant=order.tenant, order=order.id, cents=cents)
    session.add(refund)
    await session.flush()
    audit(session, refund, "ask", None, actor)
    enqueue(session, order, "refund", refund)
    return refund
