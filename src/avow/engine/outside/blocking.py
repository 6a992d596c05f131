"""The same client for plain functions, which run in threads and can't wait for the event loop themselves."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError
from typing import Any

from avow.engine.outside.http import Http
from avow.engine.outside.response import Response
from avow.model.outcome import Unclear

GRACE_S = 5.0
"""How much longer than the call's deadline a thread waits for the loop to say how a request ended."""


class BlockingHttp:
    """An `Http` whose methods wait: for threads alone, as on the loop's own it would wait for itself."""

    def __init__(self, http: Http, loop: asyncio.AbstractEventLoop) -> None:
        self._http, self._loop = http, loop

    def request(self, method: str, url: str, **options: Any) -> Response:
        """As `Http.request`. Raises Unclear too where the loop ends meanwhile."""
        if _is_on_a_loop():
            raise RuntimeError("BlockingHttp is for functions in threads; an async function awaits Http")
        waiting = asyncio.run_coroutine_threadsafe(self._http.request(method, url, **options), self._loop)
        try:
            return waiting.result(max(self._http.deadline - time.monotonic(), 0) + GRACE_S)
        except (TimeoutError, CancelledError):
            waiting.cancel()
            raise Unclear(f"{method} was given up while it was under way") from None

    def get(self, url: str, **options: Any) -> Response:
        """`request("GET", ...)`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """`request("POST", ...)`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Response:
        """`request("PUT", ...)`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Response:
        """`request("PATCH", ...)`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Response:
        """`request("DELETE", ...)`."""
        return self.request("DELETE", url, **options)


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
