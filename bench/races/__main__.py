"""`bench/run races`: each race by each tool, in one run on one PostgreSQL. See docs/how-to/prove.md."""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from avow.store.trials import trial
from bench.races import declared
from bench.races.result import Result

RESULT: Final = Path("bench/results/races.json")
SECONDS_MAX: Final = 300.0


async def ours(url: str) -> list[Result]:
    """Each race in its declaration."""
    async with declared.prover(url) as on:
        return [await declared.run(on, race) for race in declared.RACES]


def theirs(url: str) -> list[Result]:
    """Each race by hand, in a process of its own: frontrun patches what it runs in."""
    frontrun = Path(sys.executable).with_name("frontrun")
    command = [str(frontrun), sys.executable, "-m", "bench.races.by_hand", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    if done.returncode != 0:
        raise SystemExit(f"frontrun could not be run:\n{done.stderr[-2_000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return [Result(**one) for one in found]


def table(results: Sequence[Result]) -> str:
    """All of it, for people."""
    lines = [
        f"{one.race:9} {one.tool:15} {_told(one.found, one.executions, one.seconds):30}"
        f" mended: {_told(one.mended_found, one.mended_executions, one.mended_seconds)}"
        + (f"  ({one.note})" if one.note else "")
        for one in results
    ]
    return "\n".join(lines)


def _told(found: bool, executions: int, seconds: float) -> str:
    return f"{'found' if found else 'not found'}, {executions} executions, {seconds:.2f} s"


def main() -> None:
    """Run everything, keep it, and show it."""
    url = trial.own_server().url()
    results = sorted([*asyncio.run(ours(url)), *theirs(url)], key=lambda one: one.race)
    document = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "results": [asdict(one) for one in results],
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
