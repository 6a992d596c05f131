"""On what was measured: the machine, the settings, the versions."""

from __future__ import annotations

import os
import platform
import timeit
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from avow.store.driver import Connection
from bench.revision import revision
from bench.speed.database import settings
from bench.speed.run import Pace

PACKAGES = (
    "avow",
    "asyncpg",
    "uvicorn",
    "uvloop",
    "fastapi",
    "sqlalchemy",
    "dbos",
    "restate-sdk",
    "hypercorn",
    "procrastinate",
)


async def surroundings(connection: Connection, pace: Pace, postgres: str) -> dict[str, Any]:
    """The members machine, settings and versions of a result."""
    return {
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
            "load_1_min": round(os.getloadavg()[0], 1),
            "interpreter_us": interpreter_us(),
        },
        "settings": {
            "rounds": pace.rounds,
            "round_s": pace.seconds,
            "server_processes": 1,
            "postgresql": await settings(connection),
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": postgres,
            "commit": revision(),
            **{name: _version(name) for name in PACKAGES},
        },
    }


def interpreter_us() -> float:
    """What this build of Python takes for a thousand additions: builds differ by nearly a factor of two."""
    took = timeit.repeat("for number in range(1000): total += number", "total = 0", repeat=9, number=100)
    return round(min(took) / 100 * 1e6, 1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
