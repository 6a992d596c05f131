"""What one process does of it, on a server and in worlds of its own."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from avow.testing.databases import own_databases
from bench.corruptions.run import Tally, clean, corrupt
from examples.enrollment.system import app


def planted(number: int, seed: int) -> Tally:
    """So many corruptions, in a world of their own."""
    databases = own_databases()
    made = databases.make(app)
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(corrupt(made, Path(folder), number, seed, _silent))
    databases.drop(made)
    return tally


def looked_at(runs: int) -> list[str]:
    """The false alarms of so many clean runs, in a world of their own."""
    databases = own_databases()
    made = databases.make(app)
    with tempfile.TemporaryDirectory() as folder:
        alarms = asyncio.run(clean(made, Path(folder), runs, _silent))
    databases.drop(made)
    return alarms


def _silent(_: int) -> None:
    """The parts are told, not each of what they consist of."""
