"""What a record waits for: which calls and times begin and end with one transition of it.

A call belongs to the state that invokes it, and a deadline to the state that it stands in. Going from a state
to itself begins and ends nothing, except that a time given by a field moves with the field. Going to another
state that invokes the same effect goes on waiting for the same call, unless that has just ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from avow.kernel.command import NOTHING, Record, Wait
from avow.kernel.draft import Pool, RecordScope
from avow.kernel.plan import Alarm, StatePlan, TransitionPlan
from avow.model.effect import Effect


def waits_of(
    pool: Pool, plan: TransitionPlan, before: Record | None, after: Record
) -> Mapping[str, Wait | None]:
    """What begins (a Wait) and what ends (None), by the name of the effect or the transition."""
    states = pool.plans[after.entity].states
    here = states[after.state]
    if before is not None and before.state == after.state and plan.hears is None:
        return _staying(pool, plan, here, before, after)
    left = NO_WAITS if before is None else states[before.state]
    found: dict[str, Wait | None] = {alarm.name: None for alarm in left.alarms}
    for name in left.effects:
        if name not in here.effects or name == plan.hears:
            found[name] = None
    for alarm in here.alarms:
        due = _due(pool, alarm, after)
        if due is not None:
            found[alarm.name] = Wait(due)
    for name, effect in here.effects.items():
        if name not in left.effects or name == plan.hears:
            found[name] = _call(pool, effect, after)
    return found


NO_WAITS = StatePlan({}, ())


def _staying(
    pool: Pool, plan: TransitionPlan, here: StatePlan, before: Record, after: Record
) -> Mapping[str, Wait | None]:
    found: dict[str, Wait | None] = {}
    for alarm in here.alarms:
        if alarm.at is not None:
            was, due = _due(pool, alarm, before), _due(pool, alarm, after)
            if was != due:
                found[alarm.name] = None if due is None else Wait(due)
        elif plan.again and alarm.name == plan.declared.name:
            due = _due(pool, alarm, after)
            found[alarm.name] = None if due is None else Wait(due)
    return found or NOTHING


def _due(pool: Pool, alarm: Alarm, record: Record) -> datetime | None:
    if alarm.delay is not None:
        return alarm.delay.due(pool.now)
    due: Any = None if alarm.at is None else alarm.at(RecordScope(pool, record))
    return due if isinstance(due, datetime) else None


def _call(pool: Pool, effect: Effect, record: Record) -> Wait:
    line = "" if effect.ordered_by is None else record.values.get(effect.ordered_by)
    return Wait(pool.at_once, effect.destination, "" if line is None else str(line))
