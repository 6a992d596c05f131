"""A server that leaves the work to others wakes them after its commits; one that is not heard loses time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from avow.api.app import Application
from avow.api.authentication import Trust
from avow.engine.execute import Engine
from avow.engine.workers import notices, worker
from avow.engine.workers.inside import WorkInside
from avow.engine.workers.notices import Listener, Notifier
from avow.store.pool import Pool, connect
from avow.store.statements import text
from tests.acceptance.polling import settled, until
from tests.fix_database import Database, MakeDatabase
from tests.store.payment import Outside, Receipt, payments

LISTENS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    f" AND (query ILIKE 'LISTEN %' OR starts_with(query, '{text('queue.sql', 'stands').strip()}'))"
)
"""A connection that only listens has said nothing else, but that it still stands."""
NEVER_S = 1_000.0


@pytest.fixture
def made(database: MakeDatabase, outside: Outside) -> Database:
    return database(payments(outside))


async def test_a_server_that_does_not_work_wakes_a_worker_of_another_process(
    made: Database, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that never looks by itself, so that only a notice can wake it."""
    monkeypatch.setattr(worker, "POLL_S", NEVER_S)
    outside.answers = [Receipt("ch_1", 5)]
    pool, url = Pool(made.application_url), made.application_url
    work = WorkInside(
        made.system, Engine(made.system, pool, lambda problem, command_id: b"{}"), url, {}, listens=True
    )
    application: Any = Application(made.system, url, b"s" * 32, Trust(), works=False)
    admin = await connect(made.admin_url)
    work.start()
    await until(lambda: admin.fetch(LISTENS), "it listens")
    try:
        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://a") as client:
            place = await client.post("/payments", json={"amount": 5}, headers={"Idempotency-Key": "1"})
            await client.post(f"{place.headers['location']}/start", headers={"Idempotency-Key": "2"})
            await until(lambda: _called(outside), "the call is made")
    finally:
        await work.close()
        await application.close()
        await pool.close()
        await admin.close()


async def test_a_burst_of_commits_is_one_notice(made: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at most: one at once, and one for all that came meanwhile."""
    monkeypatch.setattr(notices, "PAUSE_S", 0.0)
    async with _listening(made) as heard, _notifying(made) as notifier:
        for _ in range(1_000):
            notifier.notify()
        await until(lambda: _any(heard), "it is heard")
        notifier.notify()
        await settled()
        notifier.notify()
        await until(lambda: _any(heard[1:]), "the next one is heard")
        assert len(heard) <= 3


async def test_a_connection_that_is_lost_is_made_anew(
    made: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CHECK_EVERY_S", 0.05)
    admin = await connect(made.admin_url)
    async with _listening(made) as heard, _notifying(made) as notifier:
        ended = f"SELECT pg_terminate_backend(pid) FROM ({LISTENS}) AS l"
        assert await admin.fetch(ended)

        async def again() -> bool:
            notifier.notify()
            await settled()
            return bool(heard)

        await until(again, "it is heard again")
    await admin.close()


async def test_no_command_notifies_in_its_transaction(made: Database) -> None:
    """Commands that notified would commit one after the other, in the whole PostgreSQL server."""
    admin = await connect(made.admin_url)
    notifying = "SELECT proname FROM pg_proc WHERE pronamespace = 'avow'::regnamespace AND prosrc ILIKE $1"
    assert await admin.fetch(notifying, "%notify%") == []
    await admin.close()


@asynccontextmanager
async def _listening(made: Database) -> AsyncGenerator[list[None]]:
    """What is heard, from when somebody listens."""
    heard, admin = list[None](), await connect(made.admin_url)
    listener = Listener(made.application_url, lambda: heard.append(None))
    listener.start()
    await until(lambda: admin.fetch(LISTENS), "it listens")
    await admin.close()
    try:
        yield heard
    finally:
        await listener.close()


@asynccontextmanager
async def _notifying(made: Database) -> AsyncGenerator[Notifier]:
    notifier = Notifier(made.application_url)
    notifier.start()
    try:
        yield notifier
    finally:
        await notifier.close()


async def _called(outside: Outside) -> bool:
    return bool(outside.asked)


async def _any(heard: list[None]) -> bool:
    return bool(heard)
