"""The arithmetic of a measurement: medians, spreads, percentiles, ratios of pairs. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some figures, and how far they lie apart."""

    median: float
    low: float
    high: float
    rounds: int

    def described(self, digits: int = 2) -> dict[str, float]:
        """As the result file has it."""
        return {
            "median": round(self.median, digits),
            "low": round(self.low, digits),
            "high": round(self.high, digits),
            "rounds": self.rounds,
        }


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest. Raises ValueError where nothing was measured."""
    if not values:
        raise ValueError("no round was measured")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Of figures that were measured alternately, ours over theirs, round by round.

    A machine that is slow for a while is slow for both halves of a round, so the ratio holds.
    """
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the ordered values don't exceed (nearest rank)."""
    if not ordered:
        raise ValueError("no value was measured")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
