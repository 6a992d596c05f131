"""Restate: a virtual object per payment, called through the server's ingress with an idempotency key.

The server keeps key, state and journal; this process is its handler, served as the SDK's documentation shows.
There is no token to verify, no role, no audit log and no outbox here: it does less than the others.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import restate

AMOUNT = 10**12

payment = restate.VirtualObject("Payment", idempotency_retention=timedelta(days=1))


@payment.handler()
async def capture(ctx: restate.ObjectContext, body: dict[str, int]) -> dict[str, Any]:
    """Capture a part; calls on one payment run one after the other."""
    held: dict[str, Any] = await ctx.get("payment") or {
        "state": "open", "version": 1, "amount": AMOUNT, "captured": 0,
    }  # fmt: skip
    captured = held["captured"] + body["amount"]
    if held["state"] != "open" or captured > held["amount"]:
        raise restate.TerminalError("refused", status_code=409)
    after = {**held, "version": held["version"] + 1, "captured": captured}
    ctx.set("payment", after)
    return {"id": ctx.key(), **after}


app = restate.app([payment])
