"""Webhooks of the payment provider, signed as Standard Webhooks has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert

from examples.twins.service.database import transaction
from examples.twins.service.problems import ProblemError

from .orders import call_off, lock, pay
from .tables import Heard

PREFIX = "whsec_"
TOLERANCE_S = 300

router = APIRouter()


class Payment(BaseModel):
    """What a message is about: whose payment it is."""

    reference: uuid.UUID


class Message(BaseModel):
    """What is read of it; whatever else it says is ignored."""

    type: str
    data: Payment


def key_of(secret: str) -> bytes:
    """The key of a secret as both sides keep it. Raises ValueError."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"TWIN_WEBHOOK_SECRET must start with {PREFIX}")
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def check_signature(key: bytes, headers: Mapping[str, str], body: bytes) -> str:
    """The message's id. Raises 401 unless it was signed with the key, and lately."""
    message, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signature = hmac.digest(key, f"{message}.{sent}.".encode() + body, hashlib.sha256)
    wanted = f"v1,{base64.b64encode(signature).decode()}"
    given = headers.get("webhook-signature", "").split()
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in given):
        raise ProblemError(401, "signature-invalid", "The signature isn't right.")
    if not message or not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE_S:
        raise ProblemError(401, "signature-invalid", "The message is too old.")
    return message


def read(body: bytes) -> Message:
    """Raises 422 for what isn't a message about a payment."""
    try:
        return Message.model_validate_json(body)
    except ValueError as error:
        raise ProblemError(422, "input-invalid", "This isn't a message about a payment.") from error


@router.post("/events/psp")
async def hear(request: Request) -> JSONResponse:
    """Act once on each message: its id is written in the transaction of what it causes."""
    body = await request.body()
    message_id = check_signature(request.app.state.webhook_key, request.headers, body)
    message = read(body)
    if message.type not in ("payment.authorized", "payment.declined"):
        return JSONResponse({"outcome": "ignored"})
    async with transaction(request.app.state.sessions) as session:
        first = insert(Heard).values(id=message_id).on_conflict_do_nothing().returning(Heard.id)
        if await session.scalar(first) is None:
            return JSONResponse({"outcome": "known"})
        order = await lock(session, message.data.reference)
        if order is None or not order.later:
            return JSONResponse({"outcome": "ignored"})
        if message.type == "payment.declined":
            if order.state == "awaiting":
                await call_off(session, order, "declined", problem="declined")
            return JSONResponse({"outcome": "applied"})
        applied = await pay(session, order)
        return JSONResponse({"outcome": "applied" if applied else "late"})
