"""What the verification promises, against two providers that misbehave, each in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest

from avow.testing import Fault, Provider, Refused

from .desk import OTHER_KIND, Desk, desk
from .system import Verdict

FAULTS = (
    "lose_reply", "duplicate", "cut_before", "cut_within", "fail_before", "fail_after", "garbage",
    Fault("busy", seconds=0),
)  # fmt: skip


@pytest.fixture(scope="module")
def idscan() -> Iterator[Provider]:
    with Provider(seed=1) as provider:
        yield provider


@pytest.fixture(scope="module")
def bureau() -> Iterator[Provider]:
    with Provider(seed=2) as provider:
        yield provider


@pytest.fixture
async def d(idscan: Provider, bureau: Provider) -> AsyncIterator[Desk]:
    async with desk(idscan, bureau) as made:
        yield made


async def test_where_both_agree_nobody_is_asked(d: Desk) -> None:
    passports = {"ann": "P1", "bob": "forged", "cid": "unclear", "dot": "risky"}
    cases = [await d.apply(person, passport) for person, passport in passports.items()]
    await d.settle()
    assert [await d.state(case) for case in cases] == ["verified", "rejected", "review", "review"]
    await d.check(people=2)


# --- calls ------------------------------------------------------------------------------------------


async def test_an_order_that_goes_wrong_is_given_once(d: Desk) -> None:
    cases = list[UUID]()
    for faults in (FAULTS[:4], FAULTS[4:]):  # after five in a row a provider would be left alone for a while
        for provider in (d.idscan, d.bureau):
            await d.ask(provider.behave, "identity", "check", script=faults)
        cases += [await d.apply(f"p{n}") for n in range(len(faults))]
        await d.settle()
    assert {await d.state(case) for case in cases} == {"verified"}
    await d.check()


async def test_what_no_check_can_be_made_of_is_for_people_who_see_why(d: Desk) -> None:
    await d.apply(passport="unreadable, torn")
    await d.settle()
    (task,) = await d.s.as_("eve", "analyst").tasks()
    assert task["shows"]["problem"] == "unreadable"
    await d.check(people=1)


@pytest.mark.parametrize("lost", [False, True])
async def test_a_cancel_during_an_order_leaves_no_order_behind(d: Desk, lost: bool) -> None:
    await d.wait_for_words()
    for provider in (d.idscan, d.bureau):
        for point in ("arrival", "work", "reply"):
            faults = [Fault("hold", at=point), *(["lose_reply"] if lost else [])]
            await d.ask(provider.behave, "identity", "check", script=[faults])
            case = await d.apply()
            working = asyncio.create_task(d.s.work())
            await d.ask(provider.wait_held)
            await d.s.as_("ann").do("Verification.cancel", case)
            await d.ask(provider.release)
            await working
            await d.settle()
            assert await d.state(case) == "withdrawn"
    await d.check()


async def test_a_worker_that_dies_between_order_and_record_is_replaced(d: Desk) -> None:
    await d.ask(d.bureau.behave, "identity", "check", script=[Fault("hold", at="reply")])
    case = await d.apply()
    working = asyncio.create_task(d.s.work())
    await d.ask(d.bureau.wait_held)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await d.ask(d.bureau.release)
    await d.s.advance(minutes=1)
    await d.settle()
    assert await d.state(case) == "verified"
    await d.check()


async def test_a_provider_that_is_down_holds_cases_up_and_loses_none(d: Desk) -> None:
    await d.ask(d.bureau.down)
    cases = [await d.apply(f"p{n}") for n in range(3)]
    await d.s.work()
    assert {await d.state(case) for case in cases} == {"order_screening"}
    await d.ask(d.bureau.up)
    await d.settle()
    assert {await d.state(case) for case in cases} == {"verified"}
    await d.check()


# --- webhooks ---------------------------------------------------------------------------------------


async def test_results_count_in_any_order_and_number(d: Desk) -> None:
    """Before the order is answered, thrice at once, one held until the other was told."""
    await d.webhooks(d.idscan, "early", Fault("repeat", times=3), "hold", ["early", "repeat"])
    await d.webhooks(d.bureau, "fine", "early", Fault("repeat", times=3), "hold")
    cases = [await d.apply(f"p{n}") for n in range(4)]
    await d.settle()
    assert {await d.state(case) for case in cases} == {"awaiting", "verified"}
    for provider in (d.idscan, d.bureau):
        await d.ask(provider.release)
    await d.settle()
    assert {await d.state(case) for case in cases} == {"verified"}
    await d.check()


async def test_an_older_word_never_overwrites_a_newer_one(d: Desk) -> None:
    await d.wait_for_words()
    case = await d.apply()
    await d.settle()
    await d.webhooks(d.idscan, "hold")
    await d.say(d.idscan, case, "passed")
    await d.say(d.idscan, case, "failed")
    await d.say(d.bureau, case, "failed")
    await d.ask(d.idscan.release)
    await d.settle()
    assert (await d.state(case), (await d.s.look(case)).scan_revision) == ("rejected", 2)
    await d.check()


async def test_a_message_with_a_wrong_signature_says_nothing(d: Desk) -> None:
    await d.webhooks(d.idscan, "wrong_signature")
    case = await d.apply()
    await d.settle()
    assert (await d.state(case), (await d.s.look(case)).scan) == ("awaiting", None)
    await d.s.advance(days=2)
    await d.check(people=1, unheard=d.idscan)


async def test_a_word_about_another_check_says_nothing(d: Desk) -> None:
    await d.wait_for_words()
    case = await d.apply()
    await d.settle()
    await d.ask(d.idscan.give_results, "identity", "webhook")
    foreign = {"subject": "ann", "document": "forged", "kind": OTHER_KIND, "reference": str(case)}
    await d.ask(httpx2.post, f"{d.idscan.url}/checks", json=foreign)
    await d.settle()
    for provider in (d.idscan, d.bureau):
        await d.say(provider, case, "passed")
    assert await d.state(case) == "verified"
    await d.check()


@pytest.mark.parametrize("told", ["corrected", "confirmed"])
async def test_who_takes_back_a_word_reopens_what_was_decided(d: Desk, told: str) -> None:
    case = await d.apply()
    await d.settle()
    until = (await d.s.look(case)).until
    await d.say(d.bureau, case, "failed")
    assert await d.state(case) == "review"
    await d.check(people=1)
    if told == "corrected":
        await d.say(d.bureau, case, "passed")
    else:
        await d.judge(case, Verdict.ACCEPT)
    assert (await d.state(case), (await d.s.look(case)).until) == ("verified", until)
    await d.check()


# --- people -----------------------------------------------------------------------------------------


async def _differing(d: Desk, person: str = "ann") -> UUID:
    """A case that one provider has passed and the other one hasn't."""
    await d.wait_for_words()
    case = await d.apply(person)
    await d.settle()
    await d.say(d.idscan, case, "passed")
    await d.say(d.bureau, case, "failed")
    return case


async def test_where_they_differ_two_people_decide_and_never_about_themselves(d: Desk) -> None:
    case, own = await _differing(d), await _differing(d, "eve")
    with pytest.raises(Refused, match="forbidden"):
        await d.staff("eve", "assess", own, verdict=Verdict.ACCEPT, grounds="it's me")
    await d.staff("eve", "assess", case, verdict=Verdict.ACCEPT, grounds="an old address")
    with pytest.raises(Refused, match="four-eyes"):
        await d.staff("eve", "confirm", case)
    await d.staff("flo", "dispute", case, grounds="the address is of a bank")
    with pytest.raises(Refused, match="guard-failed"):
        await d.staff("flo", "assess", case, grounds="no verdict")
    await d.staff("eve", "assess", case, verdict=Verdict.ACCEPT, grounds="the bank has moved out")
    await d.staff("flo", "confirm", case)
    await d.judge(own, Verdict.REJECT, "gus", "flo")
    await d.settle()
    assert (await d.state(case), await d.state(own)) == ("verified", "rejected")
    await d.check()


async def test_a_case_is_judged_by_who_has_claimed_it_and_goes_on_to_an_officer(d: Desk) -> None:
    case = await _differing(d)
    (task,) = await d.s.as_("eve", "analyst").tasks()
    assert task["shows"] == {"scan": "passed", "screening": "failed", "proof": None, "problem": None}
    await d.s.as_("eve", "analyst").act("claim", UUID(task["record"]))
    with pytest.raises(Refused, match="task-claimed"):
        await d.staff("flo", "assess", case, verdict=Verdict.ACCEPT, grounds="I was faster")
    await d.s.advance(days=2)
    assert await d.s.as_("eve", "analyst").tasks() == []
    (task,) = await d.s.as_("oda", "officer").tasks()
    await d.staff("oda", "assess", case, "officer", verdict=Verdict.REJECT, grounds="nobody else has")
    await d.staff("flo", "confirm", case)
    assert await d.state(case) == "rejected"
    await d.check()


async def test_a_newer_word_voids_an_assessment(d: Desk) -> None:
    case = await _differing(d)
    await d.staff("eve", "assess", case, verdict=Verdict.ACCEPT, grounds="an old address")
    await d.say(d.idscan, case, "review")
    assert await d.state(case) == "review"
    await d.judge(case, Verdict.REJECT, "flo", "eve")
    assert await d.state(case) == "rejected"
    await d.check()


async def test_another_document_is_asked_for_and_what_comes_meanwhile_waits(d: Desk) -> None:
    case = await _differing(d)
    await d.staff("eve", "ask_for", case, wanted="a bill with your address")
    await d.say(d.bureau, case, "passed")
    assert await d.state(case) == "wanting"
    await d.s.as_("ann").do("Verification.hand_in", case, proof="file/1")
    await d.settle()
    assert await d.state(case) == "verified"
    await d.check()


async def test_who_hands_nothing_in_is_reminded_and_then_judged_without(d: Desk) -> None:
    case = await _differing(d)
    await d.staff("eve", "ask_for", case, wanted="a bill with your address")
    await d.say(d.bureau, case, "review")
    before = (await d.s.look(case)).version
    for _ in range(4):
        await d.s.advance(days=3)
    assert (await d.state(case), (await d.s.look(case)).version) == ("wanting", before + 4)
    await d.s.advance(days=2)
    assert ((await d.s.look(case)).state, (await d.s.look(case)).screening_revision) == ("review", 2)
    await d.check(people=1)


# --- time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", ["told", "lost", "down"])
async def test_a_provider_that_stays_silent_is_done_without_and_counts_when_it_speaks(
    d: Desk, silent: str
) -> None:
    if silent == "told":
        await d.ask(d.bureau.give_results, "identity", "told")
    elif silent == "lost":
        await d.webhooks(d.bureau, "lost")
    else:
        await d.ask(d.bureau.down)
    case = await d.apply()
    await (d.s.work() if silent == "down" else d.settle())
    await d.s.advance(days=1, hours=23)
    assert await d.state(case) in ("awaiting", "order_screening")
    await d.s.advance(hours=1)
    await d.ask(d.bureau.up)
    await d.settle()
    assert await d.state(case) == "review"
    if silent == "told":
        await d.say(d.bureau, case, "passed")
    else:
        await d.judge(case, Verdict.ACCEPT)
    assert await d.state(case) == "verified"
    await d.check(unheard=d.bureau if silent == "lost" else None)


async def test_a_verification_is_announced_to_end_ends_and_not_early(d: Desk) -> None:
    case, begun = await d.apply(), d.s.now
    await d.settle()
    versions = list[int]()
    for day, seconds, state in (
        *((335, -1, "verified"), (335, 0, "expiring")),
        *((335 + week * 7, 0, "expiring") for week in range(1, 5)),
        *((365, -1, "expiring"), (365, 0, "expired")),
    ):
        await d.s.at(begun + timedelta(days=day, seconds=seconds))
        assert await d.state(case) == state
        versions.append((await d.s.look(case)).version)
    assert [version - versions[0] for version in versions] == [0, 1, 2, 3, 4, 5, 5, 6]
    await d.check()


async def test_who_renews_in_time_is_not_reminded_any_more(d: Desk) -> None:
    case = await d.apply()
    await d.settle()
    with pytest.raises(Refused, match="guard-failed"):
        await d.renew(case)
    await d.s.advance(days=335)
    with pytest.raises(Refused):
        await d.renew(case, "bob")
    again = await d.renew(case)
    await d.settle()
    assert (await d.state(case), await d.state(again)) == ("renewed", "verified")
    await d.check()


async def test_nobody_applies_twice_at_a_time(d: Desk) -> None:
    await d.wait_for_words()
    ends = await asyncio.gather(*(d.apply() for _ in range(4)), return_exceptions=True)
    assert [end.code for end in ends if isinstance(end, Refused)] == ["unique-violated"] * 3
    await d.settle()
    for provider in (d.idscan, d.bureau):
        await d.say(provider, d.cases[0])
    await d.check()


# --- withdrawing ------------------------------------------------------------------------------------


async def test_who_withdraws_while_the_providers_look_leaves_no_order_behind(d: Desk) -> None:
    await d.wait_for_words()
    case = await d.apply()
    await d.settle()
    await d.say(d.idscan, case, "passed")
    await d.ask(d.bureau.down)
    await d.s.as_("ann").do("Verification.withdraw", case)
    await d.s.work()
    assert await d.state(case) == "recalling_screening", "nobody gives up on what is owed"
    await d.ask(d.bureau.up)
    await d.settle()
    assert await d.state(case) == "withdrawn"
    await d.check()


async def test_a_word_that_is_late_for_a_withdrawn_case_is_refused(d: Desk) -> None:
    case = await _differing(d)
    await d.s.as_("ann").do("Verification.withdraw", case)
    await d.settle()
    before = await d.s.look(case)
    await d.say(d.bureau, case, "passed")
    assert await d.s.look(case) == before
    assert before.state == "withdrawn"
    await d.check()


async def test_an_order_that_cannot_be_recalled_is_stuck_with_what_is_owed(d: Desk) -> None:
    await d.wait_for_words()
    case = await d.apply()
    await d.settle()
    await d.ask(d.bureau.reset)  # it knows nothing of us any more
    await d.s.as_("ann").do("Verification.withdraw", case)
    await d.settle()
    (work,) = [work for work in await d.s.waiting() if work["stuck"]]
    assert (work["id"], work["name"], work["stuck"]) == (case, "recall_screening", "not_found")
    await d.check(stuck=1)
