"""The HTTP clients of effects: each call gets one for its destination, bound to its key and its time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from avow.engine.outside import BlockingHttp, Destination, Http, Limits, Outside
from avow.model.effect import Effect
from avow.store.queue import Work


class Clients:
    """The clients of one process, by destination; one that isn't configured may be called anywhere public."""

    def __init__(self, destinations: Mapping[str, Destination]) -> None:
        self._destinations = dict(destinations)
        self._outside: Outside | None = None

    def open(self, effect: Effect, function: Callable[..., Any], work: Work, key: str) -> Http | BlockingHttp:
        """The client for one run of a function: an async one awaits it, for a plain one it waits."""
        self._outside = self._outside or Outside()
        http = self._outside.http(
            self._destinations.get(effect.destination), key=key,
            deadline=time.monotonic() + effect.timeout_s, traceparent=_traceparent(work),
            limits=Limits(effect.request_bytes_max, effect.answer_bytes_max),
        )  # fmt: skip
        if inspect.iscoroutinefunction(function):
            return http
        return BlockingHttp(http, asyncio.get_running_loop())

    async def aclose(self) -> None:
        """Close every connection."""
        if self._outside is not None:
            await self._outside.aclose()


def _traceparent(work: Work) -> str | None:
    """The trace of the request that asked for the work: its id is the trace's."""
    try:
        return f"00-{UUID(work.request).hex}-{work.key.hex[:16]}-01"
    except ValueError:
        return None
