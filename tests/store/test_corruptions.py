"""One corruption of each sort is found by name, and a sound log raises no alarm."""

from __future__ import annotations

from pathlib import Path

from bench.corruptions.run import SORTS, clean, corrupt
from examples.enrollment.system import app
from tests.fix_database import MakeDatabase

CLEAN_RUNS = 6
SEED = 2


def silent(_: int) -> None:
    """Nobody looks at the progress of a test."""


async def test_a_corruption_of_each_sort_is_found_by_the_name_of_its_record(
    database: MakeDatabase, tmp_path: Path
) -> None:
    tally = await corrupt(database(app), tmp_path, len(SORTS), SEED, silent)
    assert tally.missed == []
    assert set(tally.planted) == set(SORTS)


async def test_a_sound_log_raises_no_alarm_while_it_grows_and_its_sealer_is_killed(
    database: MakeDatabase, tmp_path: Path
) -> None:
    assert await clean(database(app), tmp_path, CLEAN_RUNS, silent) == []
