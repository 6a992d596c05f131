"""One tape of choices: what chance decides is drawn from it, recorded on it, and replayed from it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

SEED_BITS: Final = 63


class Tape:
    """Choices in the order in which they are made.

    Made from a seed it draws anew; made from recorded choices it gives these back, and then always 0, which
    stands for the simplest choice. It never looks at a clock, and two with the same start draw the same.
    """

    def __init__(self, seed: int, recorded: Sequence[int] | None = None) -> None:
        self.seed = seed
        self._chance = random.Random(seed)  # a choice, not a secret
        self._recorded = None if recorded is None else tuple(recorded)
        self._drawn: list[int] = []

    @classmethod
    def replay(cls, recorded: Sequence[int]) -> Tape:
        """A tape that gives these choices back."""
        return cls(0, recorded)

    @property
    def drawn(self) -> tuple[int, ...]:
        """Every choice so far."""
        return tuple(self._drawn)

    def draw(self, n: int) -> int:
        """A choice among n, counted from 0. A recorded one that is too large is the largest."""
        if n < 1:
            raise ValueError("there is nothing to choose from")
        if self._recorded is None:
            choice = self._chance.randrange(n)
        else:
            at = len(self._drawn)
            choice = min(self._recorded[at], n - 1) if at < len(self._recorded) else 0
        self._drawn.append(choice)
        return choice

    def shuffled(self, n: int) -> tuple[int, ...]:
        """The numbers below n in an order drawn from the tape; all zeros on it leave them sorted."""
        left = list(range(n))
        return tuple(left.pop(self.draw(len(left))) for _ in range(n))

    def split(self, name: str) -> Tape:
        """A tape of its own for a part of the run, so that one part's draws don't shift another's."""
        return Tape(random.Random(f"{self.seed}/{name}").getrandbits(SEED_BITS))
