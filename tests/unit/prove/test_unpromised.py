"""A guard that no promise repeats is named; one that a promise would miss isn't."""

from __future__ import annotations

import pytest

from avow import (
    Entity,
    State,
    World,
    actor,
    always,
    authenticated,
    create,
    field,
    performed,
    read,
    role,
    system,
    transition,
)
from avow.model.values import Subject
from avow.prove import reach
from avow.prove.model import Model
from avow.prove.phase import Bench
from avow.prove.unpromised import unpromised
from tests.canaries.mutants import counted

clerk, treasurer = role("clerk"), role("treasurer")


class Claim(Entity):
    """Money that somebody asks to have back."""

    owner: Subject = field(default=actor)
    cents: int = field(ge=1)
    visible = read(by=authenticated)

    asked, checked = State(initial=True), State()
    paid, refused = State(final=True), State(final=True)

    ask = create(asked, by=authenticated, sets=[cents])
    check = transition(asked, to=checked, by=clerk)
    pay = transition(checked, to=paid, by=treasurer & ~performed(check))
    take_back = transition(asked, to=refused, by=authenticated)


@always("Who checks a claim doesn't pay it.")
def four_eyes(world: World) -> bool:
    claims = world.all(Claim)
    return not any(world.performers(one, Claim.check) & world.performers(one, Claim.pay) for one in claims)


claims = system("claims", Claim, promises=[four_eyes])


async def names(bench: Bench) -> list[str]:
    await Model().run(bench, counted(2_000))
    return [told.split(" ")[0] for told in unpromised(bench.system, bench.coverage, lambda: True)]


async def test_a_guard_is_named_unless_some_promise_says_the_same() -> None:
    assert await names(Bench(claims, 1)) == ["Claim.take_back", "Claim.check"]


async def test_without_its_promise_it_is_named_too() -> None:
    assert await names(Bench(system("claims", Claim), 1)) == ["Claim.take_back", "Claim.check", "Claim.pay"]


async def test_a_run_says_so_with_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "ALONE_S_MAX", 600.0)  # as long as a busy machine needs
    report = await Model().run(Bench(claims, 1), counted(2_000))
    assert any("goes unnoticed: Claim.take_back by authenticated (line " in said for said in report.not_tried)
