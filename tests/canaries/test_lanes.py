"""Phases side by side: the same is said as by one process, and a process that dies leaves no verdict."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Final

import pytest

from avow.cli.target import load_target
from avow.model.system import System
from avow.prove.conform import Conform
from avow.prove.coverage import coverage_from, coverage_json
from avow.prove.deadlines import Deadlines
from avow.prove.lanes import Source, lanes_of, side_by_side
from avow.prove.lint import Lint
from avow.prove.model import Model
from avow.prove.phase import Bench, Phase, silent
from avow.prove.phases import PHASES
from avow.prove.turns import Said, in_turn

TARGET: Final = "examples/enrollment"
SECONDS: Final = 30.0


def dies(_: str) -> System:
    """What a process does that lacks memory."""
    os._exit(9)


async def lanes(phases: list[Phase], load: Callable[[str], System] = load_target) -> tuple[Bench, list[Said]]:
    bench = Bench(load_target(TARGET), 0)
    async with bench.stack:
        await in_turn(bench, [Model()], 1.0, silent)
        return bench, await side_by_side(bench, Source(load, TARGET), phases, len(phases), SECONDS, silent)


async def test_each_phase_is_gone_through_by_one_process_on_the_paths_that_all_share() -> None:
    told = set[str]()
    bench, said = await lanes([Conform(), Deadlines()])
    assert sorted(name for name, _ in said) == ["conform", "time"]
    for _, report in said:
        told |= {tally.fault for tally in report.tallies if tally.tried}
    assert {"every path through the model", "every refused act"} <= told
    assert (bench.unfit, bool(bench.postgresql)) == ([], True)


@pytest.mark.parametrize("target", [TARGET, "examples/verification"])
async def test_what_the_model_has_found_is_the_same_in_another_process(target: str) -> None:
    bench = Bench(load_target(target), 0)
    await in_turn(bench, [Model()], 1.0, silent)
    sent = json.loads(json.dumps(coverage_json(bench.system, bench.coverage)))
    assert bench.coverage.states
    assert coverage_from(bench.system, sent) == bench.coverage


async def test_a_process_that_dies_leaves_no_verdict() -> None:
    bench, said = await lanes([Conform(), Deadlines()], dies)
    assert [name for name, _ in said] == ["conform"]
    assert bench.unfit == ["the process of time ended before its time"]


class Dying:
    """What ends the process that takes it, before it has taken what comes behind."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (9,)

    def __call__(self, name: str) -> System:
        return load_target(name)


async def test_a_process_that_dies_before_it_has_taken_its_work_keeps_nobody() -> None:
    """Of which there is more than the system takes on its way to it."""
    bench = Bench(load_target(TARGET), 0)
    source = Source(Dying(), TARGET * 100_000)
    async with bench.stack, asyncio.timeout(SECONDS):
        assert await side_by_side(bench, source, [Lint(), Deadlines()], 2, 1.0, silent)
    (said,) = bench.unfit
    assert said.endswith("ended before its time")


def test_lanes_take_about_as_long_as_each_other_and_keep_the_order() -> None:
    own, other = lanes_of(PHASES, 2)
    assert abs(sum(p.share for p in own) - sum(p.share for p in other)) <= min(
        p.share for p in PHASES if p.share
    )
    assert sorted([*own, *other], key=PHASES.index) == list(PHASES)
    assert [own, other] == [sorted(lane, key=PHASES.index) for lane in (own, other)]
