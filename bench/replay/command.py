"""A replay as a command: its options, its exit code, and where its result is written."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from avow.errors import AvowError
from bench.replay.report import Run, sentence
from bench.replay.root import ROOT

EVERY_ROW = 1
KILLS = 3
RESULTS = ROOT / "bench" / "results"


def main(
    name: str, data: Path, run: Callable[[Path, int, int], Run], faults: Sequence[str], kills: int = KILLS
) -> int:
    """0 when everything adds up, 1 when something doesn't, 3 where the data or the database is missing.

    run: takes the file, every how manyeth case is sent, and how often processes are killed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--every", type=int, default=EVERY_ROW, help="send every N-th case only")
    parser.add_argument("--kills", type=int, default=kills, help="how often processes are killed")
    parser.add_argument("--result", type=Path, default=None, help=f"where to write; all cases: {name}.json")
    options = parser.parse_args()
    if not data.is_file():
        print(f"{data} is missing: set AVOW_DATA to the folder of real inputs", file=sys.stderr)
        return 3
    target = options.result or (RESULTS / f"{name}.json" if options.every == EVERY_ROW else None)
    return carry_out(lambda: run(data, options.every, options.kills), target, faults)


def carry_out(run: Callable[[], Run], target: Path | None, faults: Sequence[str]) -> int:
    """Run it, write its result to `target` and its sentence to people; the exit code, as of `main`."""
    signal.signal(signal.SIGTERM, _end)
    try:
        done = run()
    except AvowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(done.result, indent=2) + "\n")
    print(sentence(done, faults))
    return 0 if done.holds else 1


def _end(number: int, _: object) -> NoReturn:
    """Leave no process behind that was started here."""
    sys.exit(128 + number)
