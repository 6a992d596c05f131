"""What is sealed and exported may leave the database, and nothing else; what is left is checked as before."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow.engine.as_of import as_it_was
from avow.engine.explain import Operator, history, why
from avow.engine.log.export import export
from avow.engine.log.retention import carry_out, plan
from avow.engine.log.tiles import WIDTH, Folder, read
from avow.engine.verify import Verification, verify
from avow.errors import EnvironmentFault, ProblemError, UsageError
from avow.evidence.verifier import parse_key
from avow.store import driver
from avow.store.pool import Pool, connect
from avow.store.reads import Reads
from bench.corruptions.hand import UNLOCK, Joined
from tests.acting import Acting, acting
from tests.fix_database import Database, MakeDatabase
from tests.store.sealed import Log, sealing
from tests.store.theatre import theatre

HALL = theatre.entities["Hall"]
SALES = 140


@dataclass
class Old:
    """A log of two halls that is longer than a bundle, with what it was exported to."""

    log: Log
    people: Acting
    halls: list[UUID]
    folder: Path

    async def drop(self, folder: Path | None = None) -> int:
        """Drop what is sealed by now."""
        admin = await connect(self.log.made.admin_url)
        try:
            until = datetime.now(UTC) + timedelta(minutes=1)
            planned = await plan(admin, until, folder or self.folder, "olga", "older than ten years")
            return await carry_out(admin, planned, lambda *_: None)
        finally:
            await admin.close()

    async def verify(self) -> Verification:
        """What verification says."""
        return await verify(self.log.admin, theatre)


async def exported(made: Database, folder: Path) -> int:
    """Export into a folder; gives back how many entries it has."""
    admin = await connect(made.admin_url)
    try:
        return (await export(admin, folder, lambda *_: None))[0].size
    finally:
        await admin.close()


@pytest.fixture
async def old(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Old]:
    made = database(theatre)
    async with sealing(made, tmp_path) as log, acting(made) as people:
        given = {"name": "a", "places": 900}
        halls = [await people.do("Hall", "found", None, {**given, "name": n}, "ann") for n in ("a", "b")]
        for _ in range(SALES):
            for hall in halls:
                await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.seal()
        yield Old(log, people, halls, tmp_path / "export")


async def test_what_is_sealed_and_exported_goes_and_the_rest_is_checked_as_before(old: Old) -> None:
    size = await exported(old.log.made, old.folder)
    assert await old.drop() == size // WIDTH * WIDTH == WIDTH
    assert await old.drop() == 0
    left = 2 * (SALES + 1) - WIDTH
    count = await old.log.admin.fetchval("SELECT count(*) FROM avow.audit")
    assert count == left
    held = await old.verify()
    assert (held.findings, held.entries, held.complete) == ([], left, True)
    assert held.logs.dropped is not None
    assert (held.logs.dropped[0], held.logs.dropped[2]) == (WIDTH, str(old.folder))
    key = parse_key(old.log.signer.verifier.text)
    assert read(Folder(old.folder / "epoch-1"), key).size == size
    # Commands go on, and so does the export, in that folder alone.
    await old.people.do("Hall", "sell_one", old.halls[0], {}, "ann")
    await old.log.seal()
    assert await exported(old.log.made, old.folder) == size + 1
    with pytest.raises(UsageError, match="exported to"):
        await exported(old.log.made, old.folder.with_name("another"))
    assert (await old.verify()).findings == []


async def test_what_goes_is_on_the_disk_before(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would be nowhere, where the machine loses its power."""
    await exported(old.log.made, old.folder)
    written, flush = set[int](), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (written.add(os.fstat(file).st_ino), flush(file))[1])
    assert await old.drop() > 0
    wanted = [old.folder / "epoch-1", *(old.folder / "epoch-1").rglob("*")]
    assert {path.stat().st_ino for path in wanted} <= written


async def test_nothing_goes_that_is_not_in_the_export(old: Old) -> None:
    with pytest.raises(EnvironmentFault, match="doesn't hold what would be dropped"):
        await old.drop()
    await exported(old.log.made, old.folder)
    bundle = next((old.folder / "epoch-1" / "tile" / "entries").glob("*"))
    data = bundle.read_bytes()
    bundle.write_bytes(bytes([*data[:40], data[40] ^ 1, *data[41:]]))
    with pytest.raises(EnvironmentFault, match="doesn't hold what would be dropped"):
        await old.drop()
    with pytest.raises(driver.DatabaseError, match="append-only"):
        await old.log.admin.execute("DELETE FROM avow.audit")
    assert (await old.verify()).entries == 2 * (SALES + 1)


EDITS = {
    "what a kept entry has set": ("UPDATE theatre.halls SET sold = 7", "value-edited"),
    "the first entry that is left": (
        "DELETE FROM avow.audit WHERE entry IN (SELECT min(entry) FROM avow.audit GROUP BY id)",
        "entry-missing",
    ),
    "what it goes on from": ("UPDATE avow.stub SET version = version - 1", "entry-missing"),
    "that there was anything": ("DELETE FROM avow.dropped", "entry-removed"),
}


async def test_what_is_edited_afterwards_is_found(old: Old) -> None:
    await exported(old.log.made, old.folder)
    await old.drop()
    await old.log.admin.execute(UNLOCK)
    for name, (edit, code) in EDITS.items():
        async with Undone(old.log.admin):
            await old.log.admin.execute(edit)
            found = {finding.code for finding in (await verify(Joined(old.log.admin), theatre)).findings}
        assert code in found, name


async def test_what_is_gone_is_told_as_dropped(old: Old) -> None:
    """History and why say so to an operator, and nothing is told as of a time that can't be told."""
    first = await old.log.reads.newest_checkpoint(1)
    await exported(old.log.made, old.folder)
    await old.drop()
    pool = Pool(old.log.made.application_url)
    reads, who = Reads(theatre, pool), Operator("main")
    found = await history(theatre, reads, who, HALL, old.halls[0], 0, 50)
    assert found is not None
    assert found[0]["version"] > 1
    told = await why(theatre, reads, who, HALL, old.halls[0], "name", None)
    assert told is not None
    assert (told["because"], told["dropped"]["version"]) == (None, found[0]["version"] - 1)
    assert first is not None
    # What has changed since was set by an entry that is gone; what hasn't is as the row has it.
    await old.people.do("Hall", "rename", old.halls[0], {"name": "z"}, "ann")
    with pytest.raises(ProblemError, match="were dropped"):
        await as_it_was(theatre, await reads.as_of(first.at), who, HALL, old.halls[0])
    other = await as_it_was(theatre, await reads.as_of(first.at), who, HALL, old.halls[1])
    assert other is not None
    assert (other["name"], other["sold"]) == ("b", SALES)
    await pool.close()


async def test_what_was_dropped_from_before_a_time_or_after_it_is_not_told_as_of_it(
    database: MakeDatabase, tmp_path: Path
) -> None:
    """Of a time whose newest version is gone nothing can be told, whatever the row says today."""
    made = database(theatre)
    async with sealing(made, tmp_path) as log, acting(made) as people:
        hall = await people.do("Hall", "found", None, {"name": "a", "places": 900}, "ann")
        await log.seal()
        early = await log.reads.newest_checkpoint(1)
        for _ in range(WIDTH + 5):
            await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.seal()
        late = await log.reads.newest_checkpoint(1)
        assert early is not None
        assert late is not None
        await exported(made, tmp_path / "export")
        await Old(log, people, [hall], tmp_path / "export").drop()
        pool = Pool(made.application_url)
        reads, who = Reads(theatre, pool), Operator("main")
        with pytest.raises(ProblemError, match="were dropped"):
            await as_it_was(theatre, await reads.as_of(early.at), who, HALL, hall)
        then = await as_it_was(theatre, await reads.as_of(late.at), who, HALL, hall)
        assert then is not None
        assert (then["name"], then["sold"], then["version"]) == ("a", WIDTH + 5, WIDTH + 6)
        await pool.close()


class Undone:
    """Whatever is done on a connection meanwhile is undone."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.execute("BEGIN")

    async def __aexit__(self, *_: object) -> None:
        await self._connection.execute("ROLLBACK")


READ = """
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
FROM pg_stat_xact_user_tables WHERE relid = 'avow.dropped'::regclass
"""


async def test_what_was_dropped_before_costs_what_is_dropped_now_nothing(old: Old) -> None:
    """Of however many ranges one is looked at for each entry."""
    admin = old.log.admin
    await admin.execute(
        "INSERT INTO avow.dropped SELECT 1, n, n + 1, '/x', 'olga', 'old' FROM generate_series(0, 255) n"
    )
    await admin.execute("BEGIN")
    await admin.execute(
        "DELETE FROM avow.audit a USING avow.leaf l WHERE l.entry = a.entry AND l.index BETWEEN 200 AND 209"
    )
    assert await admin.fetchval(READ) <= 10
    with pytest.raises(driver.DatabaseError, match="append-only"):
        await admin.execute(
            "DELETE FROM avow.audit a USING avow.leaf l WHERE l.entry = a.entry AND l.index = 256"
        )
    await admin.execute("ROLLBACK")
