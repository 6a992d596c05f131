"""Existing records wait for what a changed declaration says, from when they came to their state."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow import Call, Entity, State, create, effect, everybody, field, read, system, transition
from avow.engine.execute import Engine, Request
from avow.engine.workers.worker import Worker
from avow.errors import EnvironmentFault
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.schema.install import install
from avow.store.trials.trial import stop_clock
from tests.fix_database import Database, MakeDatabase

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def declared(*, lapses: timedelta | None = None, rings: bool = False, until: bool = False) -> System:
    """Letters that are answered some time."""

    @effect()
    async def ring(letter: Letter, call: Call) -> None: ...

    class Letter(Entity):
        ends: datetime | None = field()
        seen = read(by=everybody)
        sent = State(initial=True, invoke=ring) if rings else State(initial=True)
        answered = State(final=True)
        send = create(sent, by=everybody, sets=[ends])
        touch = None if rings else transition(sent, to=sent, by=everybody)
        answer = None if rings else transition(sent, to=answered, by=everybody)
        if rings:
            rung = transition(sent, to=answered, on=ring.done)
            silent = transition(sent, to=answered, on=ring.failed)
        if lapses is not None:
            lapse = transition(sent, to=answered, after=lapses)
        if until:
            end = transition(sent, to=answered, at=ends)

    return system("letters", Letter)


@asynccontextmanager
async def serving(made: Database, declaration: System) -> AsyncGenerator[tuple[Engine, Worker]]:
    pool = Pool(made.application_url)
    engine = Engine(declaration, pool, lambda problem, command_id: b"{}")
    yield engine, Worker(declaration, engine, pool, made.application_url, _no_client)
    await pool.close()


def _no_client(*_: Any) -> None: ...


async def _do(engine: Engine, command: str, record: UUID | None = None, **given: Any) -> UUID:
    actor = Actor(Subject("ann"), "main")
    reply = await engine.execute(Request("Letter", command, record, given, actor, str(uuid4()), b"", "r"))
    assert reply.record is not None
    return reply.record


async def _state(admin: Connection, record: UUID) -> str:
    return await admin.fetchval("SELECT state FROM letters.letters WHERE id = $1", record)


async def test_a_new_time_comes_for_records_that_were_there_before(database: MakeDatabase) -> None:
    made = database(declared())
    admin = await connect(made.admin_url)
    await stop_clock(admin, NOON)
    async with serving(made, declared()) as (engine, _):
        old, ending = await _do(engine, "send"), await _do(engine, "send", ends=NOON + timedelta(hours=2))
        await stop_clock(admin, NOON + timedelta(hours=1))
        await _do(engine, "touch", old)  # stays: it counts from when it was sent
    changed = declared(lapses=timedelta(days=1), until=True)
    assert await install(admin, changed)
    async with serving(made, changed) as (_, worker):
        await stop_clock(admin, NOON + timedelta(hours=2))
        await worker.step()
        assert (await _state(admin, old), await _state(admin, ending)) == ("sent", "answered")
        await stop_clock(admin, NOON + timedelta(days=1))
        await worker.step()
        assert await _state(admin, old) == "answered"
    await admin.close()


async def test_what_a_server_of_the_earlier_declaration_leaves_out_is_noted_the_next_time(
    database: MakeDatabase,
) -> None:
    made = database(declared())
    admin = await connect(made.admin_url)
    await stop_clock(admin, NOON)
    changed = declared(lapses=timedelta(days=1))
    await install(admin, changed)
    async with serving(made, declared()) as (engine, _):
        record = await _do(engine, "send")
    assert not await install(admin, changed)
    assert await admin.fetchval("SELECT due FROM avow.work WHERE id = $1", record) == NOON + timedelta(days=1)
    assert not await install(admin, changed)
    assert await admin.fetchval("SELECT count(*) FROM avow.work") == 1
    await admin.close()


async def test_a_time_that_is_declared_no_longer_doesnt_come(database: MakeDatabase) -> None:
    made = database(declared(lapses=timedelta(days=1)))
    admin = await connect(made.admin_url)
    async with serving(made, made.system) as (engine, _):
        await _do(engine, "send")
    await install(admin, declared())
    assert await admin.fetchval("SELECT count(*) FROM avow.work") == 0
    await admin.close()


async def test_a_new_call_is_refused_while_records_are_in_its_state(database: MakeDatabase) -> None:
    made = database(declared())
    admin = await connect(made.admin_url)
    async with serving(made, made.system) as (engine, _):
        record = await _do(engine, "send")
        with pytest.raises(EnvironmentFault, match=r"1 records are in Letter\.sent, which didn't call ring"):
            await install(admin, declared(rings=True))
        await _do(engine, "answer", record)
    assert await install(admin, declared(rings=True))
    await admin.close()


async def test_a_call_that_is_under_way_keeps_its_declaration(database: MakeDatabase) -> None:
    made = database(declared(rings=True))
    admin = await connect(made.admin_url)
    async with serving(made, made.system) as (engine, worker):
        await _do(engine, "send")
        with pytest.raises(EnvironmentFault, match=r"1 calls of Letter\.ring are under way"):
            await install(admin, declared())
        await worker.step()
    assert await install(admin, declared())
    await admin.close()
