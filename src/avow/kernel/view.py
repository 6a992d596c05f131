"""What an actor sees of a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from avow.kernel.command import Key, Record
from avow.kernel.draft import Pool, handle_on
from avow.kernel.plan import EntityPlan, plans_of
from avow.kernel.policy import UnknownRecord, may_read, readable_fields
from avow.model.actor import Actor
from avow.model.system import System


def represent(system: System, record: Record, fields: Iterable[str]) -> dict[str, Any]:
    """A record as JSON: id, version, state, and these fields."""
    return _told(system.derived(plans_of)[record.entity], record, fields)


def _told(plan: EntityPlan, record: Record, fields: Iterable[str]) -> dict[str, Any]:
    shown, values = plan.shown, record.values
    told: dict[str, Any] = {"id": str(record.id), "version": record.version, "state": record.state}
    for name in fields:
        value = values.get(name)
        told[name] = None if value is None else shown[name].dump(value)
    return told


def seen_by(
    system: System, record: Record, actor: Actor, now: datetime, records: Mapping[Key, Record]
) -> dict[str, Any] | None:
    """The record as the actor sees it; None when the actor may not know it exists.

    `records` holds what the read policy follows references to.
    """
    plan = system.derived(plans_of)[record.entity]
    if plan.by_actor and plan.open is not None:  # of the record nothing has to be looked at
        known = plan.may_read(UnknownRecord(actor)) is True
        return _told(plan, record, plan.open) if known else None
    pool = Pool(system, actor, now, {**records, (record.entity, record.id): record}, {})
    if not may_read(pool, record):
        return None
    return _told(plan, record, plan.open or readable_fields(plan.declared, pool, record))


def reading_handle(
    system: System, record: Record, actor: Actor, now: datetime, records: Mapping[Key, Record]
) -> Any:
    """A handle on a record for who may only read it, and what its references lead to in `records`."""
    pool = Pool(system, actor, now, {**records, (record.entity, record.id): record}, {})
    return handle_on(pool, record.key, None, None)
