"""Running a replay of real input as its user does, and planting what its account must find."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from avow.store.server import cluster
from bench.corruptions.hand import UNLOCK
from examples.demo.declared import Declared

ROOT = Path(__file__).parents[2]
RUN_TIMEOUT_S = 600


def needs(data: Path) -> pytest.MarkDecorator:
    """For tests of real input, which isn't part of this project."""
    return pytest.mark.skipif(not data.is_file(), reason=f"{data} isn't there: set AVOW_DATA")


def replay(name: str, data: Path, result: Path, *options: str) -> dict[str, Any]:
    """The result of `python -m bench.NAME`, which must say that everything adds up."""
    said = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *options, "--result", str(result)],
        cwd=ROOT,
        env=os.environ | {"AVOW_DATA": str(data.parents[1])},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    found: dict[str, Any] = json.loads(result.read_text())
    return found


@contextmanager
def set_up(target: Path, home: Path) -> Generator[Declared]:
    """A backend on a database of its own, to be replayed to and looked at afterwards."""
    declared = Declared.set_up(target, home, lambda _: None)
    try:
        yield declared
    finally:
        declared.stop()
        cluster.destroy(home)


def plant(admin_url: str, statement: str) -> None:
    """Change by hand what no program may."""

    async def execute() -> None:
        connection: Any = await asyncpg.connect(admin_url)
        try:
            await connection.execute(UNLOCK)
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
