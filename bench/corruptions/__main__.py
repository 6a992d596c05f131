"""`python -m bench.corruptions`: 1,000 corruptions by hand, and as many clean runs. See
docs/how-to/verify.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from bench.corruptions.parts import looked_at, planted
from bench.corruptions.run import ROUND, SORTS
from bench.revision import revision

RESULT: Final = Path("bench/results/corruptions.json")
CORRUPTIONS_AT_ONCE: Final = 2 * len(SORTS)


def main() -> int:
    """0 when each corruption is found by name and nothing else is found; 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m bench.corruptions")
    parser.add_argument("--corruptions", type=int, default=1_000, help="how many are planted")
    parser.add_argument("--clean", type=int, default=1_000, help="how often a world in motion is verified")
    parser.add_argument("--seed", type=int, default=1, help="where they are planted")
    parser.add_argument("--processes", type=int, default=2, help="how many, each on its own server")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result is written")
    options = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        planting = [
            pool.submit(planted, number, options.seed + place)
            for place, number in enumerate(pieces(options.corruptions, CORRUPTIONS_AT_ONCE))
        ]
        planting_done = [one.result() for one in _told("corruptions", planting)]
        looking = [pool.submit(looked_at, number) for number in pieces(options.clean, ROUND)]
        alarms = [alarm for one in _told("clean runs", looking) for alarm in one.result()]
    total = sum((one.planted for one in planting_done), Counter[str]())
    missed = [line for one in planting_done for line in one.missed]
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "revision": revision(),
        "python": platform.python_version(), "cores": os.cpu_count(), "processes": options.processes,
        "seconds": round(time.monotonic() - started, 1), "corruptions": total.total(), "sorts": len(total),
        "found": total.total() - len(missed), "missed": missed, "clean": options.clean, "alarms": alarms,
        "planted": dict(sorted(total.items())),
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{document['found']:,} of {total.total():,} corruptions of {len(total)} sorts were found by name")
    print(f"{len(alarms):,} false alarms in {options.clean:,} runs under load and kills")
    print(*missed, *alarms, sep="\n")
    return 1 if missed or alarms else 0


def pieces(total: int, most: int) -> Iterator[int]:
    """A number as a sum of numbers that aren't larger than the most."""
    while total > 0:
        yield min(total, most)
        total -= most


def _told(what: str, work: list[Future[Any]]) -> Iterator[Future[Any]]:
    for done, one in enumerate(work, 1):
        one.result()
        print(f"{what}: {done} of {len(work)} parts", file=sys.stderr)
        yield one


if __name__ == "__main__":
    sys.exit(main())
