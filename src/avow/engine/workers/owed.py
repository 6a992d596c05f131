"""What is owed: calls, times, events and deliveries that are stuck, as tasks in the inboxes of roles.

Such a task begins when work gets stuck and ends when it isn't any more, however that comes about; the
database sees to both. Here stands what is told of it: what is stuck and why, under which key the other side
knows the call, and what can be done about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avow.engine.workers.doing import provider_key
from avow.kernel.tasks import OF_OPERATORS, OPERATORS
from avow.model.effect import FAILED, Effect
from avow.model.system import System
from avow.model.trigger import EVENTS

RETRY, SKIP, COMPENSATE, SETTLE = "retry", "skip", "compensate", "settle"
"""What can be done about one work; all but `settle` also about all of a set."""


def inbox_name(role: str) -> str:
    """The name of the inbox of a role, as people see it."""
    return OPERATORS if role == OF_OPERATORS else role


def effect_of(system: System, item: Mapping[str, Any]) -> Effect | None:
    """The effect that a work calls; None where it is no call, or none that is declared any more."""
    entity = system.entities.get(item["kind"])
    return None if entity is None else entity.effects.get(item["name"])


def may_fail(system: System, item: Mapping[str, Any], effect: Effect) -> bool:
    """Whether it is declared what follows where the call fails; else it has to be done."""
    return bool(system.entities[item["kind"]].of_command(f"{effect.name}.{FAILED}"))


def owed(system: System, item: Mapping[str, Any]) -> dict[str, Any]:
    """What is owed, of a work that is stuck."""
    return {
        "work": item["work"],
        "name": item["name"],
        "destination": item["destination"],
        "key": provider_key(item["key"], item["generation"]),
        "attempt": item["attempt"],
        "unclear": item["unclear"],
        "stuck": item["stuck"],
        "detail": item["detail"],
        "ways": ways_of(system, item),
    }


def ways_of(system: System, item: Mapping[str, Any]) -> Sequence[str]:
    """What can be done about it, each below its `path`; whether its record takes it is seen then."""
    effect = effect_of(system, item)
    if effect is None:
        return [RETRY, SKIP]
    skips = may_fail(system, item, effect) and not item["unclear"]
    return [SETTLE, RETRY, *([SKIP] if skips else [])]


def record_of(item: Mapping[str, Any]) -> str | None:
    """The record that it is about; None of an event, which may have come before there is one."""
    return None if item["destination"] == EVENTS else str(item["id"])
