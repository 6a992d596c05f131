"""A notary in which deeds are drawn and persons forgotten, with its log, and what its receipts say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from avow.engine.execute import Engine, Reply, Request
from avow.engine.explain import Operator
from avow.engine.log.export import export
from avow.engine.log.key import Keys
from avow.engine.log.proving import Issued, Logs
from avow.engine.log.receipts import Asked, issue
from avow.engine.log.renewing import Held, renew
from avow.engine.log.retention import carry_out, plan
from avow.engine.privacy import FileKeyring
from avow.evidence.verifier import (
    Verdict,
    believing,
    parse_key,
    verify,
)
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool
from avow.store.reads import Reads
from tests.fix_database import Database
from tests.store.deeds import app
from tests.store.sealed import Log, sealing

DEED, DRAWN = app.entities["Deed"], "state = drawn"
GIVEN = {"seller": Subject("sam"), "buyer": Subject("bea"), "iban": "DE-1", "home": "Bath 1"}


@dataclass
class Notary:
    """Where deeds are drawn and persons forgotten, with the log of it."""

    log: Log
    engine: Engine
    pool: Pool

    async def attempt(self, command: str, record: UUID | None, **given: Any) -> Reply:
        kind, word = command.split(".")
        actor = Actor(Subject("ann"), "main", frozenset({"clerk", "officer"}), "key")
        return await self.engine.execute(
            Request(kind, word, record, given, actor, str(uuid4()), b"print", "request")
        )

    async def give(self, command: str, record: UUID | None = None, **given: Any) -> UUID:
        """A command that must be accepted; the id of its record."""
        reply = await self.attempt(command, record, **given)
        assert reply.status < 300, (command, reply.body)
        assert reply.record is not None
        return reply.record

    async def forget(self, who: str) -> UUID:
        """Have somebody forgotten; the record that says so."""
        person = await self.give("Person.meet", who=Subject(who))
        return await self.give("Person.forget", person)

    def logs(self, keys: Keys | None = None) -> Logs:
        """The logs, with the key of the newest, or another."""
        return Logs(self.pool.borrow, keys or self.log.key.keys)

    async def issue(self, deed: UUID, version: int | None = None, **more: Any) -> Issued:
        """A receipt of a deed."""
        asked = Asked(DEED, deed, DRAWN, version, more.get("wait_s", 0.0), more.get("current"))
        logs = more.get("logs") or self.logs()
        issued = await issue(app, Reads(app, self.pool), logs, Operator("main"), asked)
        assert issued is not None
        return issued

    async def renew(self, old: Issued | str, tenant: str = "main", **more: Any) -> Issued:
        """The same, anew."""
        text = old if isinstance(old, str) else old.text
        reads = Reads(app, self.pool)
        issued = await renew(app, reads, self.logs(), Operator(tenant), Held(text.encode(), **more))
        assert issued is not None
        return issued

    async def leaf(self, record: UUID, version: int) -> int:
        """The place of an entry in the log."""
        return await self.log.admin.fetchval(
            "SELECT index FROM avow.leaf WHERE id = $1 AND version = $2", record, version
        )


@asynccontextmanager
async def opened(made: Database, folder: Path) -> AsyncIterator[Notary]:
    """The notary on a database, with the keys in a folder."""
    pool = Pool(made.application_url)
    async with sealing(made, folder) as log:
        keyring = FileKeyring.made(folder / "keys")
        yield Notary(log, Engine(app, pool, lambda problem, _: problem.code.encode(), keyring=keyring), pool)
    await pool.close()


def read(issued: Issued) -> Verdict:
    """What a stranger reads in a receipt, who has the key of its log."""
    return verify(issued.text.encode(), believing([parse_key(issued.log)]))


def said(issued: Issued) -> list[tuple[int, tuple[str, ...]]]:
    """What the receipt itself says was erased."""
    erased = read(issued).erased
    return [] if erased is None else [(by.leaf, by.names) for by in erased.by]


def told(issued: Issued) -> list[tuple[Any, ...]]:
    """What is told beside it."""
    return [tuple(one.values()) for one in issued.document["erased"]]


async def drop(notary: Notary, folder: Path) -> int:
    """Export the log, and drop what may go of it."""
    await export(notary.log.admin, folder, lambda *_: None)
    until_now = datetime.now(UTC) + timedelta(minutes=1)
    planned = await plan(notary.log.admin, until_now, folder, "olga", "older than ten years")
    return await carry_out(notary.log.admin, planned, lambda *_: None)


async def entries_of(notary: Notary, record: UUID) -> list[int]:
    sql = "SELECT version FROM avow.audit WHERE id = $1 ORDER BY version"
    return [row[0] for row in await notary.log.admin.fetch(sql, record)]


@asynccontextmanager
async def lent(connection: Connection) -> AsyncIterator[Connection]:
    """A connection as a pool lends one."""
    yield connection
