"""All orders in which statements of several processes can follow each other, where they say anything new.

Sleep sets: where two next statements share nothing that one of them writes, one of their orders is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from avow.prove.footprint import EVERYTHING
from avow.prove.lockstep import CutShort, Op
from avow.prove.tape import Tape


@dataclass(slots=True)
class _Fork:
    """A place at which several could have gone on. asleep: who needn't any more, by what they would do."""

    able: tuple[int, ...]
    asleep: dict[int, Op]
    chosen: int
    done: dict[int, Op] = field(default_factory=dict[int, Op])

    def next(self) -> int | None:
        """Who is still to be tried here."""
        return next((one for one in self.able if one not in self.done and one not in self.asleep), None)


class Orders:
    """Chooses an order for each execution, as long as there are `more`; `ran` is told what has happened.

    prune: False: every order there is. strayed: how often the same choices led elsewhere than before.
    """

    def __init__(self, *, prune: bool = True) -> None:
        self._forks = list[_Fork]()
        self._prune = prune
        self.more, self.strayed = True, 0

    def choose(self, step: int, able: tuple[int, ...], ops: Sequence[Op]) -> int:
        """Which one goes on."""
        if step < len(self._forks):
            if self._forks[step].chosen not in able:
                self._stray(step)
            return self._forks[step].chosen
        asleep = self._asleep(ops)
        chosen = next((one for one in able if one not in asleep), None)
        if chosen is None:
            raise CutShort
        self._forks.append(_Fork(able, asleep, chosen))
        return chosen

    def _stray(self, step: int) -> None:
        """Give up a place that the same choices have not led to again."""
        self.strayed += 1
        del self._forks[step + 1 :]
        raise CutShort

    def _asleep(self, ops: Sequence[Op]) -> dict[int, Op]:
        """Whoever was tried before, and whose statement doesn't meet the last one."""
        if not self._forks or not self._prune:
            return {}
        fork, last = self._forks[-1], ops[-1]
        known = fork.asleep | fork.done
        return {
            lane: op
            for lane, op in known.items()
            if lane != last.lane and not op.footprint.meets(last.footprint)
        }

    def ran(self, ops: Sequence[Op]) -> None:
        """An execution has ended; go back to the last place where another one could go on."""
        while self._forks:
            fork = self._forks[-1]
            place = len(self._forks) - 1
            fork.done[fork.chosen] = ops[place] if place < len(ops) else Op(fork.chosen, "", EVERYTHING)
            following = fork.next()
            if following is not None:
                fork.chosen = following
                return
            self._forks.pop()
        self.more = False


class Drawn:
    """Chooses by chance, from a tape."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def choose(self, step: int, able: tuple[int, ...], ops: Sequence[Op]) -> int:
        return able[self._tape.draw(len(able))]


class Fixed:
    """Chooses as it was told; where that ends, or can't be, the lowest that can go on."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = tuple(order)

    def choose(self, step: int, able: tuple[int, ...], ops: Sequence[Op]) -> int:
        if step < len(self._order) and self._order[step] in able:
            return self._order[step]
        return able[0]
