"""What the approval backend promises, under the clock of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from avow.testing import Refused, Stage, stage

from .system import LARGE, SMALL, app

BUDGET = 5_000_000


@dataclass
class Office:
    """A department whose seats have Ann, Bea and Cid; Rex asks for money."""

    s: Stage
    department: UUID

    async def ask(self, amount: int, who: str = "rex", **given: Any) -> UUID:
        wanted = {"amount": amount, "purpose": "a desk", "account": "DE02", "department": self.department}
        return await self.s.as_(who).do("Request.ask", **(wanted | given))

    async def manager(self, name: str, command: str, request: UUID, **given: Any) -> None:
        await self.s.as_(name, "manager").do(f"Request.{command}", request, **given)

    async def approve(self, request: UUID, *names: str) -> None:
        """Each has a look, and agrees to what they have seen."""
        for name in names:
            await self.s.as_(name, "manager").do("Request.approve", request, await self.version(request))

    async def sanction(self, request: UUID, name: str = "mia") -> None:
        await self.s.as_(name, "board").do("Request.sanction", request, await self.version(request))

    async def revise(self, request: UUID, amount: int) -> None:
        edited = {"amount": amount, "purpose": "two desks", "account": "DE02"}
        await self.s.as_("rex").do("Request.revise", request, **edited)

    async def version(self, request: UUID) -> int:
        return (await self.s.look(request)).version

    async def state(self, request: UUID) -> str:
        return (await self.s.look(request)).state


@pytest.fixture
async def o() -> AsyncIterator[Office]:
    async with stage(app) as s:
        seats = {"first": "ann", "second": "bea", "third": "cid"}
        department = await s.as_("dan", "director").do(
            "Department.found", name="Research", budget=BUDGET, **seats
        )
        yield Office(s, department)


# --- how many ---------------------------------------------------------------------------------------


async def test_a_small_amount_takes_one_of_the_three(o: Office) -> None:
    request = await o.ask(SMALL - 1)
    await o.approve(request, "ann")
    assert await o.state(request) == "approved"


@pytest.mark.parametrize("amount", [SMALL, LARGE - 1])
async def test_a_middle_amount_takes_two_of_the_three(o: Office, amount: int) -> None:
    request = await o.ask(amount)
    await o.approve(request, "ann")
    assert await o.state(request) == "pending"
    with pytest.raises(Refused, match="four-eyes"):
        await o.approve(request, "ann")
    await o.approve(request, "cid")
    assert await o.state(request) == "approved"


async def test_a_large_amount_takes_two_of_the_three_and_the_board(o: Office) -> None:
    request, board = await o.ask(LARGE), o.s.as_("mia", "board")
    assert await board.tasks() == []
    with pytest.raises(Refused, match="state-conflict"):
        await o.sanction(request)
    await o.approve(request, "ann", "bea")
    assert await o.state(request) == "endorsed"
    assert [task["record"] for task in await board.tasks()] == [str(request)]
    await o.sanction(request)
    assert await o.state(request) == "approved"


async def test_one_vote_that_comes_several_times_at_once_counts_once(o: Office) -> None:
    request = await o.ask(SMALL)
    await asyncio.gather(*(o.approve(request, "ann") for _ in range(4)), return_exceptions=True)
    assert (await o.state(request), await o.version(request)) == ("pending", 2)


async def test_a_department_never_spends_more_than_its_budget_whoever_approves_at_once(o: Office) -> None:
    requests = [await o.ask(BUDGET - BUDGET // 3) for _ in range(3)]
    for request in requests:
        await o.approve(request, "ann", "bea")
    ends = await asyncio.gather(*map(o.sanction, requests), return_exceptions=True)
    assert [end.code for end in ends if isinstance(end, Refused)] == ["invariant-violated"] * 2


# --- who --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "roles"), [
    ("ann", ()), ("eve", ("manager",)), ("dan", ("director",)), ("mia", ("board",)),
])  # fmt: skip
async def test_nobody_else_approves(o: Office, who: str, roles: tuple[str, ...]) -> None:
    """Neither without the role, nor without a seat, nor from above before the deadline."""
    request = await o.ask(SMALL)
    with pytest.raises(Refused, match=r"forbidden|not-found"):
        await o.s.as_(who, *roles).do("Request.approve", request)


async def test_who_asks_does_not_approve_also_with_a_seat(o: Office) -> None:
    request = await o.ask(SMALL, who="ann")
    with pytest.raises(Refused, match="forbidden"):
        await o.approve(request, "ann")
    with pytest.raises(Refused, match="forbidden"):
        await o.s.as_("bea", "manager").act("delegate", request, to="ann")
    await o.approve(request, "bea", "cid")
    with pytest.raises(Refused, match="forbidden"):
        await o.s.as_("ann", "cashier").do("Request.pay", request)


async def test_who_approves_neither_sanctions_nor_pays(o: Office) -> None:
    request = await o.ask(LARGE)
    await o.approve(request, "ann", "bea")
    with pytest.raises(Refused, match="four-eyes"):
        await o.sanction(request, "ann")
    await o.sanction(request)
    for name in ("ann", "bea", "mia"):
        with pytest.raises(Refused, match="four-eyes"):
            await o.s.as_(name, "cashier").do("Request.pay", request)
    await o.s.as_("pia", "cashier").do("Request.pay", request)
    assert await o.state(request) == "paid"


async def test_who_lets_another_approve_stands_behind_it(o: Office) -> None:
    """Ann's vote is given by Bea: it is one vote, and both are barred from all that follows."""
    request = await o.ask(LARGE)
    await o.s.as_("ann", "manager").act("delegate", request, to="bea", reason="on leave")
    with pytest.raises(Refused, match="task-claimed"):
        await o.approve(request, "ann")
    await o.approve(request, "bea")
    assert await o.state(request) == "pending"
    for name in ("ann", "bea"):
        with pytest.raises(Refused, match="four-eyes"):
            await o.approve(request, name)
    await o.approve(request, "cid")
    with pytest.raises(Refused, match="four-eyes"):
        await o.sanction(request, "ann")
    await o.sanction(request)
    with pytest.raises(Refused, match="four-eyes"):
        await o.s.as_("ann", "cashier").do("Request.pay", request)


async def test_who_sanctions_in_anothers_place_bars_both_from_paying(o: Office) -> None:
    request = await o.ask(LARGE)
    await o.approve(request, "ann", "bea")
    with pytest.raises(Refused, match="four-eyes"):
        await o.s.as_("mia", "board").act("delegate", request, to="ann")
    await o.s.as_("mia", "board").act("delegate", request, to="ned")
    await o.sanction(request, "ned")
    for name in ("mia", "ned"):
        with pytest.raises(Refused, match="four-eyes"):
            await o.s.as_(name, "cashier").do("Request.pay", request)


async def test_where_the_money_goes_is_seen_by_who_pays_and_not_by_who_approves(o: Office) -> None:
    request = await o.ask(SMALL - 1)
    (asked,) = await o.s.as_("ann", "manager").tasks()
    assert asked["shows"] == {"amount": SMALL - 1, "purpose": "a desk"}
    assert "account" not in (await o.s.as_("ann", "manager").look(request)).values
    await o.approve(request, "ann")
    (asked,) = await o.s.as_("pia", "cashier").tasks()
    assert asked["shows"] == {"amount": SMALL - 1}
    assert await o.s.as_("pia", "cashier").reveal("Request.see_account", request) == {"account": "DE02"}
    with pytest.raises(Refused, match="forbidden"):
        await o.s.as_("ann", "manager").reveal("Request.see_account", request)


async def test_nobody_else_knows_of_a_request(o: Office) -> None:
    request = await o.ask(SMALL)
    assert await o.s.as_("rex").reveal("Request.see_account", request) == {"account": "DE02"}
    with pytest.raises(LookupError):
        await o.s.as_("eve", "manager").look(request)


# --- by when ----------------------------------------------------------------------------------------


async def test_what_nobody_decides_goes_to_the_director_and_never_early(o: Office) -> None:
    request, director = await o.ask(SMALL), o.s.as_("dan", "director")
    await o.approve(request, "ann")
    await o.s.advance(days=3, microseconds=-1)
    assert await director.tasks() == []
    with pytest.raises(Refused, match="forbidden"):
        await director.do("Request.approve", request)
    await o.s.advance(microseconds=1)
    assert [task["record"] for task in await director.tasks()] == [str(request)]
    await director.do("Request.approve", request, await o.version(request))
    assert await o.state(request) == "approved", "the director's vote joins the one that was there"


async def test_what_has_been_decided_in_time_never_gets_there(o: Office) -> None:
    await o.approve(await o.ask(SMALL), "ann", "bea")
    await o.s.advance(days=3)
    assert await o.s.as_("dan", "director").tasks() == []


@pytest.mark.parametrize("votes", [("ann",), ("ann", "bea")])
async def test_what_is_never_decided_lapses(o: Office, votes: tuple[str, ...]) -> None:
    request = await o.ask(LARGE)
    await o.approve(request, *votes)
    await o.s.advance(days=30)
    assert await o.state(request) == "lapsed"
    assert await o.s.as_("mia", "board").tasks() == []


# --- no, never mind, something else -----------------------------------------------------------------


async def test_one_no_ends_it_and_the_requester_sees_why(o: Office) -> None:
    request = await o.ask(SMALL)
    await o.approve(request, "ann")
    await o.manager("bea", "reject", request, reason="there is one")
    found = await o.s.look(request)
    assert (found.state, found.reason) == ("rejected", "there is one")


@pytest.mark.parametrize("votes", [(), ("ann",), ("ann", "bea")])
async def test_the_requester_withdraws_at_any_moment_before_the_decision(
    o: Office, votes: tuple[str, ...]
) -> None:
    request = await o.ask(LARGE)
    await o.approve(request, *votes)
    with pytest.raises(Refused, match="forbidden"):
        await o.manager("cid", "withdraw", request)
    await o.s.as_("rex").do("Request.withdraw", request)
    assert await o.state(request) == "withdrawn"
    assert await o.s.as_("cid", "manager", "board").tasks() == []
    assert await o.s.waiting() == []


async def test_a_decision_is_not_withdrawn_and_of_both_at_once_one_is_refused(o: Office) -> None:
    for _ in range(3):
        request = await o.ask(SMALL - 1)
        withdrawing = o.s.as_("rex").do("Request.withdraw", request)
        ends = await asyncio.gather(withdrawing, o.approve(request, "ann"), return_exceptions=True)
        (refused,) = [end for end in ends if isinstance(end, Refused)]
        assert refused.code in ("state-conflict", "precondition-failed")
        assert await o.state(request) == ("approved" if refused is ends[0] else "withdrawn")


async def _after_one_vote(o: Office) -> UUID:
    request = await o.ask(SMALL)
    await o.approve(request, "ann")
    return request


async def _before_the_board(o: Office) -> UUID:
    request = await o.ask(LARGE)
    await o.approve(request, "ann", "bea")
    return request


@pytest.mark.parametrize("stand", [_after_one_vote, _before_the_board])
async def test_an_edit_voids_the_votes(o: Office, stand: Callable[[Office], Any]) -> None:
    request = await stand(o)
    await o.revise(request, SMALL + 1)
    assert await o.state(request) == "pending"
    await o.approve(request, "cid")
    assert await o.state(request) == "pending", "one vote for what is asked now"
    await o.approve(request, "ann")
    assert await o.state(request) == "approved"


async def test_nobody_agrees_to_what_they_have_not_seen(o: Office) -> None:
    """Bea looks, Rex makes a car of the desk, Bea says yes: that is refused, and so is a yes to anything."""
    request = await _after_one_vote(o)
    seen = await o.version(request)
    await o.revise(request, LARGE)
    with pytest.raises(Refused, match="precondition-failed"):
        await o.s.as_("bea", "manager").do("Request.approve", request, seen)
    with pytest.raises(Refused, match="precondition-required"):
        await o.manager("bea", "approve", request)
    assert await o.state(request) == "pending"


async def test_an_edit_gives_the_three_their_time_anew(o: Office) -> None:
    request = await o.ask(SMALL)
    await o.s.advance(days=2)
    await o.revise(request, SMALL)
    await o.s.advance(days=2)
    assert await o.s.as_("dan", "director").tasks() == []
    assert (await o.s.look(request)).due == o.s.now + timedelta(days=1)


async def test_one_person_never_has_two_of_the_three_seats(o: Office) -> None:
    with pytest.raises(Refused, match="invariant-violated"):
        await o.s.as_("dan", "director").do(
            "Department.seat", o.department, first="ann", second="bea", third="ann"
        )
