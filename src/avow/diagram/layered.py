"""A layered layout of our own: longest path from the start, barycentre order, orthogonal lines.

The classic four steps of Sugiyama: turn back edges round, give each box a layer, order the layers so
that few lines cross, then give coordinates. Long edges pass each layer through a narrow box of their
own. Deterministic: ties are settled by the order in which boxes and edges were given.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from avow.diagram.graph import Box, Graph, Placement, Point

BOX_GAP: Final = 24.0
LAYER_GAP: Final = 30.0
LANE_GAP: Final = 8.0
PORT_GAP: Final = 14.0
SWEEPS: Final = 8

_PASSAGE: Final = Box(8.0, 0.0)


@dataclass(slots=True)
class _Net:
    """The graph while it is laid out: with passages, and with every edge leading one layer down."""

    boxes: list[Box]
    layer_of: list[int]
    chains: list[list[int]]  # for each edge of the graph the boxes that it passes, from top to bottom
    turned: list[bool]  # whether the edge leads upwards in truth
    above: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    below: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def layered(graph: Graph) -> Placement:
    """Place a graph from top to bottom; box 0 stands alone on top."""
    net = _net(graph)
    layers = _ordered(net)
    xs = _columns(net, layers)
    ports = _ports(net, xs)
    lanes, tops = _rows(net, layers, ports)
    centres = tuple((xs[b], tops[net.layer_of[b]]) for b in range(len(graph.boxes)))
    lines = [_line(net, edge, ports, lanes, tops) for edge in range(len(graph.edges))]
    turned = (line[::-1] if back else line for line, back in zip(lines, net.turned, strict=True))
    return Placement(centres, tuple(map(tuple, turned)))


def _net(graph: Graph) -> _Net:
    turned = _back_edges(graph)
    downward = [(t, s) if back else (s, t) for (s, t), back in zip(graph.edges, turned, strict=True)]
    net = _Net(list(graph.boxes), _layers(len(graph.boxes), downward), [], turned)
    for source, target in downward:
        chain = [source]
        for layer in range(net.layer_of[source] + 1, net.layer_of[target]):
            chain.append(len(net.boxes))
            net.boxes.append(_PASSAGE)
            net.layer_of.append(layer)
        chain.append(target)
        net.chains.append(chain)
        for upper, lower in pairwise(chain):
            net.below[upper].append(lower)
            net.above[lower].append(upper)
    return net


def _back_edges(graph: Graph) -> list[bool]:
    """Which edges close a cycle, walking depth first from box 0 in the given order."""
    leaving = defaultdict[int, list[int]](list)
    for number, (source, _) in enumerate(graph.edges):
        leaving[source].append(number)
    turned, entered, left = [False] * len(graph.edges), set[int](), set[int]()
    for start in range(len(graph.boxes)):
        if start in entered:
            continue
        entered.add(start)
        stack = [(start, iter(leaving[start]))]
        while stack:
            box, rest = stack[-1]
            number = next(rest, None)
            if number is None:
                left.add(box)
                stack.pop()
                continue
            target = graph.edges[number][1]
            turned[number] = target in entered and target not in left
            if target not in entered:
                entered.add(target)
                stack.append((target, iter(leaving[target])))
    return turned


def _layers(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """The longest way from above to each box; box 0 has layer 0 to itself."""
    waiting = [0] * count
    below = defaultdict[int, list[int]](list)
    for source, target in edges:
        below[source].append(target)
        waiting[target] += 1
    layer = [0] + [1] * (count - 1)
    ready = [box for box in range(count) if not waiting[box]]
    for box in ready:
        for target in below[box]:
            layer[target] = max(layer[target], layer[box] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return layer


def _ordered(net: _Net) -> list[list[int]]:
    """The boxes of each layer, ordered by the mean place of their neighbours, sweeping down and up."""
    layers = [list[int]() for _ in range(max(net.layer_of) + 1)]
    for box, layer in enumerate(net.layer_of):
        layers[layer].append(box)
    best, fewest = [list(layer) for layer in layers], _crossings(net, layers)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers[1:] if down else reversed(layers[:-1]):
            _sort(layer, layers, net.above if down else net.below)
        crossings = _crossings(net, layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _sort(layer: list[int], layers: list[list[int]], neighbours: dict[int, list[int]]) -> None:
    place = {box: index for other in layers for index, box in enumerate(other)}

    def mean(box: int) -> float:
        near = neighbours.get(box, ())
        return sum(place[n] for n in near) / len(near) if near else place[box]

    layer.sort(key=lambda box: (mean(box), place[box]))


def _crossings(net: _Net, layers: list[list[int]]) -> int:
    place = {box: index for layer in layers for index, box in enumerate(layer)}
    count = 0
    for layer in layers:
        pairs = [(place[upper], place[lower]) for upper in layer for lower in net.below.get(upper, ())]
        for index, (a, b) in enumerate(pairs):
            count += sum((a - c) * (b - d) < 0 for c, d in pairs[index + 1 :])
    return count


def _columns(net: _Net, layers: list[list[int]]) -> list[float]:
    """x of each box: side by side first, then drawn towards its neighbours as far as there is room."""
    xs = [0.0] * len(net.boxes)
    for layer in layers:
        width = sum(net.boxes[box].width for box in layer) + BOX_GAP * (len(layer) - 1)
        at = -width / 2
        for box in layer:
            xs[box] = at + net.boxes[box].width / 2
            at += net.boxes[box].width + BOX_GAP
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            _draw_together(net, layer, net.above if down else net.below, xs)
    return [round(x, 1) for x in xs]


def _draw_together(net: _Net, layer: list[int], neighbours: dict[int, list[int]], xs: list[float]) -> None:
    wanted = {box: _mean([xs[n] for n in neighbours.get(box, ())], xs[box]) for box in layer}
    leftmost = _packed(net, layer, wanted, 1)
    rightmost = _packed(net, layer[::-1], wanted, -1)
    # Both keep every distance, so does their mean.
    for box in layer:
        xs[box] = (leftmost[box] + rightmost[box]) / 2


def _packed(net: _Net, layer: list[int], wanted: dict[int, float], sign: int) -> dict[int, float]:
    """Each box where it wants to be, or as far beyond its predecessor as it must."""
    placed = dict[int, float]()
    before: int | None = None
    for box in layer:
        x = wanted[box]
        if before is not None:
            distance = (net.boxes[before].width + net.boxes[box].width) / 2 + BOX_GAP
            edge = placed[before] + sign * distance
            x = max(x, edge) if sign > 0 else min(x, edge)
        placed[box] = x
        before = box
    return placed


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


_Ports = dict[tuple[int, int], tuple[float, float]]
"""For each edge and each step of its chain: x where it leaves above, and where it arrives below."""
_Lanes = dict[tuple[int, int], int]
"""For each bent step of an edge: which of the horizontal lanes below its layer it takes."""


def _ports(net: _Net, xs: list[float]) -> _Ports:
    """Where lines meet boxes: side by side, in the order in which they come."""
    leaving = defaultdict[int, list[tuple[float, int, int]]](list)
    arriving = defaultdict[int, list[tuple[float, int, int]]](list)
    for edge, chain in enumerate(net.chains):
        for step, (upper, lower) in enumerate(pairwise(chain)):
            leaving[upper].append((xs[lower], edge, step))
            arriving[lower].append((xs[upper], edge, step))
    starts, ends = dict[tuple[int, int], float](), dict[tuple[int, int], float]()
    for found, at in ((leaving, starts), (arriving, ends)):
        for box, lines in found.items():
            gap = min(PORT_GAP, net.boxes[box].width / (len(lines) + 1))
            for index, (_, edge, step) in enumerate(sorted(lines)):
                at[edge, step] = round(xs[box] + (index - (len(lines) - 1) / 2) * gap, 1)
    return {key: (starts[key], ends[key]) for key in starts}


def _rows(net: _Net, layers: list[list[int]], ports: _Ports) -> tuple[_Lanes, list[float]]:
    """For each bent line its lane between two layers, and the y of each layer's middle."""
    lanes, tops = _Lanes(), list[float]()
    y = 0.0
    for number, layer in enumerate(layers):
        height = max(net.boxes[box].height for box in layer)
        tops.append(round(y + height / 2, 1))
        bent = [
            key
            for key, (left, right) in sorted(ports.items(), key=lambda item: item[1])
            if net.layer_of[net.chains[key[0]][key[1]]] == number and left != right
        ]
        lanes.update({key: lane for lane, key in enumerate(bent)})
        y += height + LAYER_GAP + LANE_GAP * len(bent)
    return lanes, tops


def _line(net: _Net, edge: int, ports: _Ports, lanes: _Lanes, tops: list[float]) -> list[Point]:
    """The line of an edge from top to bottom."""
    chain, points = net.chains[edge], list[Point]()
    for step, (upper, lower) in enumerate(pairwise(chain)):
        start, end = ports[edge, step]
        layer = net.layer_of[upper]
        floor = tops[layer] + net.boxes[upper].height / 2
        ceiling = tops[layer + 1] - net.boxes[lower].height / 2
        points.append((start, floor))
        if start != end:
            tallest = max(net.boxes[b].height for b, of in enumerate(net.layer_of) if of == layer)
            lane = tops[layer] + tallest / 2 + LAYER_GAP / 2 + LANE_GAP * lanes[edge, step]
            points += [(start, lane), (end, lane)]
        points.append((end, ceiling))
    return [point for index, point in enumerate(points) if index == 0 or point != points[index - 1]]
