"""Whom a policy can ever let through; checked against evaluating it for every sort of actor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies

from avow.api.reach import certain_for_authenticated, possible, possible_for_anonymous
from avow.model import expression as ast
from avow.model.actor import Actor, anonymous
from avow.model.values import Subject

OWNER = ast.Compare("==", ast.ActorSubject(), ast.FieldOf(("owner",)))
CLAUSES: list[ast.Expression] = [
    ast.Everybody(), ast.Authenticated(), ast.Internal(), ast.HasRole("clerk"), ast.Performed("check"), OWNER,
    ast.Missing(ast.ActorSubject()), ast.Compare(">", ast.FieldOf(("size",)), ast.Const(1)), ast.Const(True),
]  # fmt: skip
POLICIES: strategies.SearchStrategy[ast.Expression] = strategies.recursive(
    strategies.sampled_from(CLAUSES),
    lambda inner: strategies.one_of(
        strategies.builds(ast.Not, inner),
        strategies.builds(ast.All, strategies.tuples(inner, inner)),
        strategies.builds(ast.AnyOf, strategies.tuples(inner, inner)),
    ),
    max_leaves=6,
)
ACTORS = [anonymous("t"), Actor(Subject("ann"), "t"), Actor(Subject("bob"), "t", frozenset({"clerk"}))]


@dataclass
class Scope:
    """A record of Ann's, of some size, checked by somebody."""

    actor: Actor
    size: int | None
    checkers: tuple[str, ...]
    now = datetime(2026, 11, 21, tzinfo=UTC)
    internal = False

    def value(self, path: ast.Path) -> Any:
        return {"owner": Subject("ann"), "size": self.size}[path[0]]

    def state(self, path: ast.Path) -> str | None:
        return "open"

    def performers(self, transition: str) -> tuple[str, ...] | None:
        return self.checkers

    def argument(self, name: str) -> Any:
        return None

    def handle(self) -> Any:
        return None


def outcomes(policy: ast.Expression, actor: Actor) -> set[bool | None]:
    """What the policy says to this actor, over all records."""
    scopes = [Scope(actor, size, checkers) for size in (None, 1, 2) for checkers in ((), ("ann", "bob"))]
    return {ast.evaluate(policy, scope) for scope in scopes}


@given(POLICIES)
def test_nobody_who_is_permitted_was_called_impossible(policy: ast.Expression) -> None:
    for actor in ACTORS:
        if True in outcomes(policy, actor):
            assert possible(policy)
            assert actor.authenticated or possible_for_anonymous(policy)


@given(POLICIES)
def test_nobody_who_is_refused_was_called_certain(policy: ast.Expression) -> None:
    if certain_for_authenticated(policy):
        for actor in ACTORS[1:]:
            assert outcomes(policy, actor) == {True}


@pytest.mark.parametrize(
    ("policy", "outside", "nobody", "everyone"),
    [
        (ast.Everybody(), True, True, True),
        (ast.Authenticated(), True, False, True),
        (ast.HasRole("clerk"), True, False, False),
        (ast.Internal(), False, False, False),
        (ast.AnyOf((ast.Internal(), ast.HasRole("clerk"))), True, False, False),
        (ast.All((ast.Internal(), ast.Everybody())), False, False, False),
        (ast.Not(ast.Internal()), True, True, True),
        (OWNER, True, False, False),
        (ast.Not(OWNER), True, False, False),
        (ast.AnyOf((OWNER, ast.Everybody())), True, True, True),
        (ast.Not(ast.Performed("check")), True, True, False),
    ],
)
def test_what_is_told_from_the_text_of_a_policy(
    policy: ast.Expression, outside: bool, nobody: bool, everyone: bool
) -> None:
    assert possible(policy) is outside
    assert possible_for_anonymous(policy) is nobody
    assert certain_for_authenticated(policy) is everyone
