"""Threads for owners' plain functions: one that never returns holds nobody up, nor the process's end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from avow.engine.workers.places import may_take
from avow.model.outcome import NotDone

THREADS_MAX = 64
"""How many plain functions may run at once in a process, those that are late included."""


class Threads:
    """Runs plain functions, each in a thread of its own that doesn't keep the process from ending."""

    def __init__(self, most: int = THREADS_MAX) -> None:
        self._most, self._running, self._turn = most, Counter[str](), threading.Lock()

    def start(self, destination: str, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """What it will return, or raise. Raises NotDone, and runs nothing, where too many are running; those
        of one destination, which may never return, leave some to others."""
        with self._turn:
            if not may_take(self._most - self._running.total(), self._running[destination]):
                raise NotDone("every thread for plain functions is taken")
            self._running[destination] += 1
        outcome = Future[Any]()
        outcome.set_running_or_notify_cancel()  # what has begun can't be called off
        threading.Thread(
            target=self._run, args=(outcome, destination, function, given), name="effect", daemon=True
        ).start()
        return outcome

    def _run(
        self, outcome: Future[Any], destination: str, function: Callable[..., Any], given: tuple[Any, ...]
    ) -> None:
        try:
            outcome.set_result(function(*given))
        except BaseException as error:  # noqa: BLE001 - handed to who waits for it
            # What ends a program, or an iteration, would do so to the loop that waits.
            ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration)
            outcome.set_exception(error if ordinary else RuntimeError(type(error).__name__))
        finally:
            with self._turn:
                self._running[destination] -= 1
