"""A saga ends with everything done, with everything undone, or with somebody who is told what is owed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow.engine.execute import Engine, Reply, Request
from avow.engine.workers.worker import Worker
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from tests.fix_database import MakeDatabase
from tests.store.errands import STEPS, UNDONE_BY, Outside, errands

UNDO = {step: undo for undo, step in UNDONE_BY.items()}
ACTOR = Actor(Subject("alice"), "main")
ROUNDS_MAX = 60
READY = (
    "UPDATE avow.work SET ready_at = now() WHERE destination <> '' AND (NOT taken OR $1) AND stuck IS NULL"
)

Happening = Callable[["Bench", UUID], Awaitable[None]]


@dataclass
class Run:
    """One errand from its beginning to where nothing moves any more."""

    id: UUID
    outside: Outside
    what: str
    points: int = 0
    row: Any = None
    stuck: list[Any] = field(default_factory=list[Any])

    def check(self) -> None:
        """Nothing is doubled, nothing is undone that wasn't done, and the ledger agrees with the record."""
        outside, state = self.outside, self.row["state"]
        for step in STEPS:
            keys, undone = outside.keys(step), outside.keys(UNDO.get(step, "?"))
            assert len(keys) <= 1, f"{self.what}: {step} was done twice"
            assert len(undone) == sum(map(outside.undone, keys)) <= len(keys), (
                f"{self.what}: {step} was undone"
            )
        left = {step for step in STEPS for key in outside.keys(step) if not outside.undone(key)}
        owed = {step for step in UNDO if self.row[f"{step}_key"] is not None}
        if state == "completed":
            assert left == set(STEPS) - (set() if self.row["present"] else {"gift"}), self.what
            assert owed == left & UNDO.keys(), self.what
        elif state == "cancelled":
            assert left == owed == set(), self.what
        unsure = {UNDONE_BY.get(work["name"], work["name"]) for work in self.stuck}
        assert bool(unsure) is (state not in ("completed", "cancelled")), f"{self.what}: it hangs in {state}"
        assert owed ^ (left & UNDO.keys()) <= unsure, f"{self.what}: what is owed isn't what is left"


class Bench:
    """A database of errands, and workers that are stepped by hand."""

    def __init__(self, system: System, url: str, admin: Connection) -> None:
        self.system, self.url, self.admin = system, url, admin
        self.pool = Pool(url)
        self.engine = Engine(system, self.pool, lambda problem, command_id: b"{}")
        self.outside = Outside()

    def worker(self) -> Worker:
        return Worker(self.system, self.engine, self.pool, self.url, lambda *_: None)

    async def do(self, command: str, record: UUID | None = None, **given: Any) -> Reply:
        request = Request("Errand", command, record, given, ACTOR, str(uuid4()), b"", "r")
        return await self.engine.execute(request)

    async def run(
        self, happening: Happening | None = None, at: int = 0, present: int = 1, **faults: Any
    ) -> Run:
        """Run one errand; at the point of this number, counted from 1, something happens."""
        self.outside = Outside({name: list(listed) for name, listed in faults.items()})
        record = (await self.do("ask_for", present=present)).record
        assert record is not None
        run = Run(record, self.outside, f"{faults}, {getattr(happening, '__name__', 'nothing')} at {at}")

        async def happen() -> None:
            run.points += 1
            if run.points == at and happening is not None:
                await happening(self, record)

        self.outside.happen = happen
        await self.settle(run)
        return run

    async def row(self, record: UUID) -> Any:
        return await self.admin.fetchrow("SELECT * FROM errands.errands WHERE id = $1", record)

    async def settle(self, run: Run) -> None:
        """Step until nothing moves any more, however many workers are lost on the way."""
        worker = self.worker()
        for _ in range(ROUNDS_MAX):
            try:
                await self.outside.happen()
                await self.admin.execute(READY, False)
                if not await worker.step():
                    break
            except asyncio.CancelledError:
                if worker._running:  # pyright: ignore[reportPrivateUsage]
                    await asyncio.wait(worker._running)  # pyright: ignore[reportPrivateUsage]
                await self.admin.execute(READY, True)  # its leases have ended
                worker = self.worker()
        else:
            raise AssertionError("it never ends")
        run.row = await self.row(run.id)
        run.stuck = await self.admin.fetch("SELECT * FROM avow.work WHERE id = $1", run.id)


@pytest.fixture
async def bench(database: MakeDatabase) -> AsyncIterator[Bench]:
    held = list[Bench]()
    made = database(system := errands(lambda: held[0].outside))
    admin = await connect(made.admin_url)
    held.append(Bench(system, made.application_url, admin))
    yield held[0]
    await held[0].pool.close()
    await admin.close()


async def cancel(bench: Bench, record: UUID) -> None:
    await bench.do("cancel", record)


async def lose_the_worker(bench: Bench, record: UUID) -> None:
    raise asyncio.CancelledError


async def take_over(bench: Bench, record: UUID) -> None:
    """The lease ends while the call is under way, and another worker does the same work before it answers."""
    await bench.admin.execute(READY, True)
    await bench.worker().step()


async def cancel_and_lose(bench: Bench, record: UUID) -> None:
    await bench.do("cancel", record)
    raise asyncio.CancelledError


async def cancel_and_take_over(bench: Bench, record: UUID) -> None:
    await bench.do("cancel", record)
    await take_over(bench, record)


async def test_a_saga_does_every_step_once(bench: Bench) -> None:
    run = await bench.run()
    run.check()
    assert run.row["state"] == "completed"
    assert run.row["van_receipt"] == run.outside.keys("van")[0]
    assert str(run.row["van_key"]) == run.outside.keys("van")[0]


async def test_a_step_that_is_not_needed_is_left_out_and_never_undone(bench: Bench) -> None:
    for faults in ({}, {"capture": ["declined"]}, {"van": ["declined"]}):
        run = await bench.run(present=0, **faults)
        run.check()
        assert run.outside.keys("gift") == run.outside.keys("return_gift") == []


async def test_a_fault_that_passes_changes_nothing(bench: Bench) -> None:
    for step, fault in product(STEPS, ("refused", "cut", "lost")):
        run = await bench.run(**{step: [fault]})
        run.check()
        assert run.row["state"] == "completed", run.what


async def test_after_a_definite_no_everything_is_undone(bench: Bench) -> None:
    no = (["declined"], ["refused"] * 3, ["cut", "declined"], ["refused", "declined"])
    for step, faults in product(STEPS[:-1], no):
        run = await bench.run(**{step: faults})
        run.check()
        assert run.row["state"] == "cancelled", run.what
        assert run.row["problem"] in (f"no-{step}", "attempts-exhausted")


async def test_what_stays_unclear_or_is_owed_waits_for_a_person_and_goes_on_afterwards(bench: Bench) -> None:
    """Both branches of the parallel stage have been done when the capture is declined: all is undone."""
    stays = [
        *product(STEPS[:-1], ["cut", "lost"]),
        ("ship", "declined"),
        *product(UNDONE_BY, ["cut", "lost", "declined", "refused"]),
    ]
    for step, fault in stays:
        declined = {} if step in STEPS else {"capture": ["declined"]}
        run = await bench.run(**declined, **{step: [fault] * 3})
        run.check()
        (work,) = [work for work in run.stuck if work["stuck"] is not None]
        told = {"declined": f"no-{step}", "refused": "attempts-exhausted"}.get(fault, "unknown")
        assert (work["name"], work["stuck"]) == (step, told)
        run.outside.faults.clear()
        run.outside.refused.clear()
        await bench.admin.execute("UPDATE avow.work SET stuck = NULL, ready_at = now()")
        await bench.settle(run)
        run.check()
        assert run.row["state"] == ("completed" if step in STEPS else "cancelled"), run.what


FAULTS: list[dict[str, list[str]]] = [
    {},
    *({step: ["declined"]} for step in ("gift", "van")),
    *({step: ["lost"]} for step in ("reserve", "crew", "capture")),
    {"capture": ["declined"], "release": ["lost"], "free_van": ["cut"]},
]


@pytest.mark.parametrize(
    "happening", [cancel, lose_the_worker, take_over, cancel_and_lose, cancel_and_take_over],
    ids=lambda happening: happening.__name__,
)  # fmt: skip
async def test_whatever_happens_at_any_point_nothing_is_doubled_and_nothing_is_left(
    bench: Bench, happening: Happening
) -> None:
    """At every point: between calls, when a request arrives outside, and when it has been carried out."""
    for faults in FAULTS:
        ends = set[str]()
        for at in range(1, (await bench.run(**faults)).points + 1):
            run = await bench.run(happening, at, **faults)
            run.check()
            ends.add(run.row["state"])
        if not faults:
            cancels = happening in (cancel, cancel_and_lose, cancel_and_take_over)
            assert ends == ({"completed", "cancelled"} if cancels else {"completed"})


async def test_a_call_that_was_not_made_before_the_cancel_is_never_made(bench: Bench) -> None:
    run = await bench.run(cancel, at=1)
    run.check()
    assert run.row["state"] == "cancelled"
    assert run.outside.done == {}


async def test_after_the_pivot_nothing_can_be_cancelled(bench: Bench) -> None:
    run = await bench.run(ship=["declined"])
    assert run.row["state"] == "ship"
    reply = await bench.do("cancel", run.id)
    assert (reply.status, (await bench.row(run.id))["state"]) == (409, "ship")


async def test_a_second_run_undoes_what_it_did_itself_and_nothing_of_the_first(bench: Bench) -> None:
    """The first run did everything; the second leaves the gift out, or fails with the van."""
    for present, fails, undone in ((0, "capture", ["van", "crew"]), (1, "van", ["gift", "crew"])):
        first = await bench.run()
        kept = dict(first.outside.done)
        await bench.do("again", first.id, present=present)
        first.outside.faults = {fails: ["declined"]}
        await bench.settle(first)
        assert first.row["state"] == "cancelled"
        again = {key: done for key, done in first.outside.done.items() if key not in kept}
        undoes = {of for name, of in again.values() if name in UNDONE_BY}
        assert undoes == {key for key, (name, _) in again.items() if name in ("reserve", *undone)}
        assert [step for undo, step in UNDONE_BY.items() if first.outside.keys(undo)] == ["reserve", *undone]


async def test_two_runs_of_two_records_never_touch_each_other(bench: Bench) -> None:
    winner = await bench.run()
    loser = await bench.run(crew=["declined"])
    loser.check()
    assert not any(undoes in winner.outside.done for _, undoes in loser.outside.done.values())
