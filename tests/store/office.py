"""A database of invoices with subscribers, and a worker that is stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from avow.engine.execute import Engine, Request
from avow.engine.workers.publishing import Telling
from avow.engine.workers.worker import Worker
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool
from avow.store.queue import Queue
from avow.store.subscriptions import Subscriptions
from tests.fix_database import Database
from tests.receiver import Receiver

ROOT = b"r" * 32
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ALL = ("Invoice.send", "Invoice.correct", "Invoice.pay")


class Office:
    """A database of invoices, with subscribers, and a worker that is stepped by hand."""

    def __init__(
        self, system: System, made: Database, admin: Connection, receiver: Receiver, private: bool
    ) -> None:
        self.made, self.admin, self.receiver = made, admin, receiver
        self.url, url = made.admin_url, made.application_url
        self.pool = Pool(url)
        self.engine = Engine(system, self.pool, lambda problem, command_id: b"{}")
        self.queue = Queue(system, self.pool)
        self.subscriptions = Subscriptions(self.pool)
        self.worker = Worker(system, self.engine, self.pool, url, _no_http, Telling(ROOT, private))

    async def subscribe(self, *types: str, tenant: str = "main") -> UUID:
        which = uuid4()
        await self.subscriptions.put(tenant, which, "ann", self.receiver.url, types or ALL)
        return which

    async def do(self, command: str, record: UUID | None = None, tenant: str = "main", **given: Any) -> UUID:
        actor = Actor(Subject("alice"), tenant)
        request = Request("Invoice", command, record, given, actor, str(uuid4()), b"", "r")
        reply = await self.engine.execute(request)
        assert reply.record is not None, reply
        return reply.record

    async def sent(self, tenant: str = "main", **given: Any) -> UUID:
        return await self.do("send", await self.do("write", tenant=tenant, **given), tenant)

    async def replay(self, which: UUID, since: datetime) -> None:
        assert await self.subscriptions.replay("main", which, uuid4(), since) is not None

    def another_pool(self) -> Pool:
        return Pool(self.made.application_url)

    async def at(self, moment: datetime) -> None:
        """Stop the database's clock at a time."""
        await self.admin.execute("DELETE FROM avow.clock")
        await self.admin.execute("INSERT INTO avow.clock (fixed) VALUES ($1)", moment)

    async def work(self) -> list[Any]:
        return await self.admin.fetch("SELECT * FROM avow.work ORDER BY work")

    async def attempts(self) -> list[tuple[str, str]]:
        rows = await self.admin.fetch("SELECT outcome, detail FROM avow.attempt ORDER BY attempt")
        return [tuple(row) for row in rows]

    async def settle(self) -> None:
        """Let the worker do what is to be done, without pauses, until nothing is."""
        for _ in range(50):
            await self.admin.execute(
                "UPDATE avow.work SET ready_at = avow.now() WHERE stuck IS NULL AND NOT taken"
            )
            if not await self.worker.step():
                return
        raise AssertionError("it never ends")

    async def another_takes(self) -> int:
        """How much another worker finds to do."""
        taken = await self.queue.take(await self.subscriptions.deliverable(), 15.0, 100)
        return len(taken)

    def of(self, record: UUID) -> list[int]:
        """The versions of a record that were told, as they came."""
        return [e["data"]["version"] for e in self.receiver.events if e["subject"] == str(record)]

    def told(self) -> list[tuple[str, int]]:
        """Of every delivery that came the transition and the version."""
        return [(e["type"].rpartition(".")[2], e["data"]["version"]) for e in self.receiver.events]


def _no_http(*_: Any) -> None:
    """No call is made here."""


MakeOffice = Callable[..., Any]
