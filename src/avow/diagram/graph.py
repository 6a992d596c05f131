"""What a layout gets and what it gives back: boxes and edges in, positions and lines out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """Something with a size, in pixels."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes, and edges by number between different ones. Box 0 is where everything starts."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """The centre of each box, and for each edge the line from its source's border to its target's."""

    centres: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]


Layout: TypeAlias = Callable[[Graph], Placement]
"""Places a graph from top to bottom, without overlaps, box 0 on top. y grows downwards."""
