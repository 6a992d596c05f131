"""What the functions of calls are tried with: each look of what they name, with numbers that differ."""

from __future__ import annotations

from typing import Any

from avow import (
    Call,
    Entity,
    State,
    authenticated,
    create,
    effect,
    field,
    invariant,
    missing,
    read,
    ref,
    system,
    transition,
)
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.search import search
from avow.prove.explore.shape import Shapes
from avow.prove.explore.situation import Happened, happen
from avow.prove.functions import roots_of
from avow.prove.model import coverage_of
from avow.prove.phase import Bench


@effect(destination="payment")
async def send_back(refund: Refund, call: Call) -> None:
    payment = refund.order.second if refund.on_second else refund.order.first
    await call.http.post(f"/payments/{payment}/refund", json={"amount": refund.on_first + refund.on_second})


class Order(Entity):
    """Something that was paid for with one card or two."""

    first: str = field(max_length=20)
    second: str | None = field(max_length=20)
    visible = read(by=authenticated)
    paid = State(initial=True, final=True)
    pay = create(paid, by=authenticated, sets=[first, second])


class Refund(Entity):
    """What is given back of it."""

    order: Order = ref()
    on_first: int = field(ge=0)
    on_second: int = field(ge=0)
    fits = invariant(on_first + on_second <= 5, "There isn't so much.")
    visible = read(by=authenticated)
    asked, done, refused = State(initial=True, invoke=send_back), State(final=True), State(final=True)
    ask = create(
        asked, by=authenticated, sets=[order, on_first, on_second],
        when=(on_second == 0) | ~missing(order.second),
    )  # fmt: skip
    sent = transition(asked, to=done, on=send_back.done)
    not_sent = transition(asked, to=refused, on=send_back.failed)


SHOP = system("shop", Order, Refund)


def test_a_function_is_tried_with_each_look_of_what_it_names_and_with_numbers_that_differ() -> None:
    coverage = coverage_of(SHOP, [search(Scope(SHOP, ("Order", "Refund")), lambda _: True)])
    asked: list[Any] = [(path[0].input["second"], *path[1].input.values()) for path in coverage.calls]
    looks = {(second is not None, first > 0, other > 0) for second, _, first, other in asked}
    assert len(looks) == len(asked) == 6, "with another card whatever of the two, without it nothing on it"
    assert all(first != other for _, _, first, other in asked if first and other)
    bench = Bench(SHOP, 0, coverage=coverage)
    assert {*coverage.calls} <= {*roots_of(bench)}


def test_where_a_search_has_come_to_its_end_no_act_leads_to_anything_new() -> None:
    found, shapes = search(Scope(SHOP, ("Order", "Refund")), lambda _: True), Shapes(SHOP)
    assert found.closed
    known = {shapes.shape_of(node.situation).key for node in found.nodes}
    for at, node in enumerate(found.nodes):
        for act in Acts(found.scope).possible(node.situation, at):
            outcome = happen(SHOP, node.situation, act)
            if isinstance(outcome, Happened):
                assert shapes.shape_of(outcome.after).key in known, act
