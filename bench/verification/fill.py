"""A log of many entries that holds, made past the one door: what made the rows doesn't matter to
verification.

Payments with ten versions each, written by the engine's own writer, sealed by the engine's own sealer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from avow.engine.log.key import LogKey, log_key
from avow.engine.log.sealer import Steps
from avow.evidence.entry import Command, EntryWriter, Reference, Step
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.testing.databases import Database
from bench.speed.system import app

VERSIONS = 10
CHUNK_PAYMENTS = 5_000
"""Payments that live at the same time: their entries are numbered in turn."""
AMOUNT = 1_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
GENESIS = bytes(32)
ENTITY = app.entities["Payment"]
CLERK = Actor(Subject("clerk-1"), "main", frozenset({"clerk"}), "token:1")
COLUMNS = ["tenant", "kind", "id", "version", "header", "hash", "at"]
ROW_COLUMNS = ["tenant", "id", "state", "version", "head", "boundary", "changed_at", "amount", "captured"]


async def fill(made: Database, folder: Path, entries: int, say: Callable[[int], None]) -> LogKey:
    """Fill a fresh database with so many sealed entries; gives back the log's key, which is in `folder`."""
    key = log_key(None, folder, app.name)
    await load(made, entries, say)
    await _seal(made, key)
    return key


async def load(made: Database, entries: int, say: Callable[[int], None] = lambda _: None) -> None:
    """Fill it with entries that nobody has sealed yet."""
    admin = await connect(made.admin_url)
    try:
        payments = entries // VERSIONS
        for first in range(0, payments, CHUNK_PAYMENTS):
            last = min(first + CHUNK_PAYMENTS, payments)
            await _load(admin, [_Payment(number) for number in range(first, last)])
            say(last * VERSIONS)
        await admin.execute("VACUUM (ANALYZE)")
    finally:
        await admin.close()


async def _seal(made: Database, key: LogKey) -> None:
    served = await connect(made.application_url)
    try:
        steps = Steps(app.name, served, key)
        await steps.lead()
        await steps.take_over()
        while (sealed := await steps.step()) is not None and sealed.leaves:
            continue
    finally:
        await served.close()


class _Payment:
    """One payment on its way through its versions."""

    def __init__(self, number: int) -> None:
        self.id = UUID(int=(1_752_346_656_768 + number) << 80 | 7 << 76 | 1 << 63 | number * 2_654_435_761)
        self.head, self.version = GENESIS, 0
        self.at = START

    def entry(self) -> tuple[Any, ...]:
        """Its next entry, as a row of the audit log."""
        reads = [Reference("Payment", self.id, self.version)] if self.version else []
        self.at = START + timedelta(seconds=self.version)
        command = Command(UUID(int=self.id.int + self.version), CLERK, f"request-{self.id}", self.at, reads)
        entry = EntryWriter(app, command).write(self._step(), self.head)
        self.head, self.version = entry.hash, self.version + 1
        return ("main", "Payment", self.id, self.version, entry.header, self.head, self.at)

    def _step(self) -> Step:
        after = Reference("Payment", self.id, self.version + 1)
        if not self.version:
            given = {"amount": AMOUNT}
            changes = {"amount": AMOUNT, "captured": 0}
            return Step(after, ENTITY.transitions["authorize"], None, given, changes, None, None)
        captured = {"captured": self.version}
        return Step(after, ENTITY.transitions["capture"], "open", {"amount": 1}, captured, None, None)

    def row(self) -> tuple[Any, ...]:
        """Its live row."""
        return ("main", self.id, "open", self.version, self.head, app.fingerprint, self.at,
                AMOUNT, self.version - 1)  # fmt: skip


async def _load(admin: Connection, payments: list[_Payment]) -> None:
    copying: Any = admin
    await copying.copy_records_to_table(
        "audit", schema_name="avow", records=_entries(payments), columns=COLUMNS
    )
    rows = [payment.row() for payment in payments]
    await copying.copy_records_to_table("payments", schema_name=app.name, records=rows, columns=ROW_COLUMNS)


def _entries(payments: list[_Payment]) -> Iterator[tuple[Any, ...]]:
    for _ in range(VERSIONS):
        for payment in payments:
            yield payment.entry()
