"""The routes: who may do what to a coupon, an order and a refund."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from examples.twins.service.database import Base, connect, transaction
from examples.twins.service.idempotency import IdempotentRoute, forget_expired
from examples.twins.service.problems import ProblemError, not_found
from examples.twins.service.serving import equip
from examples.twins.service.tokens import Caller, CallerOf

from . import webhooks
from .orders import UNPAID, ask_refund, audit, cancel, enqueue, lock, represent, use_coupon
from .outside import Outside
from .tables import Coupon, Order, Refund
from .worker import LOCK_S, Worker

SHOPKEEPER = "shopkeeper"

router = APIRouter(route_class=IdempotentRoute)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewCoupon(Body):
    code: str = Field(max_length=40)
    cents: int = Field(ge=1, le=2**31 - 1)
    limit: int = Field(ge=1, le=2**31 - 1)
    until: datetime = Field(strict=False)


class Wanted(Body):
    """What is bought."""

    sku: str = Field(max_length=64)
    quantity: int = Field(ge=1, le=1_000)
    price: int = Field(ge=1, le=2**31 - 1)
    coupon: uuid.UUID | None = Field(default=None, strict=False)


class NewOrder(Wanted):
    card: str | None = Field(default=None, max_length=64)


class NewRefund(Body):
    order: uuid.UUID = Field(strict=False)
    on_first: int = Field(ge=1, le=2**31 - 1)


def answer(record: Coupon | Order | Refund, status: int = 200) -> Response:
    headers = {"ETag": f'"{record.id}.{record.version}"', "Cache-Control": "no-store"}
    return JSONResponse(represent(record), status, headers)


async def load_order(session: AsyncSession, caller: Caller, order_id: uuid.UUID) -> Order:
    """An order that the caller may see, its row locked. Raises 404."""
    order = await lock(session, order_id)
    hidden = order is None or order.tenant != caller.tenant
    if order is None or hidden or (order.buyer != caller.subject and SHOPKEEPER not in caller.roles):
        raise not_found()
    return order


@router.post("/coupons")
async def issue_coupon(request: Request, body: NewCoupon, caller: CallerOf) -> Response:
    caller.need(SHOPKEEPER)
    async with transaction(request.app.state.sessions) as session:
        coupon = Coupon(
            tenant=caller.tenant, code=body.code, cents=body.cents, usable=body.limit, until=body.until
        )
        session.add(coupon)
        await session.flush()
        audit(session, coupon, "issue", None, caller.subject)
        return answer(coupon, 201)


async def place(request: Request, body: Wanted, caller: Caller, card: str | None, *, later: bool) -> Response:
    """Take the coupon, write the order, and the first call that it needs, in one transaction."""
    async with transaction(request.app.state.sessions) as session:
        coupon = None if body.coupon is None else await use_coupon(session, caller.tenant, body.coupon)
        coupon_cents = 0 if coupon is None else min(coupon.cents, body.price)
        order = Order(
            tenant=caller.tenant, buyer=caller.subject, sku=body.sku, quantity=body.quantity,
            price=body.price, coupon=body.coupon, coupon_cents=coupon_cents, card=card,
            card_cents=body.price - coupon_cents, later=later, state="announced" if later else "placed",
            pay_until=func.clock_timestamp() + UNPAID if later else None,
        )  # fmt: skip
        if order.card_cents and not later and card is None:
            raise ProblemError(409, "invariant-violated", "The rest has to be paid by card.")
        session.add(order)
        await session.flush()
        audit(session, order, "place", None, caller.subject)
        enqueue(session, order, "announce" if later else "reserve")
        return answer(order, 201)


@router.post("/orders")
async def place_order(request: Request, body: NewOrder, caller: CallerOf) -> Response:
    return await place(request, body, caller, body.card, later=False)


@router.post("/orders/place_by_transfer")
async def place_by_transfer(request: Request, body: Wanted, caller: CallerOf) -> Response:
    return await place(request, body, caller, None, later=True)


@router.get("/orders/{order_id}")
async def read_order(request: Request, order_id: uuid.UUID, caller: CallerOf) -> Response:
    async with transaction(request.app.state.sessions) as session:
        return answer(await load_order(session, caller, order_id))


@router.post("/orders/{order_id}/cancel")
async def cancel_order(request: Request, order_id: uuid.UUID, caller: CallerOf) -> Response:
    async with transaction(request.app.state.sessions) as session:
        order = await load_order(session, caller, order_id)
        if order.buyer != caller.subject:
            raise ProblemError(403, "forbidden", "Only the buyer may do this.")
        await cancel(session, order, caller.subject)
        return answer(order)


@router.post("/refunds")
async def refund_order(request: Request, body: NewRefund, caller: CallerOf) -> Response:
    caller.need(SHOPKEEPER)
    async with transaction(request.app.state.sessions) as session:
        order = await load_order(session, caller, body.order)
        return answer(await ask_refund(session, order, body.on_first, caller.subject), 201)


def build(settings: Mapping[str, str]) -> FastAPI:
    """The application, which makes its own calls, too. Raises ValueError when a setting can't be used."""
    engine, outside = connect(settings["TWIN_DATABASE_URL"]), Outside(settings["TWIN_PROVIDER_URL"])
    lock_s = float(settings.get("TWIN_JOB_LOCK_S", LOCK_S))

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncGenerator[None, None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await forget_expired(application.state.sessions)
        working = asyncio.create_task(Worker(application.state.sessions, outside, lock_s).run())
        yield
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await outside.close()
        await engine.dispose()

    application = FastAPI(title="Checkout", lifespan=lifespan)
    application.include_router(router)
    application.include_router(webhooks.router)
    application.state.webhook_key = webhooks.key_of(settings["TWIN_WEBHOOK_SECRET"])
    equip(application, engine, settings)
    return application
