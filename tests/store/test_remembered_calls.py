"""How a call ended is heard on what a process remembers, in one round trip; others may have been there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from avow import Call, Entity, State, create, effect, everybody, field, read, system, transition
from avow.engine.execute import Engine, Outrun, Reply
from avow.prove.wire import proxied
from avow.store import clock
from avow.store.pool import Pool, connect
from avow.store.queue import Queue, Work
from tests.fix_database import Database, MakeDatabase
from tests.store.company import engine, request
from tests.store.test_memory import know_the_clock


@effect()
async def weigh(parcel: Any, call: Call) -> int:
    """Never called here."""
    raise NotImplementedError


class Parcel(Entity):
    """Something whose weight is asked for."""

    weight: int = field(default=0)
    visible = read(by=everybody)
    waiting, calling_off = State(initial=True, invoke=weigh), State(invoke=weigh, withdraw=True)
    weighed, called_off = State(final=True), State(final=True)

    send = create(waiting, by=everybody)
    cancel = transition(waiting, to=calling_off, by=everybody)
    heard = transition(waiting, to=weighed, on=weigh.done, sets={weight: weigh.result})
    heard_late = transition(calling_off, to=called_off, on=weigh.done)
    not_heard = transition([waiting, calling_off], to=called_off, on=weigh.failed)


parcels = system("parcels", Parcel)


@pytest.fixture
def made(database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> Database:
    """However busy the machine is, a reading of the clock counts until the end of a test."""
    monkeypatch.setattr(clock, "TRIP_S_MAX", 60.0)
    monkeypatch.setattr(clock, "FRESH_S", 600.0)
    return database(parcels)


async def sent(one: Engine) -> UUID:
    """A parcel whose weight was asked for, which the process remembers."""
    parcel = (await one.execute(request("Parcel", "send", None, {}))).record
    assert parcel is not None
    return parcel


async def taken(made: Database) -> Work:
    pool = Pool(made.application_url)
    (work,) = await Queue(made.system, pool).take(["weigh"], 15.0, 9)
    await pool.close()
    return work


async def hear(one: Engine, work: Work, fence: int) -> Reply:
    told = request("Parcel", "weigh.done", work.id, {"key": work.key, "result": 5})
    return await one.execute(replace(told, key=None, settles=(work.work, fence)))


async def test_the_end_of_a_call_takes_one_round_trip(made: Database) -> None:
    admin = await connect(made.admin_url)
    async with proxied(made.application_url) as (wire, url), engine(made.system, url, size=1) as one:
        await know_the_clock(one, admin)
        await sent(one)
        work = await taken(made)
        wire.counted.clear()
        assert (await hear(one, work, work.fence)).status == 200
        assert wire.counted == {"B": 1, "E": 1, "S": 1, "commit": 1}
    await admin.close()


async def test_a_cancel_that_another_process_has_heard_counts(made: Database) -> None:
    admin = await connect(made.admin_url)
    async with (
        engine(made.system, made.application_url) as one,
        engine(made.system, made.application_url) as two,
    ):
        await know_the_clock(one, admin)
        parcel = await sent(one)
        work = await taken(made)
        assert (await two.execute(request("Parcel", "cancel", parcel, {}))).status == 200
        assert (await hear(one, work, work.fence)).status == 200
    assert await admin.fetchval("SELECT state FROM parcels.parcels") == "called_off"
    await admin.close()


async def test_what_is_taken_by_another_worker_is_not_settled_on_what_is_remembered(made: Database) -> None:
    admin = await connect(made.admin_url)
    async with engine(made.system, made.application_url) as one:
        await know_the_clock(one, admin)
        await sent(one)
        work = await taken(made)
        with pytest.raises(Outrun):
            await hear(one, work, work.fence - 1)
    assert await admin.fetchval("SELECT state FROM parcels.parcels") == "waiting"
    await admin.close()
