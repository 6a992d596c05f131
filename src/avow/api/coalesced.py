"""Reading one row for many requests that want it at once, without ever answering from the past.

A request is told only what a read found that began after the request came. So a request that comes while
its row is being read waits for the next read, together with all others that came meanwhile: under load
there are at most two reads of one row, one under way and one that is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Coalesced:
    """Reads by key. `read` is asked at most once at a time for each key."""

    def __init__(self, read: Callable[[str], Awaitable[Any]]) -> None:
        self._read = read
        self._under_way = dict[str, asyncio.Task[Any]]()
        self._next = dict[str, asyncio.Task[Any]]()

    async def read(self, key: str) -> Any:
        """What `read(key)` gives, asked after this call was made; raises what it raises."""
        joined = self._next.get(key)
        if joined is None:
            joined = asyncio.create_task(self._after(key, self._under_way.get(key)))
            self._next[key] = joined
        # Shielded: a caller that gives up must not cancel the read that others wait for.
        return await asyncio.shield(joined)

    async def _after(self, key: str, earlier: asyncio.Task[Any] | None) -> Any:
        if earlier is not None:
            await asyncio.wait([earlier])
        task = self._next.pop(key)  # whoever comes from now on is told what a later read finds
        self._under_way[key] = task
        try:
            return await self._read(key)
        finally:
            if self._under_way[key] is task:
                del self._under_way[key]
