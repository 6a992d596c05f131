"""A story as a sequence diagram, as SVG: a column for each who and each record, a row for each line.

Rows that matter stand on a band of colour; what no longer holds in the end is a note across all columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from avow.prove.finding import Line

WIDE: Final = 216
NARROW: Final = 176
"""How wide a column is where there are more than FEW."""
FEW: Final = 5
GUTTER: Final = 30
HEAD: Final = 34
TEXT: Final = 15
PAD: Final = 9
CHARACTER: Final = 6.8
LINES_MAX: Final = 4
NOTE: Final = "then"
"""Who tells what no longer holds."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Where a line stands. top, height: of its band."""

    number: int
    line: Line
    top: int
    label: tuple[str, ...]
    answer: str

    @property
    def arrow(self) -> int:
        """How far down its arrow is."""
        return self.top + PAD + TEXT * len(self.label) + 5

    @property
    def height(self) -> int:
        return PAD + TEXT * len(self.label) + 10 + (TEXT if self.answer else 0) + PAD // 2


def sequence_svg(story: Sequence[Line]) -> str:
    """The diagram; empty for an empty story."""
    columns = _Columns(tuple(dict.fromkeys(_named(story))))
    if not columns.names:
        return ""
    width = GUTTER + columns.width * len(columns.names)
    rows = list(_rows(story, columns.characters, round((width - GUTTER) / CHARACTER)))
    height = rows[-1].top + rows[-1].height + 8
    parts = [*_lifelines(columns, rows, height)]
    for row in rows:
        parts += _note(row, width) if row.line.who == NOTE else _arrow(columns, row, width)
    body = "\n".join(parts)
    return (
        f'<svg class="sequence" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="sequence diagram of the failing schedule">\n{body}\n</svg>'
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns, from left to right."""

    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return WIDE if len(self.names) <= FEW else NARROW

    @property
    def characters(self) -> int:
        """How many characters stand beside each other in one."""
        return int(self.width / CHARACTER)

    def middle(self, name: str) -> int:
        """Where the line of a name is."""
        return GUTTER + self.names.index(name) * self.width + self.width // 2


def _named(story: Sequence[Line]) -> Iterator[str]:
    """People and processes first, then records."""
    yield from (line.who for line in story if line.who != NOTE)
    yield from (line.on for line in story if line.on)


def _rows(story: Sequence[Line], of_column: int, of_note: int) -> Iterator[_Row]:
    top = HEAD
    for number, line in enumerate(story, start=1):
        characters = of_note if line.who == NOTE else of_column
        label = tuple(
            textwrap.wrap(line.what, characters, max_lines=LINES_MAX, placeholder=" …") or [line.what]
        )
        row = _Row(number, line, top, label, textwrap.shorten(line.answer, of_column, placeholder=" …"))
        yield row
        top += row.height


def _lifelines(columns: _Columns, rows: Sequence[_Row], height: int) -> Iterator[str]:
    end = next((row.top for row in rows if row.line.who == NOTE), height)
    for name in columns.names:
        x = columns.middle(name)
        short = textwrap.shorten(name, columns.characters - 2, placeholder=" …")
        half = min(columns.width - 12, 9 * len(short) + 18) // 2
        yield f'<line class="life" x1="{x}" y1="{HEAD - 6}" x2="{x}" y2="{end}"/>'
        yield f'<rect class="head" x="{x - half}" y="2" width="{2 * half}" height="{HEAD - 10}" rx="5"/>'
        yield f'<text class="name" x="{x}" y="{HEAD - 16}">{escape(short)}</text>'


def _arrow(columns: _Columns, row: _Row, width: int) -> Iterator[str]:
    line = row.line
    start, end = columns.middle(line.who), columns.middle(line.on or line.who)
    y, kind = row.arrow, "matters" if line.matters else "plain"
    if line.matters:
        yield f'<rect class="band" x="0" y="{row.top}" width="{width}" height="{row.height}"/>'
    yield f'<text class="number" x="{GUTTER - 8}" y="{y + 4}">{row.number}</text>'
    # The words stand over the arrow's beginning, whichever way it goes and however far.
    side = columns.width // 2 if end > start else -(columns.width // 2) if end < start else 0
    for at, text in enumerate(row.label):
        below = PAD + TEXT * at + 10
        yield f'<text class="{kind}" x="{start + side}" y="{row.top + below}">{escape(text)}</text>'
    if start != end:
        back = -8 if end > start else 8
        yield f'<line class="{kind}" x1="{start}" y1="{y}" x2="{end + back}" y2="{y}"/>'
        yield f'<path class="{kind}" d="M {end} {y} l {back} -4.5 l 0 9 z"/>'
    yield f'<circle class="{kind}" cx="{start}" cy="{y}" r="3.5"/>'
    if row.answer:
        yield f'<text class="answer" x="{start + side}" y="{y + TEXT}">→ {escape(row.answer)}</text>'


def _note(row: _Row, width: int) -> Iterator[str]:
    yield (
        f'<rect class="note" x="{GUTTER}" y="{row.top + 2}" width="{width - GUTTER}" '
        f'height="{row.height - 2}" rx="5"/>'
    )
    for at, text in enumerate(row.label):
        y = row.top + PAD + TEXT * at + 14
        yield f'<text class="matters" x="{(width + GUTTER) // 2}" y="{y}">{escape(text)}</text>'
