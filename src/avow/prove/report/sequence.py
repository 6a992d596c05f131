"""A story as a sequence diagram: one column for each who and each record, one row for each line, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from avow.prove.finding import Line

COLUMN: Final = 320
ROW: Final = 46
TOP: Final = 44
HALF: Final = COLUMN // 2
CHARACTERS_MAX: Final = 52


def sequence_svg(story: Sequence[Line]) -> str:
    """The diagram; empty for an empty story."""
    if not story:
        return ""
    columns = list(dict.fromkeys([*(line.who for line in story), *(line.on for line in story if line.on)]))
    width, height = COLUMN * len(columns), TOP + ROW * len(story) + ROW // 2
    parts = [*_lifelines(columns, height)]
    for row, line in enumerate(story):
        parts += _arrow(columns, line, row)
    body = "\n".join(parts)
    return (
        f'<svg class="sequence" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="sequence diagram">\n{body}\n</svg>'
    )


def _lifelines(columns: Sequence[str], height: int) -> Iterator[str]:
    for at, name in enumerate(columns):
        x = at * COLUMN + HALF
        yield f'<line class="life" x1="{x}" y1="{TOP - 14}" x2="{x}" y2="{height}"/>'
        yield f'<text class="name" x="{x}" y="{TOP - 22}">{escape(_cut(name))}</text>'


def _arrow(columns: Sequence[str], line: Line, row: int) -> Iterator[str]:
    start = columns.index(line.who) * COLUMN + HALF
    end = (columns.index(line.on) if line.on else columns.index(line.who)) * COLUMN + HALF
    y, kind = TOP + row * ROW + 22, "matters" if line.matters else "plain"
    middle, answer = (start + end) // 2, f" → {line.answer}" if line.answer else ""
    yield f'<text class="{kind}" x="{middle}" y="{y - 6}">{row + 1}. {escape(_cut(line.what))}</text>'
    if start != end:
        side = -7 if end > start else 7
        yield f'<line class="{kind}" x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>'
        yield f'<path class="{kind}" d="M {end} {y} l {side} -4 l 0 8 z"/>'
    else:
        yield f'<circle class="{kind}" cx="{start}" cy="{y}" r="4"/>'
    if answer:
        yield f'<text class="answer" x="{end}" y="{y + 13}">{escape(_cut(answer))}</text>'


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS_MAX else f"{text[: CHARACTERS_MAX - 1]}…"
