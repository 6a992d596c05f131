"""`python -m bench.sealing`: what sealing costs the commands, in pairs, and how soon an entry is sealed.
See docs/how-to/verify.md.

The bars are: less than 5 % of throughput; at 2,000 commands a second sealed within 250 ms (p99), and within a
second beside a write transaction that is held open for 60 s; 20,000 leaves a second on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from avow.store.server import cluster as clusters
from avow.testing.databases import Database, Databases
from bench.revision import revision
from bench.sealing.measure import behind, lag
from bench.sealing.pairs import SETTINGS, pairs, summary
from bench.speed.system import app

RESULT: Final = Path("bench/results/sealing.json")


def main() -> int:
    """0; what was found is printed and kept, and judged by who reads it."""
    parser = argparse.ArgumentParser(prog="python -m bench.sealing")
    parser.add_argument("--pairs", type=int, default=8, help="how many pairs of rounds")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each round is")
    parser.add_argument("--clients", type=int, default=64, help="how many commands are under way at once")
    parser.add_argument("--rate", type=float, default=2_000.0, help="commands a second for the lag")
    parser.add_argument("--lag-seconds", type=float, default=20.0, help="how long the lag is looked at")
    parser.add_argument(
        "--held-seconds", type=float, default=60.0, help="the same beside an open transaction"
    )
    parser.add_argument(
        "--behind", type=int, default=200_000, help="entries of a log that is behind; 0: none"
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with _server(SETTINGS) as databases:
            found = asyncio.run(_paired(databases, Path(folder), options))
        with _server({}) as databases:
            found |= asyncio.run(_measured(databases, Path(folder), options))
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "revision": revision(),
        "python": platform.python_version(), "cores": os.cpu_count(), "clients": options.clients, **found,
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({name: value for name, value in document.items() if name != "pairs"}, indent=1))
    return 0


async def _paired(databases: Databases, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    place = folder / "pairs"
    place.mkdir()
    sealed, plain = databases.make(app), databases.make(app)
    found = await pairs(sealed, plain, place, options.pairs, options.seconds, options.clients)
    return {"ratio_of_sealed_to_plain": summary(found), "pairs": found}


async def _measured(databases: Databases, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    held = databases.make(app)
    places = [folder / name for name in ("lag", "held", "behind")]
    for place in places:
        place.mkdir()
    told = dict[str, Any]()
    lagging = databases.make(app)
    told["lag"] = await lag(
        lagging, places[0], options.rate, options.lag_seconds, held=False, clients=options.clients
    )
    told["lag_beside_an_open_transaction"] = await lag(
        held, places[1], options.rate, options.held_seconds, held=True, clients=options.clients
    )
    _drop(databases, lagging, held)
    if options.behind:
        told["behind"] = await behind(databases.make(app), places[2], options.behind)
    return told


def _drop(databases: Databases, *made: Database) -> None:
    for one in made:
        databases.drop(one)


@contextmanager
def _server(settings: Mapping[str, str]) -> Generator[Databases]:
    """A server that keeps its promises: it flushes, as one in production does."""
    folder = Path(tempfile.gettempdir()) / f"avow-sealing-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o755)
    try:
        with clusters.start(folder / ".avow", settings=settings) as lease:
            yield Databases(lease.cluster)
    finally:
        clusters.destroy(folder / ".avow")
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
