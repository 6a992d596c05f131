"""Waiting in tests: for a real condition, with a deadline, never for a length of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

PAUSE_S = 0.02
PATIENCE_S = 60.0
"""How long what is certain to come may take: on a busy machine several times as long as usual."""


async def until(condition: Callable[[], Awaitable[T | None]], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The first true answer of the condition. Raises TimeoutError, which says what was waited for."""
    with anyio.move_on_after(timeout_s):
        while True:
            if answer := await condition():
                return answer
            await anyio.sleep(PAUSE_S)
    raise TimeoutError(f"waited {timeout_s} s in vain until {what}")


async def settled() -> None:
    """Let everything run that is ready to run, and what follows from that."""
    loop = asyncio.get_running_loop()
    for _ in range(10):
        passed: asyncio.Future[None] = loop.create_future()
        loop.call_soon(passed.set_result, None)
        await passed
