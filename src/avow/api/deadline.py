"""The same time for each of many pieces of work, at the price of one timer.

Since all get the same time, whoever began first is late first: one timer, set for the oldest, serves all.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from functools import partial
from types import TracebackType
from typing import Any


def running_task() -> asyncio.Task[Any]:
    """The task that calls this."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a time limit is for work inside a task")
    return task


class TimeLimit:
    """At most `limit_s` for each `with limit.span(task):` of one event loop."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.running = dict[Span, None]()  # in the order in which they began
        self.timer: asyncio.TimerHandle | None = None
        self.span = partial(Span, self)
        """A piece of work of the running task."""

    def watch(self, span: Span) -> None:
        """Have the span interrupted at its end; those that began earlier end earlier."""
        self.timer = asyncio.get_running_loop().call_at(span.ends_s, self._interrupt_late)

    def _interrupt_late(self) -> None:
        self.timer = None
        loop = asyncio.get_running_loop()
        while self.running:
            oldest = next(iter(self.running))
            if oldest.ends_s > loop.time():
                self.timer = loop.call_at(oldest.ends_s, self._interrupt_late)
                return
            del self.running[oldest]
            oldest.interrupt()


class Span:
    """One piece of work. Leaving it late raises TimeoutError, as `asyncio.timeout` does."""

    __slots__ = ("_cancelling", "_late", "_limit", "_task", "ends_s")

    def __init__(self, limit: TimeLimit, task: asyncio.Task[Any]) -> None:
        self._limit, self._task = limit, task
        self._late = False
        self._cancelling = 0
        self.ends_s = 0.0

    def interrupt(self) -> None:
        """The time is over: the work is cancelled where it waits."""
        self._late = True
        self._task.cancel()

    def __enter__(self) -> None:
        task, limit = self._task, self._limit
        self._cancelling = task.cancelling()
        self.ends_s = task.get_loop().time() + limit.limit_s
        limit.running[self] = None
        if limit.timer is None:
            limit.watch(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._limit.running.pop(self, None)
        if not self._late:
            return
        # Somebody else's cancellation, if there is one too, goes on.
        ours_alone = self._task.uncancel() <= self._cancelling
        if ours_alone and kind is not None and issubclass(kind, CancelledError):
            raise TimeoutError from error
