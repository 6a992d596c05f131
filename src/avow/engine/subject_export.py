"""All that is held about one person, as they may ask for it: in clear, and with why it is there."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from avow.engine.explain import Operator, history
from avow.engine.privacy import Vault
from avow.kernel.view import represent
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import instant
from avow.store.loading import plan_record
from avow.store.reads import Reads
from avow.store.subjects import Subjects

HISTORY_AT_ONCE = 500
_OTHERS = {
    "did": "acts_of",
    "was_refused": "refusals_of",
    "did_with_tasks": "tasks_of",
    "api_keys": "api_keys_of",
    "subscriptions": "subscriptions_of",
}
"""What else is told of a person, by the member of the document, and the statement that finds it."""


async def export(
    system: System, reads: Reads, subjects: Subjects, vault: Vault, tenant: str, subject: str
) -> dict[str, Any]:
    """The document. `private`: every private value in clear, with the entry that brought it; `records`: those
    that name the person, with their histories, in which private values are the digests of `private`, and with
    the calls that were told any.
    """
    private = await subjects.told("private_of", subject)
    found: dict[str, Any] = {"subject": subject, "tenant": tenant, "at": instant(await reads.now())}
    found["private"] = [_private(row, await vault.read(tenant, row)) for row in private]
    keys = {(row["kind"], row["id"]) for row in private}
    for entity in system.entities.values():
        keys |= {(entity.name, record) for record in await subjects.records(entity, subject)}
    found["records"] = [await _record(system, reads, tenant, kind, record) for kind, record in sorted(keys)]
    for member, name in _OTHERS.items():
        found[member] = [_plain(row) for row in await subjects.told(name, subject)]
    found["held_by_law"] = [_plain(row) for row in await subjects.holds(subject)]
    return found


def _private(row: dict[str, Any], value: Any) -> dict[str, Any]:
    header = json.loads(row["header"])
    why = {name: header[name] for name in ("at", "transition", "from", "to", "request", "boundary")}
    return {
        "kind": row["kind"],
        "id": str(row["id"]),
        "field": row["field"],
        "value": value,
        "digest": row["digest"],
        "version": row["version"],
        "why": {"entry": row["entry"], "by": header["actor"]["subject"], **why},
    }


async def _record(system: System, reads: Reads, tenant: str, kind: str, record: UUID) -> dict[str, Any]:
    entity, operator = system.entities[kind], Operator(tenant)
    loaded = await reads.load(plan_record(system, entity, ()), tenant, record)
    held = loaded.records.get((kind, record))
    items, after = list[dict[str, Any]](), 0
    while page := await history(system, reads, operator, entity, record, after, HISTORY_AT_ONCE):
        items += page
        after = page[-1]["version"]
    shown = None if held is None else represent(system, held, entity.fields)
    told = [_told(entity, item) for item in items if item["from"] != item["to"] and _reveals(entity, item)]
    return {"kind": kind, "id": str(record), "is": shown, "told_to": told, "history": items}


def _reveals(entity: Entity, item: dict[str, Any]) -> bool:
    """Whether an entry led to a state, as it is declared now, whose calls are told private values."""
    state = entity.states.get(item["to"])
    return state is not None and bool(state.reveals)


def _told(entity: Entity, item: dict[str, Any]) -> dict[str, Any]:
    """To whom private values were to be told because of an entry, and what for."""
    state = entity.states[item["to"]]
    calls = [entity.effects[name] for name in state.invoke]
    return {
        "version": item["version"],
        "at": item["at"],
        "fields": list(state.reveals),
        "calls": [
            {"call": call.name, "destination": call.destination, "purpose": call.doc.partition("\n\n")[0]}
            for call in calls
        ],
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    return str(value) if isinstance(value, UUID) else value
