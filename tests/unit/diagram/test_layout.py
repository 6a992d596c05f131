"""Both layouts, on random machines: nothing overlaps, everything is inside, the start comes first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings, strategies

from avow.diagram.graph import Graph, Layout, Placement
from avow.diagram.layered import layered
from avow.diagram.machine import START, Arrow, Machine, Way
from avow.diagram.picture import Drawing, draw
from avow.diagram.placement import best_layout, with_graphlay
from avow.model.entity import State

LAYOUTS: list[Layout] = [layered, with_graphlay]
ROUNDING = 0.2


@strategies.composite
def machines(draw_from: strategies.DrawFn) -> Machine:
    """A machine whose every state is reached from the start, with loops, cycles and shortcuts."""
    count = draw_from(strategies.integers(1, 9))
    numbers = strategies.integers(0, count - 1)
    # A tree from the start reaches every state; the rest of the arrows leads anywhere.
    tree = [
        (START if n == 0 else f"s{draw_from(strategies.integers(0, n - 1))}", f"s{n}") for n in range(count)
    ]
    rest = draw_from(strategies.lists(strategies.tuples(numbers, numbers), max_size=14))
    pairs = dict.fromkeys([*tree, *((f"s{a}", f"s{b}") for a, b in rest)])
    words = strategies.text("abc_", min_size=1, max_size=24)
    ways = [
        tuple(Way(draw_from(words), draw_from(words), "") for _ in range(1 + i % 2))
        for i in range(len(pairs))
    ]
    arrows = (Arrow(a, b, i % 5 == 0, ways[i]) for i, (a, b) in enumerate(pairs))
    states = (State(f"s{n}", initial=n == 0, final=n == count - 1) for n in range(count))
    return Machine("Thing", tuple(states), tuple(arrows))


def sides(drawing: Drawing) -> Iterator[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the start, each state and each text."""
    for box, (x, y) in zip(drawing.graph.boxes, drawing.placement.centres, strict=True):
        yield x - box.width / 2, y - box.height / 2, x + box.width / 2, y + box.height / 2


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60, deadline=None)
@given(machine=machines())
def test_no_state_and_no_text_lies_on_another(layout: Layout, machine: Machine) -> None:
    for one, other in combinations(sides(draw(machine, layout)), 2):
        beside = one[2] <= other[0] + ROUNDING or other[2] <= one[0] + ROUNDING
        assert beside or one[3] <= other[1] + ROUNDING or other[3] <= one[1] + ROUNDING


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60, deadline=None)
@given(machine=machines())
def test_everything_is_inside_the_picture_and_the_start_is_on_top(layout: Layout, machine: Machine) -> None:
    drawing = draw(machine, layout)
    tops = [top for _, top, _, _ in sides(drawing)]
    assert tops[0] == min(tops)
    for left, top, right, bottom in sides(drawing):
        assert min(left, top) >= -ROUNDING
        assert right <= drawing.width + ROUNDING
        assert bottom <= drawing.height + ROUNDING
    for line in drawing.placement.lines:
        assert all(0 <= x <= drawing.width + ROUNDING for x, _ in line)
        assert all(0 <= y <= drawing.height + ROUNDING for _, y in line)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60, deadline=None)
@given(machine=machines())
def test_every_line_starts_and_ends_at_its_boxes(layout: Layout, machine: Machine) -> None:
    drawing = draw(machine, layout)
    boxes = list(sides(drawing))
    for (source, target), line in zip(drawing.graph.edges, drawing.placement.lines, strict=True):
        for box, (x, y) in ((boxes[source], line[0]), (boxes[target], line[-1])):
            assert box[0] - 1 <= x <= box[2] + 1
            assert box[1] - 1 <= y <= box[3] + 1


@settings(max_examples=60, deadline=None)
@given(machine=machines())
def test_our_own_lines_pass_through_no_box_of_others(machine: Machine) -> None:
    drawing = draw(machine, layered)
    boxes = list(sides(drawing))
    for (source, target), line in zip(drawing.graph.edges, drawing.placement.lines, strict=True):
        for (ax, ay), (bx, by) in pairwise(line):
            for number, (left, top, right, bottom) in enumerate(boxes):
                across = max(ax, bx) > left + 1 and min(ax, bx) < right - 1
                along = max(ay, by) > top + 1 and min(ay, by) < bottom - 1
                assert number in (source, target) or not (across and along)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=20, deadline=None)
@given(machine=machines())
def test_the_same_machine_is_always_drawn_the_same(layout: Layout, machine: Machine) -> None:
    assert draw(machine, layout) == draw(machine, layout)


def test_graphlay_draws_where_it_is_installed_and_we_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_layout() is with_graphlay
    monkeypatch.setattr("avow.diagram.placement.graphlay", None)
    assert best_layout() is layered
    with pytest.raises(ModuleNotFoundError):
        with_graphlay(Graph((), ()))


def test_a_layout_of_any_kind_can_be_put_in() -> None:
    """The seam is one function: a column is enough."""

    def column(graph: Graph) -> Placement:
        centres = tuple((0.0, 100.0 * n) for n in range(len(graph.boxes)))
        return Placement(centres, tuple((centres[a], centres[b]) for a, b in graph.edges))

    machine = Machine(
        "Thing", (State("s", True, True),), (Arrow(START, "s", False, (Way("make", "all", ""),)),)
    )
    assert draw(machine, column).height > 200
