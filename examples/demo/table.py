"""The table and the lines around it: eighty columns, plain text, nothing but what was found."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from examples.demo.attack import Outcome

WIDTH_MAX = 80
INDENT = "  "
COLUMN_WIDTHS = (27, 23, 26)
HELD, BROKE = "held ", "BROKE"


def say(text: str = "") -> None:
    """One line, or as many as it needs."""
    for line in textwrap.wrap(text, WIDTH_MAX - len(INDENT)) or [""]:
        print(f"{INDENT}{line}".rstrip(), flush=True)


def quote(text: str) -> None:
    """What a command printed, as it printed it; only a line that is too long is broken."""
    for line in text.rstrip().splitlines():
        inner = " " * (len(line) - len(line.lstrip()) + 4)
        pieces = textwrap.wrap(line, WIDTH_MAX, subsequent_indent=inner) if len(line) > WIDTH_MAX else [line]
        print("\n".join(pieces), flush=True)


def head() -> None:
    """The names of the columns."""
    _row(("attack", "by hand", "declared"))
    _line()


def row(title: str, outcomes: Sequence[Outcome]) -> None:
    """What one attack found."""
    _row((title, *(f"{HELD if outcome.held else BROKE} {outcome.text}" for outcome in outcomes)))


def foot(results: Sequence[Sequence[Outcome]]) -> None:
    """How often each held."""
    _line()
    sides = list(zip(*results, strict=True))
    _row((HELD, *(f"{sum(each.held for each in side)} of {len(side)}" for side in sides)))


def total(title: str, cells: Sequence[str]) -> None:
    """A figure over all attacks, of each."""
    _row((title, *cells))


def _line() -> None:
    _row(tuple("-" * width for width in COLUMN_WIDTHS))


def _row(cells: Sequence[str]) -> None:
    wrapped = [
        textwrap.wrap(cell, width, subsequent_indent=" " * 6 if number else "")
        for number, (cell, width) in enumerate(zip(cells, COLUMN_WIDTHS, strict=True))
    ]
    for line in range(max(map(len, wrapped))):
        parts = [
            (lines[line] if line < len(lines) else "").ljust(width)
            for lines, width in zip(wrapped, COLUMN_WIDTHS, strict=True)
        ]
        print(f"{INDENT}{' '.join(parts)}".rstrip(), flush=True)
