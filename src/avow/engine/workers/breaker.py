"""Circuit breakers: a destination that keeps failing is left alone for a while, then tried with one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

FAULTS_MAX = 5
"""So many attempts in a row without an answer, and the destination is left alone."""
OPEN_S = 5.0
"""How long at first; twice as long each time it goes on failing."""
OPEN_S_MAX = 60.0


@dataclass(slots=True)
class _State:
    faults: int = 0
    open_s: float = OPEN_S
    open_until: float = 0.0


class Breaker:
    """The breakers of one process, by destination."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states = dict[str, _State]()

    def closed(self, destination: str) -> bool:
        """Whether calls may go there now."""
        state = self._states.get(destination)
        return state is None or self._clock() >= state.open_until

    def half_open(self, destination: str) -> bool:
        """Whether it was left alone for as long as it should be, and a single call is to tell how it is."""
        state = self._states.get(destination)
        return state is not None and state.faults >= FAULTS_MAX and self._clock() >= state.open_until

    def note(self, destination: str, *, failed: bool) -> None:
        """Tell how an attempt ended: failed means without an answer to go by.

        What had begun before it was left alone, and fails meanwhile, says nothing new.
        """
        if not failed:
            self._states.pop(destination, None)
            return
        state = self._states.setdefault(destination, _State())
        now = self._clock()
        if now < state.open_until:
            return
        state.faults += 1
        if state.faults >= FAULTS_MAX:
            state.open_until = now + state.open_s
            state.open_s = min(2 * state.open_s, OPEN_S_MAX)
