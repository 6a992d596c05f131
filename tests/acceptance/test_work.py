"""Workers as processes: one that is killed in the middle of a call loses nothing and does nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from avow.cli.target import load_target
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.testing import Fault, Provider
from avow.testing.databases import Database
from tests.acceptance.polling import PATIENCE_S, until
from tests.fix_database import MakeDatabase

SYSTEM = """
from avow import Call, Declined, Entity, State, create, effect, everybody, field, read, system, transition


@effect(timeout=20)
async def authorize(order: "Order", call: Call) -> str:
    before = call.progress
    await call.checkpoint({"attempt": call.attempt})
    wanted = {"amount": order.amount, "currency": "EUR", "card": order.card, "reference": str(order.id)}
    answer = await call.http.post("/payments/authorize", json=wanted)
    if answer.status == 402:
        raise Declined("The card was declined.", code=answer.json()["code"])
    return answer.json()["id"] if before is None else f"resumed after {before['attempt']}"


class Order(Entity):
    amount: int = field(ge=1)
    card: str = field(default="4242")
    payment: str = field(default="")
    visible = read(by=everybody)

    paying = State(initial=True, invoke=authorize)
    paid, failed = State(final=True), State(final=True)

    place = create(paying, by=everybody, sets=[amount, card])
    done = transition(paying, to=paid, on=authorize.done, sets={payment: authorize.result})
    declined = transition(paying, to=failed, on=authorize.failed)


app = system("orders", Order)
"""


@pytest.fixture
def outside() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


class Works:
    """An application's folder and database, and the processes that serve it and work for it."""

    def __init__(self, folder: Path, made: Database, provider: Provider) -> None:
        self.folder, self.made, self.provider = folder, made, provider
        destinations = {"authorize": {"url": provider.url, "allow_private": True}}
        (folder / "destinations.json").write_text(json.dumps(destinations))
        self.environment = {
            **os.environ,
            "AVOW_DATABASE_URL": made.application_url,
            "AVOW_SECRET": secrets.token_hex(32),
            "AVOW_DESTINATIONS": str(folder / "destinations.json"),
        }
        self.processes = list[subprocess.Popen[str]]()

    def start(self, *words: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """Start `avow WORDS`, and wait for its line."""
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "avow.cli", *words, "--json"], cwd=self.folder, env=self.environment,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.processes.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline() or "null")

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def works(tmp_path: Path, database: MakeDatabase, outside: Provider) -> Iterator[Works]:
    (tmp_path / "system.py").write_text(SYSTEM)
    found = Works(tmp_path, database(load_target(str(tmp_path))), outside)
    yield found
    found.stop()


async def _place(works: Works, url: str, count: int) -> None:
    """Place orders over HTTP; nobody needs a credential here."""
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
        for number in range(count):
            order = {"amount": 100 + number, "card": "declined" if number % 5 == 4 else "4242"}
            key = {"Idempotency-Key": str(uuid4())}
            answer = await client.post("/orders", json=order, headers=key)
            assert answer.status_code == 201, answer.text


async def _states(admin: Connection) -> dict[str, int]:
    rows = await admin.fetch("SELECT state, count(*) AS n FROM orders.orders GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


async def test_a_worker_that_is_killed_in_the_middle_of_a_call_is_taken_over_from(
    works: Works, outside: Provider
) -> None:
    outside.behave("payment", "authorize", script=[Fault("hold", at="reply")] * 4)
    first, said = works.start("work", ".")
    assert said == {"working": "orders"}
    _, served = works.start("serve", ".", "--port", "0", "--no-work")
    await _place(works, served["url"], 20)
    await asyncio.to_thread(outside.wait_held, count=4)
    first.send_signal(signal.SIGKILL)  # four calls are done, and nobody has heard of it
    first.wait()
    outside.release()
    admin = await connect(works.made.admin_url)
    begun = await admin.fetch("SELECT id FROM avow.work WHERE progress IS NOT NULL")
    assert len(begun) >= 4
    await admin.execute("UPDATE avow.work SET ready_at = now() WHERE taken")  # its leases have ended
    works.start("work", ".")
    works.start("work", ".")
    try:
        await until(lambda: _holds(admin, {"paid": 16, "failed": 4}), "every order is paid or declined")
        assert await admin.fetchval("SELECT count(*) FROM avow.work") == 0
        resumed = "SELECT id FROM orders.orders WHERE state = 'paid' AND payment = 'resumed after 1'"
        declined = "SELECT id FROM orders.orders WHERE state = 'failed'"
        assert {*await admin.fetch(resumed)} == {*begun} - {*await admin.fetch(declined)}
        amount = await admin.fetchval("SELECT sum(amount) FROM orders.orders WHERE state = 'paid'")
    finally:
        await admin.close()
    ledger = outside.ledger()
    assert ledger.doubled() == []
    assert ledger.count("payment", "authorize") == 16
    assert sum(entry.amount for entry in ledger if entry.operation == "authorize") == amount


async def test_a_worker_ends_what_it_has_begun_before_it_ends(works: Works, outside: Provider) -> None:
    outside.behave("payment", "authorize", script=[Fault("hold", at="work")])
    worker, _ = works.start("work", ".")
    _, served = works.start("serve", ".", "--port", "0", "--no-work")
    await _place(works, served["url"], 1)
    await asyncio.to_thread(outside.wait_held)
    worker.send_signal(signal.SIGTERM)
    outside.release()
    assert await asyncio.to_thread(worker.wait, 30) == 0
    admin = await connect(works.made.admin_url)
    assert await _states(admin) == {"paid": 1}
    await admin.close()


async def _holds(admin: Connection, wanted: dict[str, int]) -> bool:
    return await _states(admin) == wanted
