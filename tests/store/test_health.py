"""What `avow doctor` asks a database about its log is so."""

from __future__ import annotations

from pathlib import Path

from avow.store import health
from avow.store.pool import connect
from tests.fix_database import Database
from tests.store.sealed import sealing


async def test_an_entry_that_is_committed_late_waits_for_its_leaf_as_any_other(
    made: Database, tmp_path: Path
) -> None:
    """Its number is one that the log has passed."""
    async with sealing(made, tmp_path) as log:
        late = await connect(made.admin_url)
        async with late.transaction():
            await log.append(1, on=late)
            await log.append(2, 2)
            assert await log.seal() == 2
            assert await health.log(log.admin) == (2, 0)
        found = await health.log(log.admin)
        assert found is not None
        assert found[1] > 0
        assert await log.seal() == 1
        assert await health.log(log.admin) == (3, 0)
        await late.close()


async def test_transaction_ids_are_counted_from_the_oldest_that_is_needed(
    made: Database, tmp_path: Path
) -> None:
    async with sealing(made, tmp_path) as log:
        before = await health.ids_used(log.admin)
        await log.append(1)
        assert before < await health.ids_used(log.admin) < 2**31
