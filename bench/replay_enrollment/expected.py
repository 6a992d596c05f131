"""How each registration must end, computed from the file alone. It must know nothing of what it judges."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from pathlib import Path


def end_states(path: Path, every: int) -> dict[tuple[str, str], str]:
    """The end state by (presentation, student) of every `every`-th row."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))[1::every]
    courses = Counter(f"{module}-{term}" for module, term, *_ in rows)
    ends: dict[tuple[str, str], str] = {}
    events: dict[str, list[tuple[int, str, int, int]]] = defaultdict(list)
    for module, term, student, came, went in rows:
        course = f"{module}-{term}"
        if not came or (went and int(went) < 0):
            ends[course, student] = "withdrawn" if went else "draft"
            continue
        events[course].append((max(int(came), 0), "arrives", int(came), int(student)))
        if went:
            events[course].append((int(went), "goes", int(came), int(student)))
    for course, happened in events.items():
        free = courses[course] * 95 // 100
        for _, what, _, student in sorted(happened):
            key = course, str(student)
            if what == "arrives":
                ends[key] = "approved" if free else "verified"
                free -= ends[key] == "approved"
            else:
                free += ends[key] == "approved"
                ends[key] = "left" if ends[key] == "approved" else "withdrawn"
    return ends
