"""What processes cost: CPU time and memory, as Linux accounts for them in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Status:
    """One process: its parent, its CPU seconds, and those of its children that have ended."""

    pid: int
    parent: int
    cpu_s: float
    cpu_of_ended_s: float
    rss_bytes: int


def status_of(pid: int, text: str) -> Status:
    """What /proc/PID/stat says; the name in it may hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    user, system, ended_user, ended_system = (int(ticks) for ticks in fields[11:15])
    return Status(
        pid=pid,
        parent=int(fields[1]),
        cpu_s=(user + system) / TICKS_PER_S,
        cpu_of_ended_s=(ended_user + ended_system) / TICKS_PER_S,
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


def _everything() -> Iterator[Status]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                yield status_of(int(folder.name), (folder / "stat").read_text())
            except OSError:
                continue  # it ended meanwhile


def tree(root: int) -> list[Status]:
    """A process and everything below it."""
    children = dict[int, list[Status]]()
    found = list[Status]()
    for status in _everything():
        children.setdefault(status.parent, []).append(status)
        if status.pid == root:
            found.append(status)
    for status in found:  # grows while it is walked
        found += children.get(status.pid, [])
    return found


def cpu_s(root: int) -> float:
    """CPU seconds that a process and everything below it have used, the ended ones included."""
    return sum(status.cpu_s + status.cpu_of_ended_s for status in tree(root))


def rss_mb(root: int) -> list[float]:
    """Resident memory of each process of a tree, the largest first."""
    return sorted((status.rss_bytes / 2**20 for status in tree(root)), reverse=True)
