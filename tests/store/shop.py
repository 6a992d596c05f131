"""A database of payments, with an engine and workers that are stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from avow.engine.execute import Engine, Reply, Request
from avow.engine.workers.worker import Worker
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACTOR = Actor(Subject("alice"), "main")


class Shop:
    """A database of payments, with an engine, and workers that are stepped by hand."""

    def __init__(self, system: System, url: str, admin: Connection, owners: Pool) -> None:
        self.system, self.url, self.admin, self.owners = system, url, admin, owners
        self.pool = Pool(url)
        self.engine = Engine(system, self.pool, lambda problem, command_id: b"{}")
        self.worker = self.another()

    def another(self) -> Worker:
        return Worker(self.system, self.engine, self.pool, self.url, _client_for)

    async def do(self, command: str, record: UUID | None = None, **given: Any) -> Reply:
        return await self.engine.execute(
            Request("Payment", command, record, given, ACTOR, str(uuid4()), b"", "r")
        )

    async def capturing(self) -> UUID:
        record = (await self.do("authorize", amount=5)).record
        assert record is not None
        await self.do("start", record)
        return record

    async def row(self, record: UUID) -> Any:
        return await self.admin.fetchrow("SELECT * FROM payments.payments WHERE id = $1", record)

    async def work(self) -> list[Any]:
        return await self.admin.fetch("SELECT * FROM avow.work ORDER BY work")

    async def at(self, moment: datetime) -> None:
        await self.admin.execute("DELETE FROM avow.clock")
        await self.admin.execute("INSERT INTO avow.clock (fixed) VALUES ($1)", moment)


def _client_for(effect: Any, function: Any, work: Any, key: str) -> Any:
    """Stands in for the HTTP client of one run of a function: it is the function that it was made for."""
    return function


MakeShop = Callable[..., Any]
