"""Acts, schedules and tapes are plain data: they survive JSON, are replayed, always shrink the same way."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.prove.act import Act, Ref
from avow.prove.campaign import Campaign
from avow.prove.explore.possible import Scope
from avow.prove.explore.search import search
from avow.prove.finding import Finding
from avow.prove.model import coverage_of
from avow.prove.oracle import Break
from avow.prove.phase import Budget
from avow.prove.schedule import Fault, Schedule, schedule_from, schedule_json
from avow.prove.shrink import shrink, smaller_than
from avow.prove.tape import Tape
from tests.canaries import shop
from tests.unit.prove.systems import SOUND


def test_every_path_of_a_model_survives_json() -> None:
    for system in (SOUND, shop.app):
        left = iter(range(30))
        found = search(
            Scope(system, tuple(system.entities)), lambda _, left=left: next(left, None) is not None
        )
        coverage = coverage_of(system, [found])
        paths = [*coverage.states.values(), *coverage.transitions.values()]
        assert {act.kind for path in paths for act in path} >= {"command"}
        for path in paths:
            schedule = Schedule(path, 1, (Fault("reply-lost", 0, 2),), (0, 1, 0))
            told = json.loads(json.dumps(schedule_json(system, schedule)))
            assert schedule_from(system, told) == schedule


def test_an_act_that_the_system_does_not_know_is_refused() -> None:
    told = {"kind": "command", "entity": "Book", "command": "burn", "record": 1, "input": {}}
    with pytest.raises(ValueError, match=r"Book\.burn"):
        schedule_from(SOUND, {"acts": [told], "together": 0, "faults": [], "order": []})


@given(st.integers(0, 2**63), st.lists(st.integers(1, 50), max_size=30))
def test_a_tape_gives_back_what_was_drawn(seed: int, sizes: list[int]) -> None:
    tape = Tape(seed)
    drawn = [tape.draw(size) for size in sizes]
    again = Tape.replay(tape.drawn)
    assert [again.draw(size) for size in sizes] == drawn
    assert again.draw(7) == 0, "past its end a tape draws the simplest"
    assert Tape(seed).split("race").draw(1_000) == Tape(seed).split("race").draw(1_000)


def acts(count: int) -> tuple[Act, ...]:
    return tuple(Act("command", "Book", "fetch", ordinal) for ordinal in range(1, count + 1))


async def test_a_schedule_shrinks_to_what_matters_and_faults_stay_with_their_acts() -> None:
    big = Schedule(acts(9), 2, (Fault("crash", 1), Fault("lost", 6), Fault("crash", 8)), (0, 1, 0, 1, 0, 1))

    async def fails(candidate: Schedule) -> bool:
        lost = [candidate.acts[fault.act].record for fault in candidate.faults if fault.kind == "lost"]
        return 7 in lost and any(act.record == 4 for act in candidate.acts) and 1 in candidate.order

    small = await shrink(big, fails)
    assert [act.record for act in small.acts] == [4, 7, 8, 9], "those that run at once are never dropped"
    assert small.faults == (Fault("lost", 1),)
    assert small.switches == 1
    assert await shrink(big, fails) == small
    assert all(len(one.acts) <= len(big.acts) for one in smaller_than(big))


async def test_what_differs_in_values_alone_is_told_once() -> None:
    told = Break("P7 effects", "Something is still held.", "Nobody lets it go.")

    async def run(schedule: Schedule) -> list[Break]:
        return [told] if schedule.faults or any(act.command == "fetch" for act in schedule.acts) else []

    def tell(schedule: Schedule, broke: Break) -> Finding:
        return Finding("effects", broke.promise, broke.sentence, broke.place, schedule, (), broke.why)

    async def findings(*schedules: Schedule) -> int:
        campaign = Campaign(Budget(60.0), run, tell)
        for schedule in schedules:
            await campaign.attempt("any", schedule)
        return len(campaign.findings)

    one, two = (Schedule((replace(acts(1)[0], input={"cents": cents}),)) for cents in (1, 2))
    assert await findings(one, two) == 1
    assert (
        await findings(one, Schedule((replace(two.acts[0], command="keep"),), faults=(Fault("lost", 0),)))
        == 2
    )


def test_records_are_named_by_ordinals() -> None:
    assert str(Ref("Book", 2)) == "Book 2"
