"""What processor time processes have used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def used_s() -> float:
    """Of this process and of those that it has ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


async def server_of(connection: Any) -> int:
    """The process that all processes of a server on this machine belong to."""
    backend: int = await connection.fetchval("SELECT pg_backend_pid()")
    return int(_fields(backend)[1])


def server_s(server: int) -> float:
    """Of a server and all of its processes, so far, and of those that have ended."""
    total = sum(map(int, _fields(server)[11:15]))
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = _fields(int(stat.parent.name))
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == server:
            total += sum(map(int, fields[11:13]))
    return total / TICKS_PER_S


def _fields(process: int) -> list[str]:
    """What the system says of a process behind its name: its state first, then its parent."""
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
