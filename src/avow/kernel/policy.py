"""Policies: who may read, who may do, and which clause stands in the way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from avow.kernel.command import Record
from avow.kernel.draft import Pool, RecordScope
from avow.kernel.plan import TransitionPlan
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.expression import (
    All,
    AnyOf,
    Authenticated,
    Everybody,
    Expression,
    HasRole,
    Internal,
    Not,
    Path,
    Performed,
    evaluate,
)  # fmt: skip
from avow.model.types import Value

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownRecord:
    """A scope in which nothing is known but the actor."""

    internal = False
    now = _NEVER

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def value(self, path: Path) -> Value:
        return None

    def state(self, path: Path) -> str | None:
        return None

    def performers(self, transition: str) -> tuple[str, ...] | None:
        return None

    def argument(self, name: str) -> Value:
        return None

    def handle(self) -> Any:
        return None


def certainly_may(policy: Expression, actor: Actor) -> bool:
    """Whether the policy is true for this actor whatever the record is."""
    return evaluate(policy, UnknownRecord(actor)) is True


def never_may(policy: Expression, actor: Actor) -> bool:
    """Whether the policy is false for this actor whatever the record is: the right to call at all."""
    return _possible(policy, UnknownRecord(actor)) is False


def _possible(policy: Expression, scope: UnknownRecord) -> bool | None:
    """As `evaluate`, but a missing value is one that isn't known: `missing(x)` is unknown too."""
    match policy:
        case All(parts):
            held = [_possible(part, scope) for part in parts]
            return False if False in held else None if None in held else True
        case AnyOf(parts):
            held = [_possible(part, scope) for part in parts]
            return True if True in held else None if None in held else False
        case Not(part):
            held = _possible(part, scope)
            return None if held is None else not held
        case Everybody() | Authenticated() | Internal() | HasRole():
            return evaluate(policy, scope)
        case _:
            return None


def may(pool: Pool, record: Record, transition: TransitionPlan, internal: bool = False) -> bool:
    """Whether the policy of a transition permits it on this record."""
    return transition.may(RecordScope(pool, record, internal)) is True


def may_read(pool: Pool, record: Record) -> bool:
    """Whether the actor may know this record."""
    return pool.plans[record.entity].may_read(RecordScope(pool, record)) is True


def readable_fields(entity: Entity, pool: Pool, record: Record) -> tuple[str, ...]:
    """The fields of a record that the actor may see, in declared order."""
    plan = pool.plans[entity.name]
    if plan.open is not None:
        return plan.open
    scope = RecordScope(pool, record)
    return tuple(
        [name for name, (may_read, _) in plan.shown.items() if may_read is None or may_read(scope) is True]
    )


def allowed(pool: Pool, record: Record) -> list[str]:
    """The commands that are declared from a record's state and permitted by policy, in declared order."""
    found = [
        plan.declared.command
        for plan in pool.plans[record.entity].transitions.values()
        if record.state in plan.declared.sources and may(pool, record, plan)
    ]
    return list(dict.fromkeys(found))


def unmet(pool: Pool, record: Record, policy: Expression, internal: bool = False) -> Expression:
    """The first clause that isn't true: of a conjunction the part, else the whole."""
    scope = RecordScope(pool, record, internal)
    if isinstance(policy, All):
        for part in policy.parts:
            if evaluate(part, scope) is not True:
                return unmet(pool, record, part, internal)
    return policy


def could(policy: Expression, scope: RecordScope) -> bool | None:
    """Whether the policy could permit the scope's actor, whose roles nobody knows; None: that depends."""
    match policy:
        case All(parts):
            held = [could(part, scope) for part in parts]
            return False if False in held else None if None in held else True
        case AnyOf(parts):
            held = [could(part, scope) for part in parts]
            return True if True in held else None if None in held else False
        case Not(part):
            held = could(part, scope)
            return None if held is None else not held
        case HasRole():
            return None
        case _:
            return evaluate(policy, scope)


def is_four_eyes(clause: Expression) -> bool:
    """Whether a clause asks for another person than the one who performed a step."""
    return isinstance(clause, Not) and isinstance(clause.part, Performed)
