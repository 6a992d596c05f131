"""What could be known at a time is what its newest checkpoint covers, and the same whenever it is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow.engine.as_of import as_it_was, page_of_then
from avow.engine.explain import Operator, View, history, why
from avow.evidence.provenance import rebuild
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.log import reads as log_reads
from avow.store.pool import Pool, connect
from avow.store.reads import Listing, Reads
from tests.acting import acting
from tests.fix_database import Database, MakeDatabase
from tests.store.sealed import sealing
from tests.store.test_canonical_columns import EDGES, LATE, PLAIN
from tests.store.test_canonical_columns import app as samples
from tests.store.theatre import theatre

WHO = Operator("main")
ANN = Actor(Subject("ann"), "main", frozenset(), "key:ann")
HALL = theatre.entities["Hall"]


async def told(reads: Reads, at: datetime, hall: UUID) -> tuple[Any, Any, Any]:
    """A record, its history's length, and why it is so, as of a time."""
    then = await reads.as_of(at)
    found = await history(theatre, then, WHO, HALL, hall, 0, 50)
    reason = await why(theatre, then, WHO, HALL, hall, "sold", None)
    because = None if reason is None or reason["because"] is None else reason["because"]["version"]
    return await as_it_was(theatre, then, WHO, HALL, hall), len(found or ()), because


async def test_a_record_is_told_as_the_newest_checkpoint_of_that_time_has_it(
    made: Database, tmp_path: Path
) -> None:
    """An entry that was committed and not sealed by then couldn't be known, and isn't told later either."""
    async with sealing(made, tmp_path) as log, acting(made) as people:
        before = datetime.now(UTC) - timedelta(hours=1)
        hall = await people.do("Hall", "found", None, {"name": "a", "places": 9}, "ann")
        await log.seal()
        await people.do("Hall", "sell_one", hall, {}, "ann")
        first = await log.reads.newest_checkpoint(1)
        assert first is not None
        pool = Pool(made.application_url)
        reads = Reads(theatre, pool)
        asked = [await told(reads, first.at, hall)]
        await log.seal()
        await people.do("Hall", "sell_one", hall, {}, "ann")
        asked.append(await told(reads, first.at, hall))
        await log.seal()
        asked.append(await told(reads, first.at, hall))
        assert asked == [asked[0]] * 3
        record, entries, because = asked[0]
        assert (record["version"], record["sold"], entries, because) == (1, 0, 1, 1)
        assert await told(reads, before, hall) == (None, 0, None)
        record, entries, because = await told(reads, datetime.now(UTC), hall)
        assert (record["version"], record["sold"], entries, because) == (3, 2, 3, 3)
        await pool.close()


async def test_each_type_is_told_from_the_row_as_its_entries_have_it(
    database: MakeDatabase, tmp_path: Path
) -> None:
    made, sample = database(samples), samples.entities["Sample"]
    async with sealing(made, tmp_path) as log, acting(made) as act:
        records = [await act.do("Sample", "put", None, given, "ana") for given in (PLAIN, EDGES, LATE)]
        await log.seal()
        first = await log.reads.newest_checkpoint(1)
        assert first is not None
        await act.do("Sample", "change", records[1], {"nothing": "something"}, "ana")
        await act.do("Sample", "end", records[2], {}, "ana")
        pool = Pool(made.application_url)
        reads = await Reads(samples, pool).as_of(first.at)
        for record in records:
            view = View(samples, reads, WHO)
            known = rebuild(await view.all_entries(("Sample", record)), 1)
            entries = await view.filled({name: known.value(name)["value"] for name in sample.fields})
            told = await as_it_was(samples, reads, WHO, sample, record)
            assert told == {"id": str(record), "version": 1, "state": "here", **entries}
        await pool.close()


LONG = """
INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
SELECT a.tenant, a.kind, a.id, n, h.eader, sha256('\\x00'::bytea || h.eader)
FROM (SELECT * FROM avow.audit WHERE id = $1 AND version = 2) a, generate_series($2::bigint, $3::bigint) n,
LATERAL (SELECT convert_to(replace(replace(convert_from(a.header, 'UTF8'),
    '"ver":2}', '"ver":' || n || '}'), '"sold":1}', '"sold":' || n - 1 || '}'), 'UTF8')) h (eader)
ORDER BY n
"""
"""Sales of a hall, as entries: as if that many commands had been given."""
SINCE = 3


async def buffers(made: Database, folder: Path, versions: int) -> dict[str, int]:
    """How many pages each question as of a time reads, of a record with so many versions, few since."""
    async with sealing(made, folder) as log, acting(made) as people:
        hall = await people.do("Hall", "found", None, {"name": "a", "places": 10**6}, "ann")
        await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.admin.execute(LONG, hall, 3, versions - SINCE)
        await log.seal()
        first = await log.reads.newest_checkpoint(1)
        assert first is not None
        await log.admin.execute(LONG, hall, versions - SINCE + 1, versions)
        await log.admin.execute(f"UPDATE theatre.halls SET version = {versions}, sold = {versions - 1}")
        await log.seal()
        await log.admin.execute("VACUUM ANALYZE")
        counting = Counting(made.application_url)
        reads = await Reads(theatre, counting).as_of(first.at)
        read = dict[str, int]()
        then = await as_it_was(theatre, reads, WHO, HALL, hall)
        read["get"] = counting.taken()
        reason = await why(theatre, reads, WHO, HALL, hall, "sold", None)
        read["why"] = counting.taken()
        found = await history(theatre, reads, WHO, HALL, hall, versions - 50, 50)
        read["history"] = counting.taken()
        page, after = await page_of_then(reads, HALL, ANN, Listing({"name": "b"}, None, None, 50))
        read["list"] = counting.taken()
        assert ([record.id for record in page.records], after) == ([hall], None)
        await counting.close()
        assert then is not None
        assert reason is not None
        assert found is not None
        last = versions - SINCE
        assert (then["version"], then["sold"], then["name"]) == (last, last - 1, "a")
        assert (reason["value"], reason["because"]["version"]) == (last - 1, last)
        assert [item["version"] for item in found] == [*range(versions - 49, last + 1)]
        return read


class Counting(Pool):
    """A pool that counts the pages which its statements read."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 1)
        self._read = 0

    @asynccontextmanager
    async def borrow(self) -> AsyncGenerator[Connection]:
        async with super().borrow() as connection:
            yield _Explained(connection, self._add)

    def _add(self, pages: int) -> None:
        self._read += pages

    def taken(self) -> int:
        """How many since it was asked last."""
        read, self._read = self._read, 0
        return read


class _Explained:
    """A connection that has each statement explained before it is executed."""

    def __init__(self, connection: Connection, add: Callable[[int], None]) -> None:
        self._connection, self._add = connection, add

    def __getattr__(self, name: str) -> Any:
        async def call(sql: str, *parameters: Any) -> Any:
            explained = await self._connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}", *parameters
            )
            plan = json.loads(explained)[0]["Plan"]
            self._add(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
            return await getattr(self._connection, name)(sql, *parameters)

        return call


async def test_what_is_asked_as_of_a_time_costs_what_came_since_and_not_the_whole_history(
    database: MakeDatabase, tmp_path: Path
) -> None:
    """Nine times the history costs a deeper index and a few more halvings."""
    read = list[dict[str, int]]()
    for versions in (1_100, 10_000):
        (tmp_path / str(versions)).mkdir()
        read.append(await buffers(database(theatre), tmp_path / str(versions), versions))
    for question, pages in read[1].items():
        assert pages < 2 * read[0][question], (question, read)
        assert pages < 1_000, (question, read)


async def test_a_list_with_filters_looks_at_what_fits_and_at_what_has_changed_since(
    made: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at everything, page by page, where more has changed than anybody would look through."""
    async with sealing(made, tmp_path) as log, acting(made) as people:
        halls = [await people.do("Hall", "found", None, {"name": name}, "ann") for name in "abbbbbb"]
        await log.seal()
        first = await log.reads.newest_checkpoint(1)
        assert first is not None
        await people.do("Hall", "rename", halls[0], {"name": "z"}, "ann")
        await log.seal()
        await people.do("Hall", "sell_one", halls[1], {}, "ann")  # not sealed, and so not known either
        late = await people.do("Hall", "found", None, {"name": "a"}, "ann")
        pool = Pool(made.application_url)
        reads = await Reads(theatre, pool).as_of(first.at)

        async def pages(limit: int) -> list[list[UUID]]:
            told, after = list[list[UUID]](), None
            while True:
                listing = Listing({"name": "a"}, None, after, limit)
                page, after = await page_of_then(reads, HALL, ANN, listing)
                told.append([record.id for record in page.records])
                if after is None:
                    return told

        assert await pages(50) == [[halls[0], halls[1], late]]
        for limit in (1, 2, 3):
            assert [*chain.from_iterable(await pages(limit))] == [halls[0], halls[1], late]
        monkeypatch.setattr(log_reads, "CHANGES_MAX", 0)
        assert await pages(50) == [[*halls, late]]
        await pool.close()


async def test_no_two_checkpoints_have_one_time(made: Database, tmp_path: Path) -> None:
    """Even where the clock stands still or goes back: else one time would have two answers."""
    async with sealing(made, tmp_path) as log:
        admin = await connect(made.admin_url)
        await admin.execute("INSERT INTO avow.clock (fixed) VALUES ('2026-01-01T00:00:00Z')")
        for version in (1, 2):
            await log.append(version)
            await log.seal()
        await admin.execute("UPDATE avow.clock SET fixed = '2025-01-01T00:00:00Z'")
        await log.append(3)
        await log.seal()
        times = [row[0] for row in await admin.fetch("SELECT at FROM avow.checkpoint ORDER BY size")]
        assert times == sorted(set(times))
        assert len(times) == 3
        await admin.close()
