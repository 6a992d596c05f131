"""`python -m bench.corruptions`: 1,000 corruptions by hand, and as many clean runs. See
docs/how-to/verify.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from avow.testing.databases import own_databases
from bench.corruptions.run import clean, corrupt
from examples.enrollment.system import app


def main() -> int:
    """0 when each corruption is found by name and nothing else is found; 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m bench.corruptions")
    parser.add_argument("--corruptions", type=int, default=1_000, help="how many are planted")
    parser.add_argument("--clean", type=int, default=1_000, help="how often a world in motion is verified")
    parser.add_argument("--seed", type=int, default=1, help="where they are planted")
    options = parser.parse_args()
    databases = own_databases()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tally = asyncio.run(
            corrupt(databases.make(app), place, options.corruptions, options.seed, _say("planted"))
        )
        found = tally.total - len(tally.missed)
        print(f"{found:,} of {tally.total:,} corruptions of {len(tally.planted)} sorts were found by name")
        print(*tally.missed, sep="\n")
        (place / "clean").mkdir()
        alarms = asyncio.run(clean(databases.make(app), place / "clean", options.clean, _say("clean runs")))
        print(f"{len(alarms):,} false alarms in {options.clean:,} runs under load and kills")
        print(*alarms, sep="\n")
    return 1 if tally.missed or alarms else 0


def _say(what: str) -> Callable[[int], None]:
    def say(done: int) -> None:
        if done % 100 == 0:
            print(f"{done:,} {what}", file=sys.stderr)

    return say


if __name__ == "__main__":
    sys.exit(main())
