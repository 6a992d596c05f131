"""A state machine as an SVG: readable without colour, script, font files or a mouse.

Texts on arrows are boxes of their own to the layout, like the states: an arrow leads to its text and
from there on, so that no text lies on anything else. It must never hold anything that a browser would
run or fetch, nor ids, which two pictures on one page would share.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from avow.diagram.graph import Box, Graph, Layout, Placement, Point
from avow.diagram.machine import START, Arrow, Machine, machine_of
from avow.diagram.placement import best_layout
from avow.model.entity import Entity, State

STYLE: Final = """\
.avow-machine{--avow-ink:#1f2328;--avow-soft:#57606a;--avow-line:#6e7781;--avow-fill:#fff;--avow-start:#ddf4ff;\
background:var(--avow-paper,#fff);font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
@media(prefers-color-scheme:dark){.avow-machine{--avow-ink:#e6edf3;--avow-soft:#9da7b3;--avow-line:#8b949e;\
--avow-fill:#161b22;--avow-start:#0c2d4a;--avow-paper:#0d1117}}
.avow-machine text{fill:var(--avow-ink);text-anchor:middle}
.avow-machine .name{font-size:15px;font-weight:600;text-anchor:start}
.avow-machine .state text{font-size:13px;font-weight:600}
.avow-machine .state rect{fill:var(--avow-fill);stroke:var(--avow-ink);stroke-width:1.5}
.avow-machine .initial .outline{fill:var(--avow-start)}
.avow-machine .state .inner{fill:none;stroke-width:1}
.avow-machine .start{fill:var(--avow-ink)}
.avow-machine .arrow path{fill:none;stroke:var(--avow-line);stroke-width:1.4}
.avow-machine .arrow .head{fill:var(--avow-line);stroke:none}
.avow-machine .command{font-size:12px;font-weight:600}
.avow-machine .by,.avow-machine .when{font-size:11px;fill:var(--avow-soft)}
"""
"""The style of a picture, for a page that brings its own copy (`style=False`)."""

MARGIN: Final = 16.0
TITLE_HEIGHT: Final = 30.0
MACHINE_GAP: Final = 28.0
WRAP_CHARACTERS: Final = 30
# All common fixed-width fonts have letters of at most 0.61 of their size.
_LETTER: Final = 0.61
_STATE_SIZE, _COMMAND_SIZE, _BY_SIZE = 13.0, 12.0, 11.0
_LINE_HEIGHT: Final = 15.0
_STATE_HEIGHT: Final = 34.0
_START_SIZE: Final = 16.0
_HEAD_LENGTH, _HEAD_HALF = 8.0, 4.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text on an arrow. kind: command, by or when; it is the class of the text."""

    kind: str
    text: str

    @property
    def width(self) -> float:
        """Its width in pixels, never less than what a browser needs."""
        return _cells(self.text) * _LETTER * (_COMMAND_SIZE if self.kind == "command" else _BY_SIZE)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A machine with every place known. boxes: the start, the states, then the text of each arrow."""

    machine: Machine
    graph: Graph
    placement: Placement
    texts: tuple[tuple[Line, ...], ...]
    width: float
    height: float


def svg(entity: Entity, *others: Entity, layout: Layout | None = None, style: bool = True) -> str:
    """The state machine of an entity, or of several one below the other, as an SVG document.

    layout: what places it; None takes the best there is. style: whether the style is inside.
    """
    drawings = [draw(machine_of(one), layout or best_layout()) for one in (entity, *others)]
    width = max(drawing.width for drawing in drawings) + 2 * MARGIN
    bodies, y = list[str](), MARGIN
    for drawing in drawings:
        bodies.append(_machine(drawing, MARGIN, y))
        y += TITLE_HEIGHT + drawing.height + MACHINE_GAP
    height = y - MACHINE_GAP + MARGIN
    names = ", ".join(drawing.machine.name for drawing in drawings)
    size = f'width="{_number(width)}" height="{_number(height)}"'
    box = f'viewBox="0 0 {_number(width)} {_number(height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="avow-machine" role="img" {size} {box}>',
            f"<title>{_text(names)}: states and transitions</title>",
            f"<desc>{_text(' '.join(_told(drawing.machine) for drawing in drawings))}</desc>",
            *([f"<style>{STYLE}</style>"] if style else []),
            *bodies,
            "</svg>\n",
        ]
    )


def draw(machine: Machine, layout: Layout) -> Drawing:
    """Place a machine; the top left corner of its picture is (0, 0)."""
    texts = tuple(tuple(_lines(arrow)) for arrow in machine.arrows)
    number = {START: 0} | {state.name: index for index, state in enumerate(machine.states, 1)}
    boxes = [Box(_START_SIZE, _START_SIZE), *map(_state_box, machine.states), *map(_text_box, texts)]
    edges = list[tuple[int, int]]()
    for index, arrow in enumerate(machine.arrows):
        text = 1 + len(machine.states) + index
        edges += [(number[arrow.source], text), (text, number[arrow.target])]
    graph = Graph(tuple(boxes), tuple(edges))
    placed = layout(graph)
    left, top, right, bottom = _bounds(graph, placed)
    moved = Placement(
        tuple(_moved(point, left, top) for point in placed.centres),
        tuple(tuple(_moved(point, left, top) for point in line) for line in placed.lines),
    )
    return Drawing(machine, graph, moved, texts, right - left, bottom - top)


def _bounds(graph: Graph, placed: Placement) -> tuple[float, float, float, float]:
    points = [point for line in placed.lines for point in line]
    for box, (x, y) in zip(graph.boxes, placed.centres, strict=True):
        points += [(x - box.width / 2, y - box.height / 2), (x + box.width / 2, y + box.height / 2)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _moved(point: Point, left: float, top: float) -> Point:
    return round(point[0] - left, 1), round(point[1] - top, 1)


def _state_box(state: State) -> Box:
    return Box(max(_cells(state.name) * _LETTER * _STATE_SIZE + 28, 64.0), _STATE_HEIGHT)


def _text_box(lines: tuple[Line, ...]) -> Box:
    return Box(max(line.width for line in lines) + 8, _LINE_HEIGHT * len(lines) + 4)


def _cells(text: str) -> int:
    """How many letters wide a text is: those of East Asia take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _lines(arrow: Arrow) -> Iterator[Line]:
    for way in arrow.ways:
        yield Line("command", way.command)
        for kind, text in (("by", way.by), ("when", way.when and f"when {way.when}")):
            for part in _wrapped(text):
                yield Line(kind, part)


def _wrapped(text: str) -> Iterator[str]:
    """The text in lines of about 30 letters, broken at spaces; a longer word is cut."""
    line = ""
    for word in text.split():
        while len(word) > WRAP_CHARACTERS:
            if line:
                yield line
            line = ""
            yield word[:WRAP_CHARACTERS]
            word = word[WRAP_CHARACTERS:]
        if line and len(line) + 1 + len(word) > WRAP_CHARACTERS:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield line


def _machine(drawing: Drawing, left: float, top: float) -> str:
    machine, placed = drawing.machine, drawing.placement
    parts = [f'<text class="name" {_at(left, top + 14)}>{_text(machine.name)}</text>']
    parts.append(f'<g transform="translate({_number(left)} {_number(top + TITLE_HEIGHT)})">')
    first = 1 + len(machine.states)
    for index, arrow in enumerate(machine.arrows):
        lines = placed.lines[2 * index], placed.lines[2 * index + 1]
        parts.append(_arrow(arrow, lines, drawing.texts[index], placed.centres[first + index]))
    x, y = placed.centres[0]
    parts.append(
        f'<circle class="start" cx="{_number(x)}" cy="{_number(y)}" r="{_number(_START_SIZE / 2)}"/>'
    )
    for index, state in enumerate(machine.states, 1):
        parts.append(_state(state, drawing.graph.boxes[index], placed.centres[index]))
    return "\n".join([*parts, "</g>"])


def _arrow(arrow: Arrow, lines: tuple[tuple[Point, ...], ...], texts: tuple[Line, ...], at: Point) -> str:
    dashed = ' stroke-dasharray="5 4"' if arrow.internal else ""
    paths = "".join(f'<path d="{_path(line)}"{dashed}/>' for line in lines)
    head = f'<polygon class="head" points="{_head(lines[1])}"/>'
    y = at[1] - _LINE_HEIGHT * len(texts) / 2 + 11
    rows = "".join(
        f'<text class="{line.kind}" {_at(at[0], y + _LINE_HEIGHT * row)}>{_text(line.text)}</text>'
        for row, line in enumerate(texts)
    )
    return f'<g class="arrow{" internal" * arrow.internal}">{paths}{head}{rows}</g>'


def _path(line: tuple[Point, ...]) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in line)


def _head(line: tuple[Point, ...]) -> str:
    """The three corners of an arrow's head, at the end of its line."""
    x, y = line[-1]
    before = next((point for point in reversed(line[:-1]) if point != line[-1]), (x, y - 1))
    length = math.hypot(x - before[0], y - before[1])
    dx, dy = (x - before[0]) / length, (y - before[1]) / length
    back = x - dx * _HEAD_LENGTH, y - dy * _HEAD_LENGTH
    corners = [
        (x, y),
        (back[0] - dy * _HEAD_HALF, back[1] + dx * _HEAD_HALF),
        (back[0] + dy * _HEAD_HALF, back[1] - dx * _HEAD_HALF),
    ]
    return " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)


def _state(state: State, box: Box, at: Point) -> str:
    x, y = at[0] - box.width / 2, at[1] - box.height / 2
    kinds = f"state{' initial' * state.initial}{' final' * state.final}"
    inner = _rectangle("inner", x + 3, y + 3, box.width - 6, box.height - 6, 6) if state.final else ""
    outline = _rectangle("outline", x, y, box.width, box.height, 9)
    name = f"<text {_at(at[0], at[1] + 4.5)}>{_text(state.name)}</text>"
    return f'<g class="{kinds}">{outline}{inner}{name}</g>'


def _rectangle(kind: str, x: float, y: float, width: float, height: float, round_by: float) -> str:
    size = f'width="{_number(width)}" height="{_number(height)}" rx="{_number(round_by)}"'
    return f'<rect class="{kind}" {_at(x, y)} {size}/>'


def _told(machine: Machine) -> str:
    """The whole machine in sentences, for those who don't see it."""
    finals = [state.name for state in machine.states if state.final]
    told = [f"{machine.name} has the states {', '.join(state.name for state in machine.states)}."]
    told += [f"Final: {', '.join(finals)}."] if finals else []
    for arrow in machine.arrows:
        for way in arrow.ways:
            start = "A new one" if arrow.source == START else f"From {arrow.source}"
            guard = f", when {way.when}" if way.when else ""
            told.append(f"{start} to {arrow.target}: {way.command}, by {way.by}{guard}.")
    return " ".join(told)


def _at(x: float, y: float) -> str:
    return f'x="{_number(x)}" y="{_number(y)}"'


def _number(value: float) -> str:
    """At most one digit after the point, and no needless ones: the same text on every machine."""
    # Adding zero turns a negative zero into zero.
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """Text as XML: markup is escaped, and what XML can't hold is replaced."""
    held = "".join(
        c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff" else "\ufffd"
        for c in text
    )
    return escape(held)
