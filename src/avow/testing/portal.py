"""An event loop on a thread of its own, for tests that await nothing; they may have a loop running, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

__tracebackhide__ = True  # a test that fails shows its own lines, not these


class Portal:
    """Runs coroutines to their ends. Everything that belongs to a loop stays on this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="avow.testing", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine comes to. What it says about the test itself comes without the way here."""
        done = asyncio.run_coroutine_threadsafe(work, self._loop)
        error = done.exception()
        if isinstance(error, AssertionError):
            raise error.with_traceback(None)
        return done.result()

    @contextmanager
    def entered(self, entering: AbstractAsyncContextManager[T]) -> Generator[T]:
        """Enter it, and leave it in the end."""
        held = self.run(_awaited(entering.__aenter__()))
        try:
            yield held
        finally:
            self.run(_awaited(entering.__aexit__(None, None, None)))

    def each(self, items: AsyncGenerator[T]) -> Iterator[T]:
        """What a generator gives, one after the other."""
        try:
            while True:
                yield self.run(_awaited(anext(items)))
        except StopAsyncIteration:
            return
        finally:
            self.run(_awaited(items.aclose()))

    def close(self) -> None:
        """End the loop."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _awaited(work: Any) -> Any:
    return await work
