"""The beat of the sealer: when its steps begin, and when it looks before it begins one.

It reads no clock and waits for nothing by itself: both are given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from avow.store.log.sealing import LEAVES_MAX

INTERVAL_S: Final = 0.2
"""From the beginning of one step to that of the next: about how long one waits for a checkpoint at most."""
REST_MIN: Final = 4
"""Steps that take longer than that are still followed by this part of it: commands come first."""


class Step(Protocol):
    """One step; gives back how many leaves it added. ask: look first whether there is something."""

    def __call__(self, *, ask: bool) -> Awaitable[int]: ...


async def follow(
    step: Step, rest: Callable[[float], bool], clock: Callable[[], float], interval_s: float
) -> None:
    """Do step after step on the beat until `rest`, which waits so many seconds, says that it is the end.

    A step that was full is followed by the next at once: the log is behind. After one that added something
    there probably is something again, so that isn't asked first.
    """
    ask, rest_s = True, 0.0
    while not rest(rest_s):
        begun = clock()
        leaves = await step(ask=ask)
        ask, rest_s = not leaves, 0.0
        if leaves < LEAVES_MAX:
            rest_s = max(interval_s - (clock() - begun), interval_s / REST_MIN)
