"""Epochs of the log are begun one at a time, and sealed on whatever becomes of who has begun them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from avow.engine.log.epochs import begin_epoch
from avow.errors import EnvironmentFault
from avow.store.pool import connect
from bench.corruptions.hand import UNLOCK
from tests.fix_database import Database
from tests.store.sealed import sealing


async def test_of_two_epochs_that_are_begun_at_once_each_is_signed_with_the_key_that_is_kept(
    made: Database, tmp_path: Path
) -> None:
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        await log.seal()
        other = await connect(made.admin_url)
        try:
            begun = await asyncio.gather(
                begin_epoch(log.admin, "theatre", log.key, "one"),
                begin_epoch(other, "theatre", log.key, "another"),
            )
        finally:
            await other.close()
        assert sorted(each.epoch for each in begun) == [2, 3]
        await log.steps.take_over()
        await log.append(4)
        assert await log.seal() == 1


@pytest.mark.parametrize("older", [False, True])
async def test_an_epoch_that_was_begun_by_somebody_who_was_killed_is_sealed_on(
    made: Database, tmp_path: Path, older: bool
) -> None:
    """Its first checkpoint is committed, and beside the key lies the last one of the epoch before, or one
    before that."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        await log.seal()
        first = log.key.newest()
        await log.append(4, 2)
        await log.seal()
        last = log.key.newest()
        await begin_epoch(log.admin, "theatre", log.key, "the key is a year old")
        assert first is not None
        assert last is not None
        log.key.keep((first if older else last).decode())
        await log.steps.take_over()
        await log.append(6)
        assert await log.seal() == 1
        assert await log.demand_sound() == 2


async def test_an_epoch_that_does_not_go_on_from_what_was_signed_is_not_sealed(
    made: Database, tmp_path: Path
) -> None:
    """The database was restored to before the last checkpoint, and another epoch begun without it."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        await log.seal()
        old = await log.admin.fetchrow("SELECT size, stack FROM avow.log_state")
        await log.append(4, 2)
        await log.seal()
        last = log.key.newest()
        assert last is not None
        await log.admin.execute(UNLOCK)
        await log.admin.execute(
            "DELETE FROM avow.audit WHERE entry > 3; DELETE FROM avow.leaf WHERE index >= 3;"
            "DELETE FROM avow.checkpoint WHERE size > 3"
        )
        await log.admin.execute("UPDATE avow.log_state SET size = $1, stack = $2, reached = $1", *old)
        log.key.checkpoint.unlink()
        await begin_epoch(log.admin, "theatre", log.key, "restored")
        log.key.keep(last.decode())
        with pytest.raises(EnvironmentFault) as caught:
            await log.steps.take_over()
        assert caught.value.code == "log-foreign"
