"""Attacks on the real engine: they try what they say, find nothing on a sound one, and can be repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avow.prove.conform import Conform
from avow.prove.coverage import Coverage, Refused
from avow.prove.crash import Crash, crash, look_at, once, subject_of
from avow.prove.databases import Databases
from avow.prove.defects import DEFECTS
from avow.prove.orders import Fixed, Orders
from avow.prove.phase import Bench
from avow.prove.race import Race, Ran, run_race, schedule_of
from avow.prove.race import run_schedule as run_order
from avow.prove.reference import reference
from avow.prove.rig import Rig, rig
from avow.prove.schedule import Fault, Schedule, schedule_from, schedule_json
from avow.prove.selftest import AGAIN, BOUGHT, CHARGED, HALL, HELD, HOLD, RACES, rig_with
from tests.canaries.mutants import SCHEDULES, counted

pytestmark = pytest.mark.anyio

COVERAGE = Coverage(
    states={("Hall", "opened"): HALL},
    transitions={("Ticket", "hold"): HELD, ("Ticket", "buy"): BOUGHT},
    refused={("Hall", "opened"): (Refused(replace(HOLD, input={**HOLD.input, "code": ""}), "", HALL),)},
)


def planted(name: str):
    return next(defect for defect in DEFECTS if defect.name == name)


async def test_the_phases_try_what_they_say_and_nothing_breaks() -> None:
    bench = Bench(reference, 1, coverage=COVERAGE)
    async with bench.stack:
        await bench.shared(rig)
        for phase, least in ((Conform(), 4), (Crash(), 6), (Race(), 20)):
            report = await phase.run(bench, counted(SCHEDULES))
            assert report.findings == ()
            assert sum(tally.held for tally in report.tallies) >= least
            assert all(tally.broke == 0 for tally in report.tallies)
            assert report.not_tried
    assert bench.postgresql


async def ran_all(on: Rig, place: int, *, locks_first: bool = False) -> list[Ran]:
    orders, found = Orders(), list[Ran]()
    while orders.more:
        ran = await run_race(on, replace(RACES[place], locks_first=locks_first), orders.choose)
        orders.ran(ran.ops)
        found.append(ran)
    return found


async def test_one_order_is_the_same_each_time(on: Rig) -> None:
    """The same statements of the same processes, and the same end."""
    for ran in [ran for ran in await ran_all(on, 2) if ran.whole]:
        again = [await run_race(on, RACES[2], Fixed(ran.order).choose) for _ in range(3)]
        told = {(tuple((op.lane, op.name) for op in one.ops), one.shape) for one in (ran, *again)}
        assert len(told) == 1


async def test_two_that_meet_are_run_in_more_than_one_order_and_one_is_overtaken(on: Rig) -> None:
    """Two take the last place: whoever writes first has it, whatever the order."""
    ran = [one for one in await ran_all(on, 2) if one.whole]
    assert len({one.order for one in ran}) == len(ran) > 1
    winners = {tuple(done.told.accepted for done in one.told if done.told) for one in ran}
    assert winners == {(True, False), (False, True)}


async def test_who_waits_for_a_lock_goes_on_when_it_is_free(on: Rig) -> None:
    """Both lock both halls before they look: in some order one waits in the database for the other."""
    orders = [one for one in await ran_all(on, 1, locks_first=True) if one.whole]
    assert any(op.name == "lock" and op.footprint.everything for one in orders for op in one.ops)
    assert all(not one.broken for one in orders)


async def test_a_process_ends_at_each_statement_in_each_way(on: Rig) -> None:
    subject = await look_at(on, BOUGHT, CHARGED)
    assert subject is not None
    assert list(subject.names) == ["take", "load", "load", "commit"]
    kinds = [fault.kind for (fault,) in once(subject)]
    assert kinds == ["cut-before-send", "sent-without-reply", "reply-lost"] * 4 + ["unanswered"]


async def test_what_broke_breaks_again_by_its_schedule_alone(own: Databases) -> None:
    on = await rig_with(own, planted("call key per attempt"))
    ended = Schedule((*BOUGHT, CHARGED), faults=(Fault("cut-before-send", len(BOUGHT), 3),))
    kept = schedule_from(reference, schedule_json(reference, ended))
    again = await subject_of(on, kept)
    assert again is not None
    assert [broke.promise for broke in await crash(on, again, kept.faults)][:1] == ["P7 effects"]
    on = await rig_with(own, planted("quota not counted"))
    race = schedule_of(replace(RACES[2], acts=(HOLD, AGAIN)), (0, 1, 0, 1))
    ran = await run_order(on, schedule_from(reference, schedule_json(reference, race)))
    assert ran is not None
    assert [broke.promise for broke in ran.broken] == ["Ticket.few"]
