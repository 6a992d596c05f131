"""Planted faults of calls and bodies are found, shrunk, and told with their line; without them nothing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from avow.model.system import System
from avow.prove import seam
from avow.prove.conform import Conform
from avow.prove.deadlines import Deadlines
from avow.prove.effects import Effects
from avow.prove.escape import Escape
from avow.prove.finding import Finding
from avow.prove.functions import Functions
from avow.prove.messages import Messages
from avow.prove.model import Model
from avow.prove.phase import Bench, Phase
from tests.canaries.mutants import SCHEDULES, counted, declared

ORDERS = '''
"""Orders whose pieces are set aside at a warehouse, unless the buyer changes their mind."""

import asyncio
import os
import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from avow import Call, Declined, Entity, NotDone, State, Subject, Unclear, actor, authenticated, create, days
from avow import effect, field, read, sender, standard_webhooks, system, transition


@dataclass(frozen=True)
class Told:
    id: str


@dataclass(frozen=True)
class Note:
    order: UUID


carrier = sender("carrier", signature=standard_webhooks())
delivered = carrier.event("delivered", Note)


async def look_up(_: Any, call: Call) -> Told | None:
    answer = await call.http.get(f"/requests/{call.key}")
    if answer.status == 404:
        return None
    if answer.json()["status"] >= 300:
        raise Declined(code="sold-out")
    return Told(str(answer.json()["answer"].get("id", "done")))


@effect(destination="stock", lookup=look_up)
async def reserve(order: "Order", call: Call) -> Told:
    wanted = {"sku": "chair", "quantity": order.pieces, "reference": str(order.id)}
    answer = await call.http.post("/stock/reserve", json=wanted)
    if not answer.ok:
        raise Declined(code="sold-out")
    return Told(str(answer.json().get("id", "done")))


class Order(Entity):
    buyer: Subject = field()
    pieces: int = field(ge=1, le=3)
    receipt: str | None = field(default=None)
    visible = read(by=authenticated)

    reserving = State(initial=True, invoke=reserve)
    reserved, arrived = State(), State(final=True)
    refused, lapsed = State(final=True), State(final=True)

    place = create(reserving, by=authenticated, sets=[buyer, pieces])
    set_aside = transition(reserving, to=reserved, on=reserve.done, sets={receipt: reserve.result.id})
    turned_down = transition(reserving, to=refused, on=reserve.failed)
    arrive = transition(reserved, to=arrived, on=delivered, match=delivered.data.order)
    lapse = transition(reserved, to=lapsed, after=days(14))

    @transition(reserved, to=reserved, by=actor == buyer)
    def change(self, pieces: int) -> None:
        self.pieces = pieces


app = system("orders", Order)
'''

POST = 'await call.http.post("/stock/reserve", json=wanted)'
UNDER_A_NEW_KEY = POST.replace("json=wanted", 'json=wanted, headers={"Idempotency-Key": str(uuid4())}')
FOR_EACH_BUYER = POST.replace("json=wanted", 'json=wanted, headers={"Idempotency-Key": str(order.buyer)}')
CAUGHT = "try:\n        answer = " + POST + "\n    except {}:\n        {}"
TURNED_DOWN = "turned_down = transition(reserving, to=refused, on=reserve.failed)\n"
UNCLEAR_TOO = TURNED_DOWN + "    given_up = transition(reserving, to=refused, on=reserve.unknown)\n"

CANARIES: dict[str, tuple[str, str, type[Phase], str, str]] = {
    "a key for each attempt": (POST, UNDER_A_NEW_KEY, Functions, "reserve did the same 2 times", "reserve"),
    "a key for each buyer": (
        POST, FOR_EACH_BUYER, Functions, "Order.reserve counts as failed, and was carried out.",
        "place",
    ),
    "no answer is a no": (
        "answer = " + POST, CAUGHT.format("Unclear", 'raise Declined(code="timeout") from None'),
        Functions, "reserve was carried out, and its function said that it certainly wasn't.", "reserve",
    ),
    "no answer is a yes": (
        "answer = " + POST, CAUGHT.format("(Unclear, NotDone)", 'return Told("?")'),
        Functions, "reserve says that it was done, and nothing of it has arrived.", "reserve",
    ),
    "what never arrived was done": (
        "        return None", '        return Told("?")', Functions,
        "reserve says that it was done, and nothing of it has arrived.", "reserve",
    ),
    "an unseen no is a yes": (
        'if answer.json()["status"] >= 300:', 'if answer.json()["status"] is None:', Functions,
        "reserve was refused, and all goes on as if it had been done.", "reserve",
    ),
    "unknown is failed": (
        TURNED_DOWN, UNCLEAR_TOO, Effects, "reserve was carried out, and its Order is refused", "reserve",
    ),
    "a body draws by chance": (
        "self.pieces = pieces", "self.pieces = random.randint(1, 3)", Escape,
        "Order.change came to something else", "change",
    ),
    "a body reads the disk": (
        "self.pieces = pieces", "self.pieces = 1 if os.listdir('/') else 2", Escape,
        "Order.change reaches outside: os.listdir.", "change",
    ),
}  # fmt: skip


async def found(system: System, phase: Callable[[], Phase]) -> tuple[Finding, ...]:
    """What a phase finds, after the model was explored as far as it takes."""
    bench = Bench(system, 0)
    async with bench.stack:
        assert (await Model().run(bench, counted(600))).findings == ()
        return (await phase().run(bench, counted(SCHEDULES))).findings


def mutated(old: str, new: str, folder: Path) -> System:
    assert ORDERS.count(old) == 1
    source = ORDERS.replace(old, new)
    if new == UNCLEAR_TOO:
        source = source.replace(", lookup=look_up)", ")")
    return declared(source, folder)


@pytest.mark.parametrize("name", CANARIES)
async def test_a_planted_fault_is_found_and_told(name: str, tmp_path: Path) -> None:
    old, new, phase, said, where = CANARIES[name]
    system = mutated(old, new, tmp_path)
    all_of = await found(system, phase)
    findings = [one for one in all_of if one.sentence.startswith(said)]
    assert findings, all_of
    acts, order = findings[0].schedule.acts, system.entities["Order"]
    assert len(acts) <= 3, "shrunk"
    place = order.effects[where].place if where in order.effects else order.transitions[where].place
    assert findings[0].place == place


async def test_the_backend_as_it_is_gives_no_finding(tmp_path: Path) -> None:
    """In any phase, one after the other on the paths that all share, as in a run."""
    bench = Bench(declared(ORDERS, tmp_path), 0)
    async with bench.stack:
        await Model().run(bench, counted(600))
        for phase in (Escape, Effects, Functions, Messages, Deadlines):
            report = await phase().run(bench, counted(SCHEDULES))
            assert [finding.sentence for finding in report.findings] == [], phase.__name__
            assert report.tallies, phase.__name__
            assert all(tally.tried and tally.tried == tally.held for tally in report.tallies), report.tallies


ODD = {
    "it raises KeyError (": ('    wanted = {"sku"', '    raise KeyError\n    wanted = {"sku"'),
    "its result doesn't fit the declaration": (
        'return Told(str(answer.json().get("id", "done")))\n\n\nclass', "return 7\n\n\nclass"
    ),
    "it doesn't come to its end within 0.2 s": (
        '    wanted = {"sku"', '    await asyncio.sleep(3_600)\n    wanted = {"sku"'
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", ODD)
async def test_a_function_that_ends_as_none_should_with_nothing_going_wrong_is_named(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would follow on it isn't known then; and one that takes too long is asked once, and not again."""
    if said.endswith("0.2 s"):
        monkeypatch.setattr(seam, "FUNCTION_S_MAX", 0.2)
    system = mutated(*ODD[said], tmp_path)
    bench, budget = Bench(system, 0), counted(SCHEDULES)
    async with bench.stack:
        await Model().run(bench, counted(600))
        report = await Functions().run(bench, budget)
    place = system.entities["Order"].effects["reserve"].place
    named = f"What follows on reserve ({place}), which nothing disturbs: {said}"
    assert [one for one in report.not_tried if one.startswith(named)], report.not_tried
    assert budget.tried > 1


async def test_what_the_simulated_provider_doesnt_offer_is_named(tmp_path: Path) -> None:
    system = mutated('call.http.post("/stock/reserve"', 'call.http.post("/stock/lay-by"', tmp_path)
    bench = Bench(system, 0)
    async with bench.stack:
        await Model().run(bench, counted(600))
        report = await Functions().run(bench, counted(SCHEDULES))
    assert any("the simulated one offers nothing: reserve" in one for one in report.not_tried)


async def test_a_finding_is_found_again_by_its_schedule(tmp_path: Path) -> None:
    system = mutated(*CANARIES["unknown is failed"][:2], tmp_path)
    (first, *_) = await found(system, Effects)
    bench = Bench(system, 0)
    async with bench.stack:
        again = [await Effects().replay(bench, first.schedule) for _ in range(5)]
    assert {one.story if one else None for one in again} == {first.story}


DOUBTED = (
    TURNED_DOWN + "    doubtful = State(final=True)\n"
    "    doubt = transition(reserving, to=doubtful, on=reserve.unknown)\n"
)


@pytest.mark.parametrize("phase", [Conform, Effects])
async def test_what_nobody_knows_and_is_written_down_as_that_is_no_finding(
    phase: type[Phase], tmp_path: Path
) -> None:
    """Also where it takes more attempts than a destination is usually given in a row."""
    source = ORDERS.replace(TURNED_DOWN, DOUBTED).replace(", lookup=look_up)", ")")
    assert await found(declared(source, tmp_path), phase) == ()


MEMBERS = '''
"""Members with an account, whose login is nobody else's."""

from avow import Call, Declined, Entity, State, authenticated, create, effect, field, forever, read, system
from avow import transition


@effect(destination="accounts")
async def enter(member: "Member", call: Call) -> str:
    wanted = {"reference": str(member.id), "login": "ann"}
    answer = await call.http.post("/accounts", json=wanted)
    if not answer.ok:
        raise Declined(code="taken")
    return str(answer.json()["id"])


@effect(destination="accounts", retry=forever)
async def remove(member: "Member", call: Call) -> None:
    answer = await call.http.delete(f"/accounts/{member.account}")
    if not answer.ok:
        raise Declined(code="kept")


class Member(Entity):
    account: str | None = field(max_length=64)
    visible = read(by=authenticated)

    entering, turned_away = State(initial=True, invoke=enter), State(final=True)
    known, leaving, gone = State(), State(invoke=remove, owed=True), State(final=True)

    come = create(entering, by=authenticated)
    entered = transition(entering, to=known, on=enter.done, sets={account: enter.result})
    refused = transition(entering, to=turned_away, on=enter.failed)
    leave = transition(known, to=leaving, by=authenticated)
    removed = transition(leaving, to=gone, on=remove.done)


app = system("members", Member)
'''


async def test_a_provider_knows_of_no_run_before(tmp_path: Path) -> None:
    """Or a login that one run has taken would be refused in all others, and nothing comes after it."""
    bench = Bench(declared(MEMBERS, tmp_path), 0)
    async with bench.stack:
        await Model().run(bench, counted(600))
        report = await Functions().run(bench, counted(SCHEDULES))
    assert report.not_tried == (), "each function was carried out"
    assert report.findings == ()


GIVES_BACK = """@effect(destination="payment", retry=forever)
async def give_back(order: "Order", call: Call) -> None:
    wanted = {"amount": 1, "currency": "EUR", "card": "visa", "reference": str(order.id)}
    key = {"Idempotency-Key": f"{call.key}-a"}
    held = await call.http.post("/payments/authorize", json=wanted, headers=key)
    answer = await call.http.post(f"/payments/{held.json()['id']}/capture", json={"amount": 2})
    if not answer.ok:
        raise Declined(code="no")


class Order(Entity):"""
SENT_BACK = """    returning, back = State(invoke=give_back, owed=True), State(final=True)
    send_back = transition(reserved, to=returning, by=authenticated)
    returned = transition(returning, to=back, on=give_back.done)
    arrive = transition"""
TWO_CALLS = (
    ("class Order(Entity):", GIVES_BACK), ("    arrive = transition", SENT_BACK),
    ("import effect, field,", "import effect, field, forever,"),
)  # fmt: skip


async def test_each_function_is_asked_once_before_anything_goes_wrong_with_one(tmp_path: Path) -> None:
    source = ORDERS
    for old, new in TWO_CALLS:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    bench = Bench(declared(source, tmp_path), 0)
    async with bench.stack:
        await Model().run(bench, counted(600))
        findings = (await Functions().run(bench, counted(2))).findings
    assert [finding.sentence for finding in findings if "give_back" in finding.sentence]
