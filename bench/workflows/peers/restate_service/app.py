"""Restate: a service whose handler journals each call, and one that is sent with a delay.

The server keeps keys, journals and times; this process is its handler, as the SDK's documentation has it.
There is no token to verify and no audit log here: it does less than the others.
"""

from __future__ import annotations

import os

import httpx2
import restate

_http = httpx2.AsyncClient(base_url=os.environ["PEER_PROVIDER_URL"])

saga = restate.Service("Saga")
timer = restate.Service("Timer")


async def call(what: str, key: str) -> str:
    """One call to the outside."""
    answer = await _http.post(f"/{what}", headers={"Idempotency-Key": key})
    if answer.status_code >= 400:
        raise restate.TerminalError("declined", status_code=answer.status_code)
    return str(answer.json()["id"])


@saga.handler()
async def run(ctx: restate.Context) -> dict[str, str]:
    """Three calls that are all made, or all taken back."""
    this, undo, told = ctx.request().id, list[str](), dict[str, str]()
    try:
        for what, back in (("reserve", "release"), ("charge", "refund"), ("ship", None)):
            told[what] = await ctx.run_typed(what, call, what=what, key=f"{this}-{what}")
            undo += [back] if back else []
    except restate.TerminalError:
        for back in reversed(undo):
            await ctx.run_typed(back, call, what=back, key=f"{this}-{back}")
    return told


@timer.handler()
async def fire(ctx: restate.Context) -> None:
    """A time has come; that the call ended is the record of it."""


app = restate.app([saga, timer])
