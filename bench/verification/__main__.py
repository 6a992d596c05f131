"""`python -m bench.verification`: how fast a log of 1,000,000 entries is verified, by how many processes.

The bar is 50,000 entries a second over 2 cores, in less than 200 MB a process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from avow.engine.log.key import LogKey
from avow.engine.log.outside import known_outside
from avow.engine.verify import Beside, verify
from avow.store.pool import connect
from avow.testing.databases import Database, own_databases
from bench.revision import revision
from bench.speed.system import app
from bench.verification.fill import fill
from bench.verification.processes import server_of, server_s, used_s

RESULT: Final = Path("bench/results/verification.json")


def main() -> int:
    """0 when everything holds; the figures as one line of JSON for each run."""
    parser = argparse.ArgumentParser(prog="python -m bench.verification")
    parser.add_argument("--entries", type=int, default=1_000_000, help="how many there are")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="how many share the work")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result is written")
    options = parser.parse_args()
    made = own_databases().make(app)
    with tempfile.TemporaryDirectory() as folder:
        key = asyncio.run(fill(made, Path(folder), options.entries, _say))
        found = [asyncio.run(_measure(made, key, processes)) for processes in options.processes]
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "revision": revision(),
        "python": platform.python_version(), "cores": os.cpu_count(), "runs": found,
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if any(run["found"] for run in found) else 0


def _say(done: int) -> None:
    if done % 100_000 == 0:
        print(f"{done:,} entries made", file=sys.stderr)


async def _measure(made: Database, key: LogKey, processes: int) -> dict[str, Any]:
    connection = await connect(made.admin_url)
    try:
        server = await server_of(connection)
        started, used, served = time.monotonic(), used_s(), server_s(server)
        result = await verify(
            connection, app, outside=known_outside(key, [], []), beside=Beside(made.admin_url, processes)
        )
        seconds = time.monotonic() - started
        shown = _figures(result.entries, seconds, used_s() - used, server_s(server) - served)
        run = {"processes": processes, "found": result.found, **shown}
        print(json.dumps(run), flush=True)
        return run
    finally:
        await connection.close()


def _figures(entries: int, seconds: float, python_s: float, postgres_s: float) -> dict[str, Any]:
    each = {
        who: resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    }
    return {
        "entries": entries,
        "entries_per_s": round(entries / seconds),
        "python_us_per_entry": round(1e6 * python_s / entries, 1),
        "postgres_us_per_entry": round(1e6 * postgres_s / entries, 1),
        "process_rss_mb_max": round(max(each.values()) / 1024),
    }


if __name__ == "__main__":
    sys.exit(main())
