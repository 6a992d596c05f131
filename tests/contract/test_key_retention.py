"""A key is kept for seven days by the database's clock, then it is a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator

import pytest

from avow.store.pool import Pool
from avow.store.retention import KEY_RETENTION_DAYS, forget_keys, keep_forgetting
from tests.acceptance.polling import until
from tests.contract.fix_server import Tenancy

SetClock = Callable[[str], None]
KEPT = "SELECT count(*) FROM avow.idempotency WHERE tenant = $1"


@pytest.fixture
def set_clock(spare: Tenancy) -> Generator[SetClock]:
    """Sets the database's clock so far ahead; it runs again after the test."""
    database = spare.server.database

    def ahead(interval: str) -> None:
        database.fetch("DELETE FROM avow.clock")
        database.fetch(f"INSERT INTO avow.clock (fixed) SELECT clock_timestamp() + interval '{interval}'")

    yield ahead
    database.fetch("DELETE FROM avow.clock")


def forget(spare: Tenancy) -> int:
    """What the server does every few minutes, with its own login."""
    with spare.server.database.session(spare.server.database.application_url) as session:
        return session.fetch("SELECT avow.forget_keys(1000)")[0][0]


def test_an_expired_key_is_a_new_key(spare: Tenancy, set_clock: SetClock) -> None:
    """I15: replayed until the last hour of the seventh day, executed afresh after it."""
    clerk = spare.actor("ann", "clerk")
    room = clerk.create("/rooms", {"name": "A", "places": 1})
    first = clerk.do(f"{room.path}/describe", {"heated": True}, key="k")
    set_clock(f"{KEY_RETENTION_DAYS * 24 - 1} hours")
    assert forget(spare) == 0
    again = clerk.post(f"{room.path}/describe", {"heated": True}, key="k")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    set_clock(f"{KEY_RETENTION_DAYS * 24 + 1} hours")
    assert forget(spare) >= 2
    assert spare.fetch(KEPT)[0][0] == 0
    fresh = clerk.post(f"{room.path}/describe", {"heated": True}, key="k")
    assert fresh.json()["version"] == 3
    assert "idempotency-replayed" not in fresh.headers


def test_the_retention_is_published(spare: Tenancy) -> None:
    """I15: in the OpenAPI document, where the header is described."""
    parameters = spare.nobody.get("/openapi.json").json()["components"]["parameters"]
    assert f"kept for {KEY_RETENTION_DAYS} days" in parameters["IdempotencyKey"]["description"]


async def test_keys_are_forgotten_a_few_at_a_time(spare: Tenancy, set_clock: SetClock) -> None:
    clerk, pool = spare.actor("ann", "clerk"), Pool(spare.server.database.application_url)
    await forget_keys(pool)
    for number in range(5):
        clerk.create("/rooms", {"name": f"{number}", "places": 1})
    set_clock("8 days")
    clerk.create("/rooms", {"name": "late", "places": 1})
    assert await forget_keys(pool, rows_max=2) == 5
    assert spare.fetch(KEPT)[0][0] == 1
    await pool.close()


async def test_a_server_keeps_forgetting(spare: Tenancy, set_clock: SetClock) -> None:
    spare.actor("ann", "clerk").create("/rooms", {"name": "A", "places": 1})
    set_clock("8 days")
    pool = Pool(spare.server.database.application_url)
    housekeeping = asyncio.create_task(keep_forgetting(pool, pause_s=0.01))

    async def forgotten() -> bool | None:
        return spare.fetch(KEPT)[0][0] == 0 or None

    try:
        await until(forgotten, "the key is forgotten")
        spare.actor("ann", "clerk").create("/rooms", {"name": "B", "places": 1})
        set_clock("16 days")
        await until(forgotten, "the later key is forgotten too")
    finally:
        housekeeping.cancel()
        await pool.close()


def test_the_server_may_forget_no_younger_key(spare: Tenancy) -> None:
    """The function has the time in it; the server's login has no right to delete."""
    database = spare.server.database
    with database.session(database.application_url) as session:
        with pytest.raises(Exception, match="permission denied"):
            session.execute("DELETE FROM avow.idempotency")
        with pytest.raises(Exception, match="permission denied"):
            session.execute("INSERT INTO avow.clock (fixed) VALUES (now())")
