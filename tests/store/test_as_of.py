"""What could be known at a time is what its newest checkpoint covers, and the same whenever it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from avow.engine.explain import Operator, as_it_was, history, why
from avow.store.pool import Pool, connect
from avow.store.reads import Reads
from tests.acting import acting
from tests.fix_database import Database
from tests.store.sealed import sealing
from tests.store.theatre import theatre

WHO = Operator("main")
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
