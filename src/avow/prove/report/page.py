"""A run as one page for a browser, which needs nothing else."""

from __future__ import annotations

from avow.model.system import System
from avow.prove.coverage import Coverage
from avow.prove.run import Report


def as_page(system: System, report: Report, coverage: Coverage) -> str:
    """The whole report."""
    return ""
