"""What the admission promises, under the clock of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from avow.testing import Refused, Stage, stage

from .system import app


@pytest.fixture
async def s() -> AsyncIterator[Stage]:
    async with stage(app) as s:
        yield s


async def _course(s: Stage, seats: int) -> UUID:
    begins = s.now + timedelta(days=100)
    return await s.as_("rita", "registrar").do("Course.announce", title="Logic", seats=seats, begins=begins)


async def _submitted(s: Stage, course: UUID, who: str) -> UUID:
    case = await s.as_(who).do("Enrollment.start", course=course)
    await s.as_(who).do("Enrollment.write", case, essay="Because.", transcript="file/1")
    await s.as_(who).do("Enrollment.submit", case)
    return case


async def _approved(s: Stage, course: UUID, *names: str) -> dict[str, UUID]:
    """Applications that were approved in this order."""
    cases = {name: await _submitted(s, course, name) for name in names}
    for case in cases.values():
        await s.as_("rita", "registrar").do("Enrollment.verify", case)
        await s.as_("dora", "dean").do("Enrollment.approve", case)
        await s.work()
    return cases


async def _states(s: Stage, cases: dict[str, UUID]) -> list[str]:
    return [(await s.look(case)).state for case in cases.values()]


async def test_nothing_is_handed_in_without_a_transcript(s: Stage) -> None:
    case = await s.as_("ann").do("Enrollment.start", course=await _course(s, 1))
    await s.as_("ann").do("Enrollment.write", case, essay="Because.")
    with pytest.raises(Refused, match="guard-failed"):
        await s.as_("ann").do("Enrollment.submit", case)


async def test_who_has_verified_does_not_approve_and_what_is_sent_back_is_verified_anew(s: Stage) -> None:
    case = await _submitted(s, await _course(s, 1), "ann")
    rita, rob = (s.as_(name, "registrar", "dean") for name in ("rita", "rob"))
    await rita.do("Enrollment.verify", case)
    with pytest.raises(Refused, match="four-eyes"):
        await rita.do("Enrollment.approve", case)
    await rob.do("Enrollment.send_back", case, remark="Which school?")
    await s.as_("ann").do("Enrollment.submit", case)
    await rob.do("Enrollment.verify", case)
    with pytest.raises(Refused, match="four-eyes"):
        await rob.do("Enrollment.approve", case)
    await rita.do("Enrollment.approve", case)


async def test_each_finds_their_work_in_an_inbox_and_what_is_late_goes_on_to_the_head(s: Stage) -> None:
    await _submitted(s, await _course(s, 1), "ann")
    (task,) = await s.as_("rita", "registrar").tasks()
    assert task["shows"]["essay"] == "Because."
    assert {*task["shows"]["transcript"]} == {"private"}
    assert await s.as_("dora", "dean").tasks() == []
    await s.advance(days=5)
    assert await s.as_("rita", "registrar").tasks() == []
    (task,) = await s.as_("hana", "head").tasks()
    assert task["command"] == "verify"


async def test_a_draft_is_reminded_of_every_week_and_given_up_after_four(s: Stage) -> None:
    case = await s.as_("ann").do("Enrollment.start", course=await _course(s, 1))
    for week in range(1, 4):
        await s.advance(days=7)
        assert (await s.look(case)).version == 1 + week
    await s.advance(days=7)
    assert (await s.look(case)).state == "lapsed"
    await s.as_("ann").do("Enrollment.start", course=(await s.look(case)).course)


async def test_nobody_has_two_applications_to_one_course(s: Stage) -> None:
    course = await _course(s, 1)
    again = (s.as_("ann").do("Enrollment.start", course=course) for _ in range(4))
    ends = await asyncio.gather(*again, return_exceptions=True)
    assert [end.code for end in ends if isinstance(end, Refused)] == ["unique-violated"] * 3


async def test_who_is_approved_too_late_for_a_place_waits_for_one(s: Stage) -> None:
    cases = await _approved(s, await _course(s, 2), "ann", "bob", "cid", "dot")
    assert await _states(s, cases) == ["offered", "offered", "waiting", "waiting"]
    assert not [work for work in await s.waiting() if work["stuck"]]
    await s.as_("ann").do("Enrollment.accept", cases["ann"])
    await s.as_("bob").do("Enrollment.decline", cases["bob"])
    await s.advance(minutes=1)
    assert await _states(s, cases) == ["enrolled", "withdrawn", "offered", "waiting"]
    await s.advance(days=7)
    await s.advance(minutes=1)
    assert await _states(s, cases) == ["enrolled", "withdrawn", "lapsed", "offered"]


async def test_a_place_is_given_back_until_the_course_begins(s: Stage) -> None:
    cases = await _approved(s, await _course(s, 2), "ann", "bob")
    for name, case in cases.items():
        await s.as_(name).do("Enrollment.accept", case)
    await s.advance(days=99)
    await s.as_("bob").do("Enrollment.decline", cases["bob"])
    await s.advance(days=1)
    with pytest.raises(Refused, match="guard-failed"):
        await s.as_("ann").do("Enrollment.decline", cases["ann"])
    await s.as_("rita", "registrar").do("Enrollment.archive", cases["ann"])


async def test_offers_and_the_line_end_with_the_beginning(s: Stage) -> None:
    course = await _course(s, 1)
    await s.advance(days=98)
    cases = await _approved(s, course, "ann", "bob")
    for _ in range(3):
        await s.advance(days=1)
    assert await _states(s, cases) == ["lapsed", "lapsed"]
    assert not await s.waiting()


async def test_who_leaves_the_line_lets_the_others_move_up_and_no_course_is_oversold(s: Stage) -> None:
    cases = await _approved(s, await _course(s, 1), "ann", "bob", "cid")
    await s.as_("bob").do("Enrollment.decline", cases["bob"])
    await s.advance(minutes=1)
    assert await _states(s, cases) == ["offered", "withdrawn", "waiting"]
    await s.as_("ann").do("Enrollment.decline", cases["ann"])
    await s.advance(minutes=1)
    assert await _states(s, cases) == ["withdrawn", "withdrawn", "offered"]


async def test_the_line_keeps_its_order_whoever_leaves_it(s: Stage) -> None:
    """Who leaves from behind gives nothing to those before them, until it would have been their turn."""
    course = await _course(s, 1)
    cases = await _approved(s, course, "ann", "bob", "cid", "dot", "eve")
    for name in ("dot", "cid"):
        await s.as_(name).do("Enrollment.decline", cases[name])
    assert (await s.look(course)).given_back == 0
    await s.as_("ann").do("Enrollment.decline", cases["ann"])
    assert (await s.look(course)).given_back == 1
    await s.advance(minutes=1)
    assert await _states(s, cases) == ["withdrawn", "offered", "withdrawn", "withdrawn", "waiting"]
    await s.as_("bob").do("Enrollment.decline", cases["bob"])
    await s.advance(minutes=1)
    assert await _states(s, cases) == ["withdrawn"] * 4 + ["offered"]
