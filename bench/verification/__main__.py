"""`python -m bench.verification`: how fast a log of 1,000,000 entries is verified, by how many processes.

The bar is 50,000 entries a second over 2 cores, in less than 200 MB a process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from avow.engine.log_key import LogKey
from avow.engine.outside_log import known_outside
from avow.engine.verify import Beside, verify
from avow.store.pool import connect
from avow.testing.databases import Database, own_databases
from bench.speed.system import app
from bench.verification.fill import fill

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """0 when everything holds; the figures as one line of JSON for each run."""
    parser = argparse.ArgumentParser(prog="python -m bench.verification")
    parser.add_argument("--entries", type=int, default=1_000_000, help="how many there are")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="how many share the work")
    options = parser.parse_args()
    made = own_databases().make(app)
    with tempfile.TemporaryDirectory() as folder:
        key = asyncio.run(fill(made, Path(folder), options.entries, _say))
        found = [asyncio.run(_measure(made, key, processes)) for processes in options.processes]
    return 1 if any(found) else 0


def _say(done: int) -> None:
    if done % 100_000 == 0:
        print(f"{done:,} entries made", file=sys.stderr)


async def _measure(made: Database, key: LogKey, processes: int) -> int:
    connection = await connect(made.admin_url)
    try:
        started, used, served = time.monotonic(), _used_s(), _postgres_s()
        result = await verify(
            connection, app, outside=known_outside(key, [], []), beside=Beside(made.admin_url, processes)
        )
        seconds = time.monotonic() - started
        shown = _figures(result.entries, seconds, _used_s() - used, _postgres_s() - served)
        print(json.dumps({"processes": processes, "found": result.found, **shown}), flush=True)
        return result.found
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


def _used_s() -> float:
    """Processor time of this process and of those that it has ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _postgres_s() -> float:
    """Processor time of all processes of PostgreSQL, so far, and of those that they have ended."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().rsplit(")", 1)
        except OSError:
            continue  # it has ended meanwhile
        if name.endswith("(postgres"):
            total += sum(map(int, fields.split()[11:15]))
    return total / TICKS_PER_S


if __name__ == "__main__":
    sys.exit(main())
