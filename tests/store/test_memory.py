"""What a process remembers saves it a round trip and decides nothing: others may have been there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from avow import Entity, Money, State, authenticated, create, field, now, read, system, transition
from avow.api.app import Application
from avow.api.authentication import Trust
from avow.engine.execute import Engine, Reply
from avow.prove.wire import proxied
from avow.store import clock
from avow.store.driver import Connection
from avow.store.loading import plan_command
from avow.store.pool import connect
from tests.acting import TENANT
from tests.fix_database import Database, MakeDatabase
from tests.store.company import engine, request
from tests.store.theatre import theatre


class Offer(Entity):
    """An offer that ends."""

    ends: datetime = field()
    visible = read(by=authenticated)
    open = State(initial=True)
    gone = State(final=True)
    make = create(open, by=authenticated, sets=[ends])
    take = transition(open, to=open, by=authenticated, when=ends > now)
    drop = transition(open, to=gone, by=authenticated)


offers = system("offers", Offer)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a reading of the clock counts until the end of a test."""
    monkeypatch.setattr(clock, "TRIP_S_MAX", 60.0)
    monkeypatch.setattr(clock, "FRESH_S", 600.0)


@pytest.fixture
async def one(made: Database, admin: Connection) -> AsyncIterator[Engine]:
    """A process that has served for a while: it knows the database's clock."""
    async with engine(theatre, made.application_url) as runner:
        await know_the_clock(runner, admin)
        yield runner


@pytest.fixture
async def two(made: Database) -> AsyncIterator[Engine]:
    """Another process, which remembers nothing."""
    async with engine(theatre, made.application_url) as runner:
        yield runner


async def know_the_clock(runner: Engine, admin: Connection) -> None:
    """Two readings a second apart, as two loads would have brought them."""
    known = clock_of(runner)
    asked_s = time.monotonic()
    shown = await admin.fetchval("SELECT avow.now()")
    told_s = time.monotonic()
    known.read(shown - timedelta(seconds=1), asked_s - 1, told_s - 1)
    known.read(shown, asked_s, told_s)
    assert known.now(told_s) is not None


def clock_of(runner: Engine) -> clock.DatabaseClock:
    return runner._transactions.clock  # pyright: ignore[reportPrivateUsage]


async def ask(runner: Engine, command: str, ticket: UUID, *, key: str = "", **given: Any) -> Reply:
    return await runner.execute(request("Ticket", command, ticket, given, key=key))


async def paid(runner: Engine) -> UUID:
    """A paid ticket, which the process that paid it remembers."""
    hall = (await runner.execute(request("Hall", "found", None, {}))).record
    ticket = (await runner.execute(request("Ticket", "reserve", None, {"hall": hall}))).record
    assert ticket is not None
    assert (await ask(runner, "pay", ticket)).status == 200
    return ticket


async def test_a_command_on_what_was_written_here_takes_one_round_trip(
    made: Database, admin: Connection
) -> None:
    async with proxied(made.application_url) as (wire, url), engine(theatre, url, size=1) as one:
        await know_the_clock(one, admin)
        ticket = await paid(one)
        wire.counted.clear()
        assert (await ask(one, "check", ticket)).version == 3
        assert wire.counted == {"B": 1, "E": 1, "S": 1, "commit": 1}


async def test_what_was_written_before_a_process_was_there_takes_one_round_trip(
    made: Database, admin: Connection, two: Engine
) -> None:
    ticket = await paid(two)
    async with proxied(made.application_url) as (wire, url), engine(theatre, url, size=1) as one:
        await know_the_clock(one, admin)
        await paid(one)  # so that its statements are prepared
        await one.recall()
        wire.counted.clear()
        assert (await ask(one, "check", ticket)).version == 3
        assert wire.counted == {"B": 1, "E": 1, "S": 1, "commit": 1}


async def test_what_is_recalled_is_found_for_its_own_tenant_alone(made: Database, two: Engine) -> None:
    ticket = await paid(two)
    async with engine(theatre, made.application_url) as one:
        await one.recall()
        held = one._memory  # pyright: ignore[reportPrivateUsage]
        found = held.find(TENANT, ("Ticket", ticket))
        assert found is not None
        assert (found.state, found.version) == ("paid", 2)
        assert held.find("another", ("Ticket", ticket)) is None


async def test_what_changes_after_it_was_recalled_counts(
    made: Database, two: Engine, admin: Connection
) -> None:
    ticket = await paid(two)
    async with engine(theatre, made.application_url) as one:
        await know_the_clock(one, admin)
        await one.recall()
        assert (await ask(two, "weigh", ticket, weight=5)).version == 3
        assert (await ask(one, "check", ticket)).version == 4
    assert await admin.fetchval("SELECT weight FROM theatre.tickets") == 5


async def test_a_process_that_can_recall_nothing_serves_all_the_same(made: Database, two: Engine) -> None:
    """The connection is lost as it asks."""
    ticket = await paid(two)
    async with proxied(made.application_url) as (wire, url), engine(theatre, url, size=1) as one:
        wire.fail("cut-on-the-way", of="written_last")
        await one.recall()
        assert (await ask(one, "check", ticket)).status == 200


async def test_a_server_recalls_beside_its_first_requests(made: Database, two: Engine) -> None:
    ticket = await paid(two)
    async with proxied(made.application_url) as (wire, url):
        server = Application(theatre, url, b"s" * 32, Trust(development_secret=b"t" * 32))
        held = server._engine._memory  # pyright: ignore[reportPrivateUsage]
        try:
            await server.start()
            _, recalling = server._beside  # pyright: ignore[reportPrivateUsage]
            await recalling
        finally:
            await server.close()
        assert "written_last" in wire.ran
        assert held.find(TENANT, ("Ticket", ticket)) is not None


async def test_a_creation_that_refers_to_nothing_takes_one_round_trip(
    made: Database, admin: Connection
) -> None:
    async with proxied(made.application_url) as (wire, url), engine(theatre, url, size=1) as one:
        await know_the_clock(one, admin)
        await one.execute(request("Hall", "found", None, {}))
        wire.counted.clear()
        assert (await one.execute(request("Hall", "found", None, {}))).status == 201
        assert wire.counted == {"B": 1, "E": 1, "S": 1, "commit": 1}


async def test_what_is_remembered_is_what_a_load_would_bring(one: Engine) -> None:
    """Of every type of value, down to how it is written: another form would be another decision."""
    west = timezone(timedelta(hours=-5))
    given = {
        "room": UUID(int=7), "label": "a \u00e9 'b'", "number": 3,
        "first_day": date(2026, 11, 21), "last_day": None,
        "begins": datetime(2026, 11, 21, 9, 30, tzinfo=west), "low": -1,
        "price": Money(Decimal("12.5"), "EUR"),
        "rate": Decimal("1.5"),
    }  # fmt: skip
    booking = (await one.execute(request("Booking", "ask", None, given))).record
    assert booking is not None
    ticket = await paid(one)
    await ask(one, "check", ticket)
    for entity, command, record in (("Booking", "leave", booking), ("Ticket", "check", ticket)):
        held = one._memory.find(TENANT, (entity, record))  # pyright: ignore[reportPrivateUsage]
        plan = plan_command(theatre, theatre.entities[entity], command)
        transactions = one._transactions  # pyright: ignore[reportPrivateUsage]
        loaded = await transactions.load(plan, TENANT, plan.wanted(None, record, {}))
        assert held is not None
        assert held == loaded.records[entity, record]
        assert repr(dict(held.values)) == repr(dict(loaded.records[entity, record].values))


async def test_what_looks_at_the_time_is_decided_at_the_time_of_a_load(database: MakeDatabase) -> None:
    made = database(offers)
    admin = await connect(made.admin_url)
    async with proxied(made.application_url) as (wire, url), engine(offers, url, size=1) as one:
        await know_the_clock(one, admin)
        ends = datetime(9000, 1, 1, tzinfo=UTC)
        offer = (await one.execute(request("Offer", "make", None, {"ends": ends}))).record
        for command, trips in (("take", 2), ("drop", 1)):
            wire.counted.clear()
            assert (await one.execute(request("Offer", command, offer, {}))).status == 200
            assert wire.counted["S"] == trips, command
    await admin.close()


async def test_what_another_process_wrote_meanwhile_counts(
    one: Engine, two: Engine, admin: Connection
) -> None:
    ticket = await paid(one)
    assert (await ask(two, "weigh", ticket, weight=5)).version == 3
    reply = await ask(one, "check", ticket)
    assert (reply.status, reply.version) == (200, 4)
    assert await admin.fetchval("SELECT weight FROM theatre.tickets") == 5


async def test_nothing_is_refused_because_of_what_was_true(one: Engine, two: Engine) -> None:
    """One process remembers a ticket that isn't paid; the other has been paid for it."""
    hall = (await one.execute(request("Hall", "found", None, {}))).record
    ticket = (await one.execute(request("Ticket", "reserve", None, {"hall": hall}))).record
    assert ticket is not None
    assert (await ask(two, "pay", ticket)).status == 200
    assert (await ask(one, "check", ticket)).status == 200


async def test_nothing_is_permitted_because_of_what_was_true(one: Engine, two: Engine) -> None:
    """One process remembers that nobody has checked the ticket; the other has seen it checked."""
    ticket = await paid(one)
    assert (await ask(two, "check", ticket)).status == 200
    refused = await ask(one, "cancel", ticket)
    assert refused.status == 403
    assert refused.body.startswith(b"four-eyes")


async def test_a_key_that_has_an_answer_is_replayed(one: Engine, two: Engine, admin: Connection) -> None:
    ticket = await paid(one)
    first = await ask(two, "check", ticket, key="the same")
    await ask(one, "check", ticket)
    again = await ask(one, "check", ticket, key="the same")
    assert (again.replayed, again.version, again.body) == (True, first.version, first.body)
    assert await admin.fetchval("SELECT version FROM theatre.tickets") == 4


async def test_a_refusal_that_was_kept_is_replayed_even_if_it_would_be_permitted_now(one: Engine) -> None:
    hall = (await one.execute(request("Hall", "found", None, {}))).record
    ticket = (await one.execute(request("Ticket", "reserve", None, {"hall": hall}))).record
    assert ticket is not None
    refused = await ask(one, "check", ticket, key="too early")
    assert refused.body.startswith(b"state-conflict")
    await ask(one, "pay", ticket)
    again = await ask(one, "check", ticket, key="too early")
    assert (again.replayed, again.body) == (True, refused.body)


async def test_an_entry_bears_a_time_that_the_database_has_shown(one: Engine, admin: Connection) -> None:
    ticket = await paid(one)
    for _ in range(5):
        await ask(one, "check", ticket)
    rows = await admin.fetch(
        "SELECT (convert_from(header, 'UTF8')::jsonb ->> 'at')::timestamptz AS decided, at FROM avow.audit"
        " WHERE kind = 'Ticket' ORDER BY version"
    )
    decided = [row["decided"] for row in rows]
    assert decided == sorted(decided)
    assert all(row["decided"] <= row["at"] for row in rows)


async def test_a_clock_that_stands_still_is_read_each_time(made: Database) -> None:
    admin = await connect(made.admin_url)
    await admin.execute("INSERT INTO avow.clock VALUES (clock_timestamp())")
    async with engine(theatre, made.application_url) as one:
        known, now_s = clock_of(one), time.monotonic()
        known.read(await admin.fetchval("SELECT avow.now()"), now_s - 121, now_s - 121)
        ticket = await paid(one)
        await ask(one, "check", ticket)
        assert known.now(time.monotonic()) is None
    assert await admin.fetchval(
        "SELECT bool_and(t.changed_at = c.fixed) FROM theatre.tickets t, avow.clock c"
    )
    await admin.close()
