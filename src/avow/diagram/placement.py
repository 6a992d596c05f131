"""Which layout draws: graphlay, and where its wheel is missing a layout of our own."""

from __future__ import annotations

from typing import Any, Final

from avow.diagram.graph import Graph, Layout, Placement
from avow.diagram.layered import layered

try:
    import graphlay
except ModuleNotFoundError:
    graphlay = None

_PRESET: Final = "process_map"
_OPTIONS: Final[dict[str, Any]] = {
    "direction": "topbottom",
    "cycles": {"strategy": "follow_flow"},
    "spacing": {"layer_gap": 28.0, "node_gap": 24.0, "dummy_gap": 18.0},
}


def best_layout() -> Layout:
    """The layout that pictures are drawn with on this machine."""
    return layered if graphlay is None else with_graphlay


def with_graphlay(graph: Graph) -> Placement:
    """Place a graph with graphlay. Raises ModuleNotFoundError where it isn't installed."""
    if graphlay is None:
        raise ModuleNotFoundError("graphlay isn't installed")
    asked = graphlay.Graph()
    for number, box in enumerate(graph.boxes):
        asked.node(number, width=box.width, height=box.height)
    for source, target in graph.edges:
        asked.edge(source, target)
    laid = graphlay.layout(asked, preset=_PRESET, options=_OPTIONS)
    centres = tuple((node["center"]["x"], node["center"]["y"]) for node in laid.nodes)
    lines = tuple(tuple((point["x"], point["y"]) for point in edge["points"]) for edge in laid.edges)
    return Placement(centres, lines)
