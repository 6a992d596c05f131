"""What the onboarding promises, against a provider that misbehaves and people who change their minds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from avow.testing import Fault, Provider, Refused

from .office import JOBS, Office, office

FAULTS = (
    "lose_reply", "duplicate", "cut_before", "cut_within", "fail_before", "fail_after", "garbage",
    Fault("busy", seconds=0),
)  # fmt: skip


@pytest.fixture(scope="module")
def outside() -> Iterator[Provider]:
    with Provider(seed=1) as provider:
        yield provider


@pytest.fixture
async def o(outside: Provider) -> AsyncIterator[Office]:
    async with office(outside) as made:
        yield made


async def test_who_comes_finds_everything_on_the_first_day_and_not_before(o: Office) -> None:
    case = await o.ready()
    await o.s.advance(days=30, seconds=-1)
    assert await o.state(case) == "ready"
    await o.s.advance(seconds=1)
    assert await o.state(case) == "started"
    with pytest.raises(Refused, match="state-conflict"):
        await o.cancel(case)
    await o.check()


# --- papers -----------------------------------------------------------------------------------------


async def test_no_account_is_made_before_every_paper_is_checked(o: Office) -> None:
    case = await o.announce()
    paper, ann = await o.paper(case), o.s.as_("ann")
    for early in (ann, o.s.as_("bob")):
        with pytest.raises(Refused):
            await early.do("Paper.accept", paper)
    with pytest.raises(Refused):
        await o.s.as_("bob").do("Paper.hand_in", paper, file="file/1")
    await ann.do("Paper.hand_in", paper, file="file/1")
    await o.hr.do("Paper.send_back", paper, remark="It isn't signed.")
    await ann.do("Paper.hand_in", paper, file="file/2")
    with pytest.raises(Refused, match="guard-failed"):
        await o.complete(case)
    (task,) = [task for task in await o.hr.tasks() if task["record"] == str(paper)]
    assert (task["shows"]["kind"], {*task["shows"]["file"]}) == ("contract", {"private"})
    assert await o.s.as_("hal", "hr").reveal("Paper.see_file", paper) == {"file": "file/2"}
    await o.hr.do("Paper.accept", paper)
    await o.complete(case)
    await o.settle()
    assert await o.state(case) == "preparing"
    await o.end()


async def test_a_paper_is_missed_before_it_is_due_and_after(o: Office) -> None:
    paper = await o.paper(await o.announce())
    begun = await _version(o, paper)
    seen = list[tuple[str, int]]()
    for days in (6, 1, 2, 1, 2, 2):
        await o.s.advance(days=days)
        seen.append((await o.state(paper), await _version(o, paper) - begun))
    reminded, missed = [("wanted", 0), ("wanted", 1), ("wanted", 1)], [("overdue", n) for n in (2, 3, 4)]
    assert seen == reminded + missed
    await o.s.as_("ann").do("Paper.hand_in", paper, file="file/1")
    await o.s.advance(days=5)
    assert await o.state(paper) == "handed_in"
    await o.end()


async def test_what_never_comes_is_for_hr_and_then_for_their_lead(o: Office) -> None:
    case = await o.announce()
    paper = await o.paper(case)
    await o.s.advance(days=10)
    assert str(paper) in {task["record"] for task in await o.hr.tasks()}
    await o.s.advance(days=7)
    lena = o.s.as_("lena", "lead")
    assert str(paper) in {task["record"] for task in await lena.tasks()}
    await lena.do("Paper.waive", paper)
    await o.complete(case)
    await o.settle()
    assert await o.state(case) == "preparing"
    await o.end()


async def _version(o: Office, record: UUID) -> int:
    return (await o.s.look(record)).version


# --- people -----------------------------------------------------------------------------------------


async def test_everybody_finds_what_they_have_to_do_in_their_own_inbox(o: Office) -> None:
    case = await o.announce()
    for name, (_, role) in JOBS.items():
        who = o.s.as_("bea" if role == "manager" else role, role)
        assert [task["shows"] for task in await who.tasks()] == [{"what": f"the {name}"}]
    assert await o.s.as_("bob", "manager").tasks() == [], "only who will be the boss plans"
    (task,) = await o.s.as_("ida", "it").tasks()
    await o.s.as_("ida", "it").act("claim", UUID(task["record"]))
    with pytest.raises(Refused, match="task-claimed"):
        await o.do(case, "laptop")
    await o.s.advance(days=25)
    assert await o.s.as_("ida", "it").tasks() == [], "it is due: the lead sees to it"
    lena = o.s.as_("lena", "lead")
    assert len(await lena.tasks()) == 3
    await lena.do("Job.hand_out", await o.job(case, "laptop"))
    assert len(await lena.tasks()) == 2
    await o.end()


async def test_who_is_not_prepared_for_in_time_comes_later_or_not(o: Office) -> None:
    case = await o.announce()
    await o.complete(case)
    await o.settle()
    await o.s.advance(days=27, seconds=-1)
    assert await o.state(case) == "preparing"
    await o.s.advance(seconds=1)
    assert await o.state(case) == "late"
    assert str(case) in {task["record"] for task in await o.hr.tasks()}
    with pytest.raises(Refused, match="guard-failed"):
        await o.hr.do("Onboarding.postpone", case, first_day=o.s.now)
    await o.hr.do("Onboarding.postpone", case, first_day=o.s.now + timedelta(days=20))
    states = list[str]()
    for name in JOBS:
        await o.do(case, name)
        await o.settle()
        states.append(await o.state(case))
    assert states == ["preparing", "preparing", "ready"]
    await o.s.advance(days=19)
    assert await o.state(case) == "ready"
    await o.s.advance(days=1)
    await o.check()


# --- the account ------------------------------------------------------------------------------------


async def test_an_account_is_made_and_deleted_once_whatever_goes_wrong(o: Office) -> None:
    cases = list[UUID]()
    for number, faults in enumerate((FAULTS[:4], FAULTS[4:])):  # after five in a row it would be left alone
        await o.ask(o.outside.behave, "accounts", "create", script=faults)
        await o.ask(o.outside.behave, "accounts", "delete", script=faults)
        made = [await o.announce(f"p{number}{letter}") for letter in "abcd"]
        for case in made:
            await o.complete(case)
        await o.settle()
        assert {await o.state(case) for case in made} == {"preparing"}
        for case in made:
            await o.cancel(case)
        await o.settle()
        cases += made
    assert (await o.ask(o.outside.ledger)).count("accounts", "create") == len(cases)
    await o.check()


async def test_a_login_that_is_taken_is_for_it_to_name_anew(o: Office) -> None:
    first, second, third = [await o.announce(person, login="ann") for person in ("ann", "bob", "cid")]
    for case in (first, second, third):
        await o.complete(case)
        await o.settle()
    assert ((await o.s.look(second)).state, (await o.s.look(second)).problem) == ("naming", "taken")
    await o.s.as_("ida", "it").do("Onboarding.name_again", second, login="ann.b")
    await o.settle()
    assert (await o.state(second), await o.state(third)) == ("preparing", "naming")
    await o.end()


async def test_a_worker_that_dies_between_call_and_record_is_replaced(o: Office) -> None:
    await o.ask(o.outside.behave, "accounts", "create", script=[Fault("hold", at="reply")])
    case = await o.announce()
    await o.complete(case)
    working = asyncio.create_task(o.s.work())
    await o.ask(o.outside.wait_held)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await o.ask(o.outside.release)
    await o.s.advance(minutes=1)
    await o.settle()
    assert await o.state(case) == "preparing"
    await o.end()


# --- called off -------------------------------------------------------------------------------------


async def test_whenever_it_is_called_off_before_the_first_day_everything_is_undone(o: Office) -> None:
    collecting, preparing, late = await o.announce("ann"), await o.announce("bob"), await o.announce("cid")
    ready = await o.ready("dot")
    await o.paper(collecting)
    await o.do(collecting, "laptop")
    for case in (preparing, late):
        await o.do(case, "desk")
        await o.complete(case)
    await o.settle()
    await o.hr.do("Onboarding.postpone", preparing, first_day=o.s.now + timedelta(days=60))
    await o.hr.do("Onboarding.postpone", ready, first_day=o.s.now + timedelta(days=60))
    await o.s.advance(days=27)
    states = {collecting: "collecting", preparing: "preparing", late: "late", ready: "ready"}
    for case, state in states.items():
        assert await o.state(case) == state
        await o.cancel(case)
        await o.settle()
        assert await o.state(case) == "undoing", "somebody has a laptop, or a desk, to take back"
        await o.bring_back(case)
    await o.s.advance(days=1)
    await o.check()


@pytest.mark.parametrize("lost", [False, True])
async def test_a_cancel_while_the_account_is_made_leaves_none(o: Office, lost: bool) -> None:
    for number, point in enumerate(("arrival", "work", "reply")):
        faults: list[Any] = [Fault("hold", at=point), *(["lose_reply"] if lost else [])]
        await o.ask(o.outside.behave, "accounts", "create", script=[faults])
        case = await o.announce(f"p{number}")
        await o.complete(case)
        working = asyncio.create_task(o.s.work())
        await o.ask(o.outside.wait_held)
        await o.cancel(case)
        await o.ask(o.outside.release)
        await working
        await o.settle()
    await o.check()


async def test_who_is_called_off_before_the_account_is_begun_never_has_one(o: Office) -> None:
    case = await o.announce()
    await o.complete(case)
    await asyncio.gather(*(o.cancel(case, o.s.as_("ann")) for _ in range(3)), return_exceptions=True)
    await o.settle()
    assert await o.ask(o.outside.requests) == []
    await o.check()


@pytest.mark.parametrize("first", ["day", "cancel", "both"])
async def test_first_day_and_cancel_at_once_end_in_one_of_the_two(o: Office, first: str) -> None:
    case = await o.ready()
    turn, cancel = (lambda: o.s.advance(days=30)), (lambda: o.cancel(case))
    order = (turn, cancel) if first == "day" else (cancel, turn)
    if first == "both":
        await asyncio.gather(turn(), cancel(), return_exceptions=True)
    else:
        for happen in order:
            await asyncio.gather(happen(), return_exceptions=True)
    await o.settle()
    await o.bring_back(case)
    assert first == "both" or await o.state(case) == ("started" if first == "day" else "cancelled")
    await o.check()


async def test_what_is_owed_is_tried_until_it_is_done_or_waits_for_a_person(o: Office) -> None:
    kept, gone, lost = await o.ready("ann"), await o.ready("bob"), await o.ready("cid")
    account = (await o.s.look(gone)).account
    await o.ask(httpx2.delete, f"{o.outside.url}/accounts/{account}")
    await o.cancel(gone)
    await o.settle()
    await o.bring_back(gone)
    await o.ask(o.outside.down)
    await o.cancel(kept)
    await o.s.work()
    assert await o.state(kept) == "deleting"
    await o.ask(o.outside.up)
    await o.settle()
    await o.bring_back(kept)
    await o.check(under_way=1)
    await o.ask(o.outside.reset)  # it knows nothing of us any more
    await o.cancel(lost)
    await o.settle()
    (work,) = [work for work in await o.s.waiting() if work["stuck"]]
    assert (work["id"], work["name"], work["stuck"]) == (lost, "delete_account", "not_found")
    await o.check(stuck=1)
