"""A whole run, or some of its parts: measured on one stage, told as a table, kept as a file."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from avow.errors import EnvironmentFault
from avow.store.pool import connect
from bench.speed.limit import limit
from bench.speed.parts import PARTS
from bench.speed.report import RATIOS, table
from bench.speed.run import FULL, QUICK, Run, say
from bench.speed.stage import ROOT, stage
from bench.speed.surroundings import surroundings
from bench.speed.tokens import issuer
from bench.speed.wrk import find

RESULTS = ROOT / "bench" / "results"
COSTS = ("server_rss_mb", "wal_bytes_per_command", "python_us_per_command", "postgres_us_per_command")


async def measure(options: argparse.Namespace) -> None:
    """Measure the parts that were asked for, print the table, and keep the result of a whole run."""
    find()
    started = time.monotonic()
    chosen = options.parts or list(PARTS)
    pace = QUICK if options.quick else FULL
    async with stage() as made, limit(made) as lean:
        admin = await connect(made.admin_url())
        try:
            with issuer() as who:
                run = Run(made, who, admin, lean, pace, options.growth_max)
                measured = await _parts(run, chosen)
            result = {
                **await surroundings(admin, pace, made.cluster.version),
                "ratios": {name: _median(measured, name) for name in RATIOS},
                **{name: run.details.get("http_cost", {}).get(name) for name in COSTS},
                "details": {"seconds": round(time.monotonic() - started), "pairs": measured, **run.details},
            }
        finally:
            await admin.close()
    _keep(result, options.result, whole=not options.parts and not options.quick)
    print(table(result))


async def _parts(run: Run, chosen: list[str]) -> dict[str, dict[str, Any]]:
    """Each part's pairs. A part whose surroundings are missing is left out, and why is said."""
    measured = dict[str, dict[str, Any]]()
    for name in chosen:
        say(name)
        try:
            measured |= await PARTS[name](run)
        except EnvironmentFault as fault:
            say(f"left out: {fault.detail}")
            run.details.setdefault("left_out", {})[name] = fault.detail
    return measured


def _median(measured: dict[str, dict[str, Any]], name: str) -> float | None:
    """The ratio of a pair; None where it wasn't measured."""
    return measured[name]["ratio"]["median"] if name in measured else None


def _keep(result: dict[str, Any], target: Path | None, *, whole: bool) -> None:
    """Write both files where a run is whole, or where it was said."""
    file = target or (RESULTS / "speed.json" if whole else None)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=2) + "\n")
        file.with_suffix(".md").write_text(table(result) + "\n")
