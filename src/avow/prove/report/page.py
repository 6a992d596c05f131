"""A run as one page for a browser, which needs nothing else: no script, no picture, no font from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from itertools import groupby

from avow.model.entity import Entity
from avow.model.system import System
from avow.prove.coverage import Coverage
from avow.prove.finding import ALL, EXHAUSTED, Finding, Line, Point, Tally
from avow.prove.report.sequence import sequence_svg
from avow.prove.report.text import moved, not_tried, verdict
from avow.prove.run import Report


def as_page(system: System, report: Report, coverage: Coverage, replays: Mapping[int, str]) -> str:
    """The whole report as HTML. replays: how to see a finding again, by its place among the findings."""
    findings = (_finding(one, replays.get(at, "")) for at, one in enumerate(report.findings))
    points = [point for _, one in report.phases for point in one.points]
    entities = system.entities.values()
    parts = [
        _verdict(report),
        _figures(system, report, coverage),
        *_part("What broke", findings),
        *_part("What was tried", [_table(report)]),
        *_part("Not tried", [_not_tried(report)]),
        *_part("States and transitions", (_coverage(entity, coverage) for entity in entities)),
        *_part("Crash points", [_points(points)] if points else []),
    ]
    return _whole(f"prove {report.system}", "\n".join(parts))


@cache
def _style() -> str:
    return files("avow.prove.report").joinpath("page.css").read_text(encoding="utf-8")


def _whole(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _part(title: str, content: Iterable[str]) -> list[str]:
    """A heading and what stands below it; nothing where that is nothing."""
    held = [*content]
    return [f"<h2>{title}</h2>", *held] if held else []


def _verdict(report: Report) -> str:
    kind = {True: "held", False: "broke", None: "none"}[report.held]
    server = f" · PostgreSQL {escape(report.postgresql)}" if report.postgresql else ""
    took = f"{report.took_s:.0f} of {report.budget_s:.0f} s"
    return (
        f'<header class="verdict {kind}"><h1>prove {escape(report.system)}</h1>'
        f"<strong>{escape(verdict(report))}</strong>"
        f'<p class="meta">boundary <code>{report.fingerprint[:12]}</code>{server} · seed {report.seed} · '
        f"{took}{''.join(f'<br>{escape(said)}' for said in moved(report))}</p></header>"
    )


def _figures(system: System, report: Report, coverage: Coverage) -> str:
    states = sum(len(entity.states) for entity in system.entities.values())
    transitions = sum(len(entity.transitions) for entity in system.entities.values())
    points = sum(len(one.points) for _, one in report.phases)
    figures = [
        (f"{report.tried:,}", "attempts"),
        (f"{len(dict.fromkeys(one.promise for one in report.findings))}", "promises broke"),
        (f"{_among(coverage.states, system)} of {states}", "states reached"),
        (f"{_among(coverage.transitions, system)} of {transitions}", "transitions taken"),
        *([(f"{points}", "crash points")] if points else []),
    ]
    told = "".join(f"<div><b>{number}</b><span>{what}</span></div>" for number, what in figures)
    return f'<div class="figures">{told}</div>'


def _among(reached: Mapping[tuple[str, str], object], system: System) -> int:
    return sum(entity in system.entities for entity, _ in reached)


def _table(report: Report) -> str:
    head = "".join(f'<th class="number">{name}</th>' for name in ("tried", "held", "broke"))
    rows = "\n".join(
        f'<tr class="phase"><th colspan="5">{escape(phase)}</th></tr>{"".join(map(_row, tallies))}'
        for phase, one in report.phases
        if (tallies := [tally for tally in one.tallies if tally.tried])
    )
    return (
        f'<table class="tried"><thead><tr><th>fault</th>{head}<th>reach</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table>"
    )


def _row(tally: Tally) -> str:
    kind = ' class="broke"' if tally.broke else ""
    numbers = "".join(
        f'<td class="number" data-is="{name}">{count:,}</td>'
        for name, count in (("tried", tally.tried), ("held", tally.held), ("broke", tally.broke))
    )
    whole = " all" if tally.reach in (ALL, EXHAUSTED) else ""
    return (
        f"<tr{kind}><td>{escape(tally.fault)}</td>{numbers}"
        f'<td class="reach{whole}">{escape(tally.reach)}</td></tr>'
    )


def _finding(finding: Finding, replay: str) -> str:
    lines = "\n".join(map(_line, finding.story))
    again = f'<p class="again">Again: <code>{escape(replay)}</code></p>' if replay else ""
    why = f'<p class="why">{escape(finding.why)}</p>' if finding.why else ""
    return (
        f'<article class="finding"><h3>{escape(finding.sentence)}</h3>'
        f'<p class="promise">{escape(finding.promise)} · <code>{escape(str(finding.place))}</code> · '
        f"found by {escape(finding.phase)}</p>{why}\n"
        f'<div class="scroll" tabindex="0">{sequence_svg(finding.story)}</div>\n<ol>{lines}</ol>\n'
        f"{again}</article>"
    )


def _line(line: Line) -> str:
    told = f"{escape(line.who)}: {escape(line.what)}"
    told += f" <em>{escape(line.answer)}</em>" if line.answer else ""
    return f'<li class="matters">{told}</li>' if line.matters else f"<li>{told}</li>"


def _coverage(entity: Entity, coverage: Coverage) -> str:
    """What was reached of one entity, and after how many acts."""
    states = [(name, coverage.states.get((entity.name, name))) for name in entity.states]
    steps = [(name, coverage.transitions.get((entity.name, name))) for name in entity.transitions]
    refused = sum(len(all_) for (name, _), all_ in coverage.refused.items() if name == entity.name)
    missed = sum(path is None for _, path in (*states, *steps))
    said = f'<span class="missed">{missed} not reached</span>' if missed else ""
    return (
        f"<details open><summary>{escape(entity.name)}: {len(states)} states, "
        f"{len(steps)} transitions, {refused} refusals{said}</summary>"
        f'<p class="key">states, and after how many acts</p>{_reached(states)}'
        f'<p class="key">transitions</p>{_reached(steps)}</details>'
    )


def _reached(found: Sequence[tuple[str, tuple[object, ...] | None]]) -> str:
    return '<ul class="chips">' + "".join(
        f'<li class="missed">{escape(name)} <small>not reached</small></li>' if path is None
        else f"<li>{escape(name)} <small>{len(path)}</small></li>"
        for name, path in found
    ) + "</ul>"  # fmt: skip


def _points(points: Sequence[Point]) -> str:
    """Each command and its statements, with how many processes ended there."""
    rows = "\n".join(
        f"<tr><td>{escape(where)}</td><td><ul class='chips'>{''.join(map(_point, all_))}</ul></td></tr>"
        for where, all_ in groupby(sorted(points, key=lambda p: (p.where, p.at)), key=lambda p: p.where)
    )
    return (
        f"<table><thead><tr><th>command</th><th>its statements, and how many processes ended at each</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def _point(point: Point) -> str:
    broke = f", {point.broke} broke" if point.broke else ""
    kind = ' class="broke"' if point.broke else ""
    return f"<li{kind}>{escape(point.statement or '?')} <small>{point.tried}{broke}</small></li>"


def _not_tried(report: Report) -> str:
    return f"<dl>{''.join(_by_phase(not_tried(report)))}</dl>"


def _by_phase(said: Iterable[tuple[str, str]]) -> Iterator[str]:
    for phase, all_ in groupby(said, key=lambda one: one[0]):
        yield f"<dt>{escape(phase)}</dt><dd>{''.join(f'<p>{escape(what)}</p>' for _, what in all_)}</dd>"
