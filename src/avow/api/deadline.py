"""The same time for each of many pieces of work, at the price of one timer.

Since all get the same time, whoever began first is late first: one timer, set for the oldest, serves all.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from types import TracebackType
from typing import Any


class TimeLimit:
    """At most `limit_s` for each `with limit.span():` of one event loop."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._running = dict[Span, None]()  # in the order in which they began
        self._timer: asyncio.TimerHandle | None = None

    def span(self) -> Span:
        """A piece of work of the task that enters it."""
        return Span(self)

    def begin(self, span: Span) -> None:
        """The span's time runs from now on."""
        loop = asyncio.get_running_loop()
        span.ends_s = loop.time() + self.limit_s
        self._running[span] = None
        if self._timer is None:
            self._timer = loop.call_at(span.ends_s, self._interrupt_late)

    def end(self, span: Span) -> None:
        """The span is over."""
        self._running.pop(span, None)

    def _interrupt_late(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._running:
            oldest = next(iter(self._running))
            if oldest.ends_s > loop.time():
                self._timer = loop.call_at(oldest.ends_s, self._interrupt_late)
                return
            del self._running[oldest]
            oldest.interrupt()


class Span:
    """One piece of work. Leaving it late raises TimeoutError, as `asyncio.timeout` does."""

    __slots__ = ("_cancelling", "_late", "_limit", "_task", "ends_s")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._late = False
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self.ends_s = 0.0

    def interrupt(self) -> None:
        """The time is over: the work is cancelled where it waits."""
        if self._task is not None:
            self._late = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit is for work inside a task")
        self._task, self._cancelling = task, task.cancelling()
        self._limit.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._limit.end(self)
        if not self._late or self._task is None:
            return
        # Somebody else's cancellation, if there is one too, goes on.
        ours_alone = self._task.uncancel() <= self._cancelling
        if ours_alone and kind is not None and issubclass(kind, CancelledError):
            raise TimeoutError from error
