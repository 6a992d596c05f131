"""Orders: all that say anything new, each once, and none where two statements share nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from avow.prove.footprint import EVERYTHING, NOTHING, Footprint
from avow.prove.lockstep import CutShort, Op
from avow.prove.orders import Drawn, Fixed, Orders
from avow.prove.tape import Tape

READS = Footprint(reads=frozenset({"a"}))
WRITES = Footprint(writes=frozenset({"a"}))


def explored(lanes: Sequence[Sequence[Footprint]], *, prune: bool = True) -> list[tuple[int, ...]]:
    """Every order that is run to its end, of lanes with these statements."""
    orders, found = Orders(prune=prune), list[tuple[int, ...]]()
    while orders.more:
        ops, left = list[Op](), [list(lane) for lane in lanes]
        try:
            while able := tuple(place for place, lane in enumerate(left) if lane):
                chosen = orders.choose(len(ops), able, ops)
                ops.append(Op(chosen, "", left[chosen].pop(0)))
            found.append(tuple(op.lane for op in ops))
        except CutShort:
            pass
        orders.ran(ops)
    return found


@pytest.mark.parametrize(("lanes", "count"), [
    ([[EVERYTHING] * 2, [EVERYTHING] * 2], 6),
    ([[EVERYTHING] * 2] * 3, 90),
    ([[NOTHING] * 2, [NOTHING] * 2], 1),
    ([[READS, WRITES], [NOTHING] * 2], 1),
    ([[READS, WRITES], [READS, WRITES]], 4),
])  # fmt: skip
def test_each_order_that_says_anything_new_is_run_once(lanes: list[list[Footprint]], count: int) -> None:
    found = explored(lanes)
    assert len(found) == len(set(found)) == count


def test_nothing_is_left_out_without_pruning() -> None:
    assert len(explored([[NOTHING] * 2, [NOTHING] * 2], prune=False)) == 6


def ends(order: Sequence[int], lanes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What a cell goes through, where each lane reads it and then writes what it has read and its name."""
    cell, read, left = "", [""] * len(lanes), [list(lane) for lane in lanes]
    for lane in order:
        if left[lane].pop(0) == "read":
            read[lane] = cell
        else:
            cell = f"{read[lane]}{lane}"
    return cell, *read


@pytest.mark.parametrize("count", [2, 3])
def test_pruning_loses_no_end(count: int) -> None:
    """Whatever all orders come to, the ones that are left come to as well."""
    lanes, prints = [["read", "write"]] * count, [[READS, WRITES]] * count
    assert {ends(o, lanes) for o in explored(prints)} == {
        ends(o, lanes) for o in explored(prints, prune=False)
    }


def test_a_footprint_that_says_too_little_loses_ends() -> None:
    """What the cross-check with unpruned orders is for."""
    lanes, prints = [["read", "write"]] * 2, [[READS, NOTHING]] * 2
    assert {ends(o, lanes) for o in explored(prints)} < {
        ends(o, lanes) for o in explored(prints, prune=False)
    }


@pytest.mark.parametrize("make", [lambda: Drawn(Tape(3)).choose, lambda: Fixed((1, 0, 1)).choose])
def test_an_order_can_be_chosen_again(make: Callable[[], Callable[..., int]]) -> None:
    orders = [[choose(step, (0, 1), []) for step in range(5)] for choose in (make(), make())]
    assert orders[0] == orders[1]


def test_a_fixed_order_goes_on_with_the_lowest_where_it_ends_or_cannot() -> None:
    fixed = Fixed((1, 1))
    assert [fixed.choose(0, (0, 1), []), fixed.choose(1, (0,), []), fixed.choose(2, (0, 1), [])] == [1, 0, 0]
