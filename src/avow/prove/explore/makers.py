"""Commands that make records, and have more inputs than are tried in one situation.

Where there can be no more records of an entity, nothing is made of it: most situations show what becomes of a
record, and few of them which records there may be. So whatever else there is to do, something is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from avow.prove.act import Act, is_creation
from avow.prove.explore.possible import Acts
from avow.prove.explore.situation import Situation

WHERE_MAX: Final = 4
"""In so many situations something is made with other values."""
NEAR: Final = 4
"""So many inputs are near what was accepted by then; the next ones learn of what was accepted since."""


@dataclass(slots=True)
class _Maker:
    """One command. where: situations in which it was accepted, with most records beside; most: how many."""

    entity: str
    command: str
    most: int = -1
    where: deque[tuple[int, Situation]] = field(default_factory=deque[tuple[int, Situation]])
    acts: Iterator[tuple[int, Act]] | None = None


class Makers:
    """Tells by turns, of each command that makes something, another act of it, and where."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._makers = dict[tuple[str, str], _Maker]()
        self._turns = deque[_Maker]()
        self._seed = 0

    def learn(self, act: Act, at: int, situation: Situation) -> None:
        """Take note of an act that was accepted in a situation."""
        of = act.entity, act.command
        if of not in self._acts.sampled or not is_creation(self._acts.system, act):
            return
        maker = self._makers.get(of)
        if maker is None:
            maker = self._makers[of] = _Maker(*of)
            self._turns.append(maker)
        count = len(situation.records)
        if count > maker.most:
            maker.most = count
            maker.where.clear()
        if count == maker.most and len(maker.where) < WHERE_MAX and all(at != one for one, _ in maker.where):
            maker.where.append((at, situation))

    def take(self) -> tuple[int, Act] | None:
        """What is made next, and in which situation, by its number; None where there is nothing."""
        if not self._turns:
            return None
        self._turns.rotate(-1)
        maker = self._turns[-1]
        act = None if maker.acts is None else next(maker.acts, None)
        if act is None:
            maker.acts = self._near(maker)
            act = next(maker.acts)
        return act

    def _near(self, maker: _Maker) -> Iterator[tuple[int, Act]]:
        maker.where.rotate(-1)
        at, situation = maker.where[-1]
        self._seed += 1
        acts = self._acts.others(situation, maker.entity, maker.command, self._seed)
        return ((at, act) for act in islice(acts, NEAR))
