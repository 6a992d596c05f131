"""A time by a calendar comes by the clock of its zone, also where clocks were changed meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow import Entity, State, calendar, create, days, everybody, field, not_, read, system, transition
from avow.engine.execute import Engine, Request
from avow.engine.workers.worker import Worker
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from tests.fix_database import MakeDatabase

TICK = timedelta(microseconds=1)
OFFICE = calendar("office", zone="Europe/Berlin")


def permits(after: Any) -> Any:
    """A permit that lapses after some time."""

    class Permit(Entity):
        """A permit."""

        visible = read(by=everybody)
        asked, lapsed = State(initial=True), State(final=True)
        ask = create(asked, by=everybody)
        lapse = transition(asked, to=lapsed, after=after)

    return system("permits", Permit)


def reminders() -> Any:
    """A permit that is reminded of each working day, while that is allowed."""

    class Permit(Entity):
        """A permit."""

        quiet: bool = field(default=True)
        visible = read(by=everybody)
        asked, lapsed = State(initial=True), State(final=True)
        ask = create(asked, by=everybody)
        end = transition(asked, to=lapsed, by=everybody)
        remind = transition(asked, to=asked, every=OFFICE.working_days(1), when=not_(quiet))

    return system("permits", Permit)


async def set_clock(admin: Connection, moment: datetime) -> None:
    await admin.execute("DELETE FROM avow.clock")
    await admin.execute("INSERT INTO avow.clock (fixed) VALUES ($1)", moment)


async def state(admin: Connection, record: UUID | None) -> str:
    row: Any = await admin.fetchrow("SELECT state FROM permits.permits WHERE id = $1", record)
    return row["state"]


@pytest.mark.parametrize(
    ("delay", "begins", "due"),
    [
        (OFFICE.days(1), "2026-03-28T11:00", "2026-03-29T10:00"),
        (OFFICE.days(1), "2026-10-24T10:00", "2026-10-25T11:00"),
        (OFFICE.working_days(1), "2026-10-23T15:00", "2026-10-26T16:00"),
        (days(1), "2026-10-24T10:00", "2026-10-25T10:00"),
    ],
    ids=["a day of 23 hours", "a day of 25 hours", "a weekend of 73 hours", "an exact day"],
)
async def test_a_time_comes_by_the_clock_on_the_wall(
    database: MakeDatabase, delay: Any, begins: str, due: str
) -> None:
    declared = permits(delay)
    made = database(declared)
    admin, pool = await connect(made.admin_url), Pool(made.application_url)
    try:
        engine = Engine(declared, pool, lambda problem, command_id: b"{}")
        worker = Worker(declared, engine, pool, made.application_url, lambda *_: None)
        await set_clock(admin, datetime.fromisoformat(begins).replace(tzinfo=UTC))
        actor = Actor(Subject("alice"), "main")
        record = (
            await engine.execute(Request("Permit", "ask", None, {}, actor, str(uuid4()), b"", "r"))
        ).record
        instant = datetime.fromisoformat(due).replace(tzinfo=UTC)
        await set_clock(admin, instant - TICK)
        while await worker.step():
            pass
        assert await state(admin, record) == "asked"
        await set_clock(admin, instant)
        await worker.step()
        assert await state(admin, record) == "lapsed"
    finally:
        await pool.close()
        await admin.close()


async def test_a_time_that_passes_comes_again_on_the_next_day_of_its_calendar(database: MakeDatabase) -> None:
    """Not after as long as from its start to its first time: that was a weekend with a change of clocks."""
    declared = reminders()
    made = database(declared)
    admin, pool = await connect(made.admin_url), Pool(made.application_url)
    try:
        engine = Engine(declared, pool, lambda problem, command_id: b"{}")
        worker = Worker(declared, engine, pool, made.application_url, lambda *_: None)
        await set_clock(admin, datetime(2026, 10, 23, 8, tzinfo=UTC))
        actor = Actor(Subject("alice"), "main")
        await engine.execute(Request("Permit", "ask", None, {}, actor, str(uuid4()), b"", "r"))
        came = list[datetime]()
        for _ in range(6):
            came.append(await admin.fetchval("SELECT ready_at FROM avow.work"))
            await set_clock(admin, came[-1])
            assert await worker.step() == 1
        assert worker.counts["passed"] == 6
        assert await admin.fetchval("SELECT count(*) FROM avow.attempt") == 1, "its row says how often"
        assert await admin.fetchval("SELECT attempt FROM avow.work") == 6
        week = [datetime(2026, 10, day, 9, tzinfo=UTC) for day in (26, 27, 28, 29, 30)]
        assert came == [*week, datetime(2026, 11, 2, 9, tzinfo=UTC)]
    finally:
        await pool.close()
        await admin.close()


async def test_what_a_step_has_begun_is_waited_for_whatever_else_goes_wrong(
    database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(_: Pool) -> int:
        raise ConnectionResetError

    declared = permits(days(1))
    made = database(declared)
    admin, pool = await connect(made.admin_url), Pool(made.application_url)
    try:
        engine = Engine(declared, pool, lambda problem, command_id: b"{}")
        worker = Worker(declared, engine, pool, made.application_url, lambda *_: None)
        monkeypatch.setattr("avow.engine.workers.worker.advance", cut_off)
        monkeypatch.setattr(worker, "_asks", True)
        await set_clock(admin, datetime(2026, 10, 23, 8, tzinfo=UTC))
        asked = Request("Permit", "ask", None, {}, Actor(Subject("alice"), "main"), str(uuid4()), b"", "r")
        record = (await engine.execute(asked)).record
        await set_clock(admin, datetime(2026, 10, 24, 8, tzinfo=UTC))
        with pytest.raises(ConnectionResetError):
            await worker.step()
        assert await state(admin, record) == "lapsed"
    finally:
        await pool.close()
        await admin.close()
