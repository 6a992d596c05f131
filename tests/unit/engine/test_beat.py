"""Steps of the sealer begin on a beat, whatever they take; nothing here waits, and time is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from avow.engine.log.beat import INTERVAL_S, REST_MIN, follow
from avow.store.log.sealing import LEAVES_MAX


@dataclass
class Told:
    """Steps that take as long, and add as many leaves, as they are told; and what was seen of them.

    steps: of each, how long it takes and how many leaves it adds. After the last one it is the end.
    """

    steps: Sequence[tuple[float, int]]
    now: float = 100.0
    begun: list[float] = field(default_factory=list[float])
    asked: list[bool] = field(default_factory=list[bool])

    async def step(self, *, ask: bool) -> int:
        took_s, leaves = self.steps[len(self.begun)]
        self.begun.append(round(self.now - 100.0, 6))
        self.asked.append(ask)
        self.now += took_s
        return leaves

    def rest(self, seconds: float) -> bool:
        self.now += seconds
        return len(self.begun) == len(self.steps)

    def follow(self) -> None:
        asyncio.run(follow(self.step, self.rest, lambda: self.now, INTERVAL_S))


def test_steps_begin_on_a_beat_of_200_ms_whatever_they_take() -> None:
    """Not the step and then a pause: at a rate, an entry would wait longer the more there is to seal."""
    told = Told([(0.0, 0), (0.003, 1), (0.04, 900), (0.149, 4_000), (0.0, 0)])
    told.follow()
    assert told.begun == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


def test_a_step_longer_than_the_beat_is_followed_by_a_rest_of_a_quarter() -> None:
    told = Told([(0.5, 10), (0.16, 10), (0.0, 10)])
    told.follow()
    rest_s = INTERVAL_S / REST_MIN
    assert told.begun == pytest.approx([0.0, 0.5 + rest_s, 0.5 + 0.16 + 2 * rest_s])


def test_a_log_that_is_behind_is_not_rested_for() -> None:
    told = Told([(0.1, LEAVES_MAX), (0.1, LEAVES_MAX), (0.1, 3), (0.0, 0)])
    told.follow()
    assert told.begun == pytest.approx([0.0, 0.1, 0.2, 0.4])


def test_only_after_a_step_that_found_nothing_it_is_asked_whether_there_is_something() -> None:
    told = Told([(0.0, 0), (0.0, 5), (0.0, LEAVES_MAX), (0.0, 0), (0.0, 1)])
    told.follow()
    assert told.asked == [True, True, False, False, True]


def test_the_end_is_the_end_before_any_step_too() -> None:
    told = Told([])
    told.follow()
    assert told.begun == []
