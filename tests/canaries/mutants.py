"""Mutants: a reference backend with one line of it changed, as a module of its own."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import cast

from avow.model.system import System
from avow.prove.finding import Finding
from avow.prove.model import findings_of, searched
from avow.prove.phase import Bench, Budget

ROOT = Path(__file__).parents[2]
ACTS = 30_000
"""How many acts a search may try, whatever the machine does besides."""

_numbers = count(1)


def mutant(backend: str, old: str, new: str, folder: Path, named: str = "app") -> System:
    """The backend of that name in that file, in which the only place that reads `old` reads `new`."""
    source = (ROOT / backend).read_text("utf-8")
    assert source.count(old) == 1, f"{backend} has {source.count(old)} places that read {old!r}"
    return declared(source.replace(old, new), folder, named)


def declared(source: str, folder: Path, named: str = "app") -> System:
    """The system of that name that a text declares, from a file of its own, where its bodies are read."""
    name = f"mutant_{next(_numbers)}"
    file = folder / f"{name}.py"
    file.write_text(source, "utf-8")
    module = sys.modules[name] = ModuleType(name)
    exec(compile(source, str(file), "exec", dont_inherit=True), vars(module))  # noqa: S102
    return cast(System, vars(module)[named])


def explored(system: System, acts: int = ACTS) -> tuple[Finding, ...]:
    """What the model phase finds, with so many acts for all of its searches.

    Without the paths that it makes for the phases after it.
    """
    budget = counted(acts)
    return tuple(findings_of(system, searched(Bench(system, 0), budget), budget))


SCHEDULES = 60
"""How many a phase may try on the engine: in place of time, of which a busy machine needs more for each."""


def counted(acts: int) -> Budget:
    """A budget of so many acts, in place of time: a second for each."""
    tried = 0.0

    def clock() -> float:
        return tried

    def progress(_phase: str, now: int, _left: int | None) -> None:
        nonlocal tried
        tried = float(now)

    return Budget(float(acts), "model", progress, clock)
