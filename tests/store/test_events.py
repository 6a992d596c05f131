"""An event from outside happens once, when its record can take it, and is never lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow import role
from avow.engine.execute import Engine, Request
from avow.engine.explain import Operator, why
from avow.engine.inbox import Filter, Inbox
from avow.engine.workers.hearing import Hearing, Message, Outcome
from avow.engine.workers.worker import Worker
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.queue import Queue
from avow.store.reads import Reads
from tests.fix_database import MakeDatabase
from tests.store.parcel import Claim, Scan, parcels

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARKED, APPLIED, REFUSED = Outcome.PARKED, Outcome.APPLIED, Outcome.REFUSED


class Depot:
    """A database of parcels, whose carrier tells of them, with a worker that is stepped by hand."""

    def __init__(self, system: System, url: str, admin: Connection) -> None:
        self.system, self.admin = system, admin
        self.pool = Pool(url)
        self.engine = Engine(system, self.pool, lambda problem, command_id: problem.code.encode())
        self.hearing = Hearing(system, self.engine, Reads(system, self.pool), Queue(system, self.pool))
        self.worker = Worker(system, self.engine, self.pool, url, lambda *_: None)

    async def do(self, command: str, record: UUID | None = None, **given: Any) -> UUID:
        actor = Actor(Subject("alice"), "main")
        reply = await self.engine.execute(
            Request("Parcel", command, record, given, actor, str(uuid4()), b"", "r")
        )
        assert reply.record is not None, reply
        return reply.record

    async def hear(self, name: str, data: Any, message: str = "", tenant: str = "main") -> Outcome:
        sender = self.system.senders["carrier"]
        told = Message(sender, tenant, message or str(uuid4()), f"parcel.{name}", "r")
        return (await self.hearing.hear(told, [data]))[0]

    async def row(self, number: str = "P1", tenant: str = "main") -> Any:
        return await self.admin.fetchrow(
            "SELECT * FROM parcels.parcels WHERE number = $1 AND tenant = $2", number, tenant
        )

    async def parked(self) -> list[Any]:
        return await self.admin.fetch("SELECT * FROM avow.work WHERE destination = 'events' ORDER BY work")

    async def refusals(self) -> list[tuple[str, ...]]:
        rows = await self.admin.fetch("SELECT subject, command, code FROM avow.refusal ORDER BY refusal")
        return [tuple(row) for row in rows]

    async def settle(self) -> None:
        """Let the worker do what is ready, until nothing is."""
        while await self.worker.step():
            pass

    async def at(self, moment: datetime) -> None:
        await self.admin.execute("DELETE FROM avow.clock")
        await self.admin.execute("INSERT INTO avow.clock (fixed) VALUES ($1)", moment)


MakeDepot = Callable[..., Any]


@pytest.fixture
def depot(database: MakeDatabase) -> MakeDepot:
    @asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[Depot]:
        system = parcels(**options)
        made = database(system)
        admin = await connect(made.admin_url)
        depot = Depot(system, made.application_url, admin)
        try:
            yield depot
        finally:
            await depot.pool.close()
            await admin.close()

    return make


async def test_an_event_is_a_transition_of_the_record_that_it_names(depot: MakeDepot) -> None:
    async with depot() as d:
        await d.do("register", number="P1")
        assert await d.hear("picked", Scan("P1")) == APPLIED
        assert await d.hear("delivered", Scan("P1", "Kiel")) == APPLIED
        row = await d.row()
        assert (row["state"], row["place"], row["version"]) == ("arrived", "Kiel", 3)
        headers = await d.admin.fetch(
            "SELECT convert_from(header, 'UTF8')::jsonb AS h FROM avow.audit ORDER BY entry"
        )
        assert '"subject": "sender:carrier"' in headers[2]["h"]


async def test_a_record_can_be_named_by_its_id(depot: MakeDepot) -> None:
    async with depot() as d:
        record = await d.do("register", number="P1")
        assert await d.hear("lost", Claim(record)) == APPLIED
        assert (await d.row())["state"] == "gone"


async def test_a_message_that_comes_twice_happens_once(depot: MakeDepot) -> None:
    async with depot() as d:
        await d.do("register", number="P1")
        await d.hear("picked", Scan("P1"))
        for _ in range(3):
            assert await d.hear("moved", Scan("P1", "Kiel", 1), "m1") == APPLIED
        assert (await d.row())["version"] == 3


async def test_copies_of_a_message_that_come_at_once_get_one_answer(depot: MakeDepot) -> None:
    async with depot() as d:
        await d.do("register", number="P1")
        outcomes = await asyncio.gather(*(d.hear("picked", Scan("P1"), "m1") for _ in range(20)))
        assert set(outcomes) == {APPLIED}
        assert (await d.row())["version"] == 2
        assert await d.parked() == []


async def test_copies_of_an_early_message_are_parked_once_and_happen_once(depot: MakeDepot) -> None:
    async with depot() as d:
        outcomes = await asyncio.gather(*(d.hear("picked", Scan("P1"), "m1") for _ in range(20)))
        assert set(outcomes) == {PARKED}
        assert len(await d.parked()) == 1
        await d.do("register", number="P1")
        await d.settle()
        assert await d.hear("picked", Scan("P1"), "m1") == APPLIED
        assert ((await d.row())["version"], await d.parked()) == (2, [])


async def test_an_event_whose_record_is_not_there_yet_waits_for_it(depot: MakeDepot) -> None:
    """The commit that makes the record wakes it; no pause has to pass."""
    async with depot() as d:
        await d.at(NOON)
        assert await d.hear("picked", Scan("P1")) == PARKED
        await d.settle()
        await d.do("register", number="P2")
        assert await d.worker.step() == 0
        await d.do("register", number="P1")
        await d.settle()
        assert (await d.row())["state"] == "under_way"
        assert await d.parked() == []


async def test_an_event_also_waits_for_a_record_that_gets_its_value_later(depot: MakeDepot) -> None:
    async with depot() as d:
        await d.at(NOON)
        record = await d.do("announce")
        await d.hear("picked", Scan("P1"))
        await d.settle()
        await d.do("label", record, number="P1")
        await d.settle()
        assert (await d.row())["state"] == "under_way"


async def test_an_event_that_is_late_is_refused_and_kept_in_the_log(depot: MakeDepot) -> None:
    async with depot() as d:
        record = await d.do("register", number="P1")
        await d.do("cancel", record)
        for _ in range(2):
            assert await d.hear("delivered", Scan("P1", "Kiel"), "m1") == REFUSED
        assert (await d.row())["state"] == "gone"
        assert await d.refusals() == [("sender:carrier", "carrier:parcel.delivered", "event-late")]


async def test_an_event_that_waits_is_late_once_its_record_can_take_it_no_more(depot: MakeDepot) -> None:
    async with depot() as d:
        record = await d.do("register", number="P1")
        assert await d.hear("delivered", Scan("P1", "Kiel")) == PARKED
        await d.do("cancel", record)
        await d.settle()
        assert (await d.row())["state"] == "gone"
        assert await d.refusals() == [("sender:carrier", "carrier:parcel.delivered", "event-late")]
        assert await d.parked() == []


async def test_a_guard_holds_against_older_news(depot: MakeDepot) -> None:
    async with depot() as d:
        await d.do("register", number="P1")
        await d.hear("picked", Scan("P1"))
        assert await d.hear("moved", Scan("P1", "Kiel", 2)) == APPLIED
        assert await d.hear("moved", Scan("P1", "Ulm", 1)) == REFUSED
        assert (await d.row())["place"] == "Kiel"


@pytest.mark.parametrize(
    "order", list(permutations(["register", "picked", "moved", "delivered"])), ids="-".join
)
async def test_whatever_the_order_the_record_ends_where_its_events_lead(
    depot: MakeDepot, order: tuple[str, ...]
) -> None:
    """A scan on the way that comes after the delivery is late, and everything else happens."""
    async with depot() as d:
        scans = {"picked": Scan("P1"), "moved": Scan("P1", "Ulm", 1), "delivered": Scan("P1", "Kiel", 2)}
        for name in order:
            if name == "register":
                await d.do("register", number="P1")
            else:
                await d.hear(name, scans[name], name)
            await d.settle()
        row = await d.row()
        assert (row["state"], row["place"]) == ("arrived", "Kiel")
        assert await d.parked() == []
        happened, refused = row["version"] - 2, len(await d.refusals())
        assert happened + refused == len(scans) - 1


async def test_a_declaration_may_refuse_what_is_early_and_keep_what_is_late(depot: MakeDepot) -> None:
    async with depot(early="refuse", late="stick") as d:
        assert await d.hear("delivered", Scan("P1")) == REFUSED
        record = await d.do("register", number="P1")
        assert await d.hear("delivered", Scan("P1")) == REFUSED
        assert [code for _, _, code in await d.refusals()] == ["event-early"] * 2
        await d.do("cancel", record)
        assert await d.hear("delivered", Scan("P1", "Kiel"), "m1") == PARKED
        (work,) = await d.parked()
        assert work["stuck"] == "event-late"
        assert '"Kiel"' in work["given"]
        (task,) = await d.admin.fetch("SELECT * FROM avow.task")
        assert (task["role"], task["work"], task["id"]) == ("", work["work"], work["id"])


async def test_an_event_that_nothing_comes_for_is_stuck_after_its_time_for_a_person(depot: MakeDepot) -> None:
    async with depot(parked_for=timedelta(days=2)) as d:
        await d.at(NOON)
        await d.hear("delivered", Scan("P1"))
        for hours in range(49):
            await d.at(NOON + timedelta(hours=hours))
            await d.settle()
            (work,) = await d.parked()
            assert (work["stuck"] is not None) is (hours >= 48), hours
        assert work["stuck"] == "event-early"
        operators = replace(d.system, operators=role("operator").avow_node)
        olga = Actor(Subject("olga"), "main", frozenset({"operator"}))
        (task,) = (await Inbox(operators, d.pool).page(olga, Filter(), None, 10)).items
        assert (task["role"], task["task"], task["record"]) == ("operators", work["name"], None)
        assert (task["owed"]["stuck"], task["owed"]["ways"]) == ("event-early", ["retry", "skip"])


async def test_neighbours_neither_see_nor_wake_each_other(depot: MakeDepot) -> None:
    async with depot() as d:
        await d.at(NOON)
        await d.do("register", number="P1")
        assert await d.hear("picked", Scan("P1"), "m1", tenant="other") == PARKED
        assert await d.hear("picked", Scan("P1"), "m1") == APPLIED
        await d.settle()
        assert [row["tenant"] for row in await d.parked()] == ["other"]


async def test_a_worker_that_was_overtaken_by_a_commit_tries_again(depot: MakeDepot) -> None:
    """It saw the record as it was before: what it found out doesn't put the event to sleep."""
    async with depot() as d:
        await d.at(NOON)
        await d.hear("picked", Scan("P1"), "m1")
        queue = Queue(d.system, d.pool)
        (taken,) = await queue.take(["events"], 15.0, 10)
        await d.do("register", number="P1")
        assert not await queue.park_again(taken, taken.topic, "{}", 3_600.0)
        await d.settle()
        assert (await d.row())["state"] == "under_way"


async def test_what_is_parked_again_by_a_second_delivery_does_not_happen_again(depot: MakeDepot) -> None:
    """A copy may be parked by somebody who looked before the first one happened."""
    async with depot() as d:
        await d.hear("picked", Scan("P1"), "m1")
        (work,) = await d.parked()
        await d.do("register", number="P1")
        await d.settle()
        await d.hear("moved", Scan("P1", "Kiel", 1))
        await d.admin.execute(
            "INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at,"
            " request, since, topic, given) VALUES"
            " ($1, $2, $3, $4, 0, 'events', '', $3, now() + interval '1 day', now(), 'r', now(), $5, $6)",
            *(work[name] for name in ("tenant", "kind", "id", "name", "topic", "given")),
        )  # fmt: skip
        await d.settle()
        assert ((await d.row())["version"], await d.parked()) == (3, [])


async def test_the_log_says_what_of_a_message_let_it_happen(depot: MakeDepot) -> None:
    async with depot() as d:
        parcel = await d.do("register", number="P1")
        await d.hear("picked", Scan("P1"))
        await d.hear("moved", Scan("P1", "Kiel", 2))
        entity, reads = d.system.entities["Parcel"], Reads(d.system, d.pool)
        found = await why(d.system, reads, Operator("main"), entity, parcel, "place", None)
        assert found is not None
        because = found["because"]
        assert (found["value"], because["actor"]["subject"]) == ("Kiel", "sender:carrier")
        assert because["allowed_by"]["guard"] == "given.data.sequence > sequence"
        assert because["rested_on"] == [
            {"read": "given.data.sequence", "value": 2}, {"read": "sequence", "value": 0},
        ]  # fmt: skip
