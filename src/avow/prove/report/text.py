"""A run as text: the table, then what broke as a story, then what wasn't tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from avow.prove.finding import Finding, Line, Tally
from avow.prove.run import Report

WITHIN: Final = "held within these bounds"
MATTERS: Final = "->"


def as_text(report: Report, replays: Mapping[int, str]) -> str:
    """The whole report. replays: how to see a finding again, by its place among the findings."""
    parts = [_head(report), _table(report)]
    parts += [broke(finding, replays.get(at, "")) for at, finding in enumerate(report.findings)]
    parts += _not_tried(report)
    parts.append(verdict(report))
    return "\n\n".join(parts)


def verdict(report: Report) -> str:
    """The last line."""
    if report.held is None:
        return "no verdict: " + ("; ".join(report.unfit) or "nothing was tried")
    if not report.held:
        count = len(dict.fromkeys(finding.promise for finding in report.findings))
        unfit = f"; and the run can't be trusted: {'; '.join(report.unfit)}" if report.unfit else ""
        return f"{count} promise{'s' * (count != 1)} broke{unfit}"
    return f"{report.tried:,} attempts: all {WITHIN}"


def _head(report: Report) -> str:
    server = f"  PostgreSQL {report.postgresql}" if report.postgresql else ""
    about = f"prove {report.system}  boundary {report.fingerprint[:12]}{server}  seed {report.seed}"
    return "\n".join([f"{about}  {report.took_s:.0f} s", *moved(report)])


def moved(report: Report) -> list[str]:
    """What a change has moved, where that was asked for."""
    if report.moved is None:
        return []
    names = ", ".join(report.moved)
    return [
        f"attacked first, as it has moved: {names}" if names else "nothing has moved: all is attacked alike"
    ]


def _table(report: Report) -> str:
    rows: list[Sequence[str]] = [("FAULT", "TRIED", "HELD", "BROKE", "REACH")]
    rows += [_row(tally) for _, phase in report.phases for tally in phase.tallies if tally.tried]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(row[at].rjust(widths[at]) for at in (1, 2, 3)), row[4]])
        for row in rows
    )


def _row(tally: Tally) -> tuple[str, str, str, str, str]:
    return tally.fault, f"{tally.tried:,}", f"{tally.held:,}", f"{tally.broke:,}", tally.reach


def broke(finding: Finding, replay: str) -> str:
    """What broke, as a story. replay: how to see it again."""
    lines = [f"BROKE  {finding.promise}   {finding.sentence}", f"  {finding.place}"]
    lines += _told(finding.story)
    lines += [f"  why: {finding.why}"] if finding.why else []
    lines += [f"  again: {replay}"] if replay else []
    return "\n".join(lines)


def _told(story: Sequence[Line]) -> Iterator[str]:
    for number, line in enumerate(story, start=1):
        mark = MATTERS if line.matters else ""
        answer = f"   {line.answer}" if line.answer else ""
        yield f"  {mark:2} {number}. {line.who}: {line.what}{answer}"


def _not_tried(report: Report) -> list[str]:
    said = [f"  {phase}: {what}" for phase, what in not_tried(report)]
    return ["\n".join(["NOT TRIED", *said])] if said else []


def not_tried(report: Report) -> Iterator[tuple[str, str]]:
    """What was left out, by phase; a fault of which the budget allowed none is among it."""
    for phase, one in report.phases:
        yield from (
            (phase, f"{tally.fault}: the budget ended before it") for tally in one.tallies if not tally.tried
        )
        yield from ((phase, what) for what in one.not_tried)
