"""How many of a process's places, or threads, a destination may have, so that another one finds some."""

from __future__ import annotations

SHARE = 8
"""A destination has at most so many places for each that is free. One alone has 8 of 9 of them, two have 16
of 17; who comes then finds the rest, and gets whatever the others let go until all have as many."""


def may_take(free: int, has: int) -> int:
    """How many more places a destination may have, of those that are free; one, if it has none."""
    return max((SHARE * free - has) // (SHARE + 1), 1 if free > 0 and has == 0 else 0)
