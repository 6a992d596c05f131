"""Gates at which a request or a webhook waits until a test lets it go: order without sleeping."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque


class Gates:
    """Named gates. Whoever comes to one waits there until it is released."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Event]] = defaultdict(deque)
        self._come = asyncio.Condition()

    async def wait(self, name: str) -> None:
        """Stand at the gate until released."""
        let_go = asyncio.Event()
        async with self._come:
            self._waiting[name].append(let_go)
            self._come.notify_all()
        await let_go.wait()

    async def held(self, name: str, count: int) -> None:
        """Wait until at least so many stand at the gate."""
        async with self._come:
            await self._come.wait_for(lambda: len(self._waiting[name]) >= count)

    def release(self, name: str, count: int | None = None) -> int:
        """Let go who came first, or all who stand there now; how many that were."""
        queue = self._waiting[name]
        released = len(queue) if count is None else min(count, len(queue))
        for _ in range(released):
            queue.popleft().set()
        return released

    def open_all(self) -> None:
        """Let everybody go."""
        for name in self._waiting:
            self.release(name)
