"""A run as one page for a browser, which needs nothing else: no script, no picture, no font from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from avow.model.entity import Entity
from avow.model.system import System
from avow.prove.coverage import Coverage
from avow.prove.finding import Finding, Tally
from avow.prove.report.sequence import sequence_svg
from avow.prove.report.text import not_tried, verdict
from avow.prove.run import Report

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #1b1f24; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; }
tr { border-bottom: 1px solid #d8dee4; } td.number, th.number { text-align: right; }
.held { color: #116329; } .broke, .missed { color: #a40e26; } .none { color: #7d4e00; }
code { background: #f3f5f7; padding: 0 .2rem; } .scroll { overflow-x: auto; }
.sequence text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #1b1f24; }
.sequence text.name { font-weight: 600; } .sequence text.matters { font-weight: 600; fill: #a40e26; }
.sequence text.answer { fill: #59636e; font-style: italic; }
.sequence line { stroke: #59636e; } .sequence line.life { stroke: #b7bfc8; stroke-dasharray: 3 4; }
.sequence line.matters { stroke: #a40e26; stroke-width: 2; }
.sequence path, .sequence circle { fill: #59636e; } .sequence .matters { fill: #a40e26; }
@media (prefers-color-scheme: dark) {
  body { background: #14171b; color: #e6e9ec; } code { background: #23282e; } tr { border-color: #363d45; }
  .sequence text { fill: #e6e9ec; } .held { color: #57ab5a; } .broke, .missed { color: #f47067; }
}
"""


def as_page(system: System, report: Report, coverage: Coverage) -> str:
    """The whole report as HTML."""
    kind = {True: "held", False: "broke", None: "none"}[report.held]
    server = f", PostgreSQL {escape(report.postgresql)}" if report.postgresql else ""
    took = f"{report.took_s:.0f} of {report.budget_s:.0f} s"
    parts = [
        f"<h1>prove {escape(report.system)}</h1>",
        f'<p class="{kind}"><strong>{escape(verdict(report))}</strong></p>',
        f"<p>Boundary <code>{report.fingerprint[:12]}</code>{server}, seed {report.seed}, {took}.</p>",
        "<h2>What was tried</h2>",
        _table(report),
        *(["<h2>What broke</h2>"] if report.findings else []),
        *map(_finding, report.findings),
        "<h2>States and transitions</h2>",
        *(_coverage(entity, coverage) for entity in system.entities.values()),
        "<h2>Not tried</h2>",
        _listed(f"{phase}: {what}" for phase, what in not_tried(report)),
    ]
    return _whole(f"prove {report.system}", "\n".join(parts))


def _whole(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _table(report: Report) -> str:
    head = "".join(f'<th class="number">{name}</th>' for name in ("Tried", "Held", "Broke"))
    rows = "\n".join(_row(tally) for _, one in report.phases for tally in one.tallies)
    return f"<table><tr><th>Fault</th>{head}<th>Reach</th></tr>\n{rows}</table>"


def _row(tally: Tally) -> str:
    kind = ' class="broke"' if tally.broke else ""
    numbers = "".join(f'<td class="number">{n:,}</td>' for n in (tally.tried, tally.held, tally.broke))
    return f"<tr{kind}><td>{escape(tally.fault)}</td>{numbers}<td>{escape(tally.reach)}</td></tr>"


def _finding(finding: Finding) -> str:
    lines = "\n".join(_line(line.who, line.what, line.answer, line.matters) for line in finding.story)
    return (
        f'<h3 class="broke">{escape(finding.promise)}: {escape(finding.sentence)}</h3>'
        f"<p><code>{escape(str(finding.place))}</code></p>\n"
        f'<div class="scroll">{sequence_svg(finding.story)}</div>\n<ol>{lines}</ol>\n'
        f"<p>{escape(finding.why)}</p>"
    )


def _line(who: str, what: str, answer: str, matters: bool) -> str:
    told = f"{escape(who)}: {escape(what)}" + (f" <em>{escape(answer)}</em>" if answer else "")
    return f"<li>{f'<strong>{told}</strong>' if matters else told}</li>"


def _coverage(entity: Entity, coverage: Coverage) -> str:
    """What was reached of one entity, and after how many acts."""
    states = [(name, coverage.states.get((entity.name, name))) for name in entity.states]
    steps = [(name, coverage.transitions.get((entity.name, name))) for name in entity.transitions]
    met = sum(path is not None for _, path in (*states, *steps))
    refused = sum(len(all_) for (name, _), all_ in coverage.refused.items() if name == entity.name)
    rows = "".join(_reached(kind, found) for kind, found in (("state", states), ("transition", steps)))
    return (
        f"<details><summary>{escape(entity.name)}: {met} of {len(states) + len(steps)} reached, "
        f"{refused} refusals</summary><table>{rows}</table></details>"
    )


def _reached(kind: str, found: Iterable[tuple[str, tuple[object, ...] | None]]) -> str:
    return "".join(
        f"<tr><td>{kind}</td><td>{escape(name)}</td>"
        + ('<td class="missed">not reached</td>' if path is None else f"<td>{len(path)} acts</td>")
        + "</tr>"
        for name, path in found
    )


def _listed(said: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in said) + "</ul>"
