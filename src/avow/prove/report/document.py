"""A run as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from avow.model.system import System
from avow.prove.finding import Finding, Tally
from avow.prove.report.text import not_tried
from avow.prove.run import Report
from avow.prove.schedule import schedule_json


def as_document(system: System, report: Report) -> dict[str, Any]:
    """The whole report, as plain data."""
    return {
        "system": report.system,
        "fingerprint": report.fingerprint,
        "postgresql": report.postgresql,
        "seed": report.seed,
        "budget_s": report.budget_s,
        "took_s": round(report.took_s, 3),
        "verdict": {True: "held", False: "broke", None: "none"}[report.held],
        "unfit": list(report.unfit),
        "moved": None if report.moved is None else list(report.moved),
        "tallies": [_tally(phase, t) for phase, one in report.phases for t in one.tallies],
        "findings": [finding_json(system, finding) for finding in report.findings],
        "not_tried": [{"phase": phase, "what": what} for phase, what in not_tried(report)],
    }


def _tally(phase: str, tally: Tally) -> dict[str, Any]:
    counts = {"tried": tally.tried, "held": tally.held, "broke": tally.broke}
    return {"phase": phase, "fault": tally.fault, **counts, "reach": tally.reach}


def finding_json(system: System, finding: Finding) -> dict[str, Any]:
    """One finding, as plain data."""
    return {
        "phase": finding.phase,
        "promise": finding.promise,
        "sentence": finding.sentence,
        "file": finding.place.file,
        "line": finding.place.line,
        "why": finding.why,
        "story": [asdict(line) for line in finding.story],
        "schedule": schedule_json(system, finding.schedule),
        "seed": finding.seed,
        "tape": list(finding.tape),
    }
