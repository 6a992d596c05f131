"""What existing records wait for, brought to a changed declaration.

A time that is new is noted for each record in its state, counted from when it entered it. A call that is new
isn't: nobody asked for it when these records came there, so the change is refused while there are any.
"""

from __future__ import annotations

import json
from typing import Any

from avow.errors import EnvironmentFault
from avow.model.entity import Entity, Transition
from avow.model.system import System
from avow.model.trigger import OnTime
from avow.store.conditions import Compiler
from avow.store.driver import Connection
from avow.store.schema.tables import table_of
from avow.store.statements import named, text


async def demand_calls(connection: Connection, system: System, entity: Entity, known: dict[str, Any]) -> None:
    """Refuse a change under which records would wait for a call that nobody makes, or nobody hears of."""
    for name, state in entity.states.items():
        before = known["states"].get(name)
        new = [] if before is None else sorted(set(state.invoke) - set(before.get("invoke", ())))
        if not new:
            continue
        query = named("install.sql")["count_in_state"].substitute(table=table_of(system, entity))
        count = await connection.fetchval(query, name)
        detail = f"are in {entity.name}.{name}, which didn't call {new[0]} when they came there"
        _demand_none(count, "records", detail, "Give the call a state of its own.")
    for effect in sorted(set(known.get("effects", {})) - set(entity.effects)):
        count = await connection.fetchval(text("waits.sql", "calls_under_way"), entity.name, effect)
        detail = f"of {entity.name}.{effect} are under way, and it is declared no longer"
        _demand_none(count, "calls", detail, "Keep the effect and its state until they have ended.")


def _demand_none(count: int, what: str, detail: str, mend: str) -> None:
    if count:
        said = f"the tables can't follow the declaration: {count} {what} {detail}"
        raise EnvironmentFault("change-refused", said, mend)


async def bring_times(connection: Connection, system: System) -> None:
    """Note every time that records should be waiting for and aren't, and forget those declared no longer.

    Servers of an earlier declaration go on noting none; what they have left out is noted the next time.
    """
    rows = await connection.fetch(text("waits.sql", "boundaries"))
    boundaries = {row["fingerprint"]: json.loads(row["description"])["entities"] for row in rows}
    for entity in system.entities.values():
        timed = [t for t in entity.transitions.values() if isinstance(t.trigger, OnTime)]
        await connection.execute(text("waits.sql", "end_times"), entity.name, [t.name for t in timed])
        for transition in timed:
            knowing = [f for f, known in boundaries.items() if _knows(known, entity, transition)]
            await _begin(connection, system, entity, transition, knowing)


def _knows(entities: dict[str, Any], entity: Entity, transition: Transition) -> bool:
    declared = entities.get(entity.name, {}).get("transitions", {}).get(transition.name, {})
    return "after" in declared.get("trigger", {}) and set(transition.sources) <= set(declared["from"])


async def _begin(
    connection: Connection, system: System, entity: Entity, transition: Transition, knowing: list[bytes]
) -> None:
    trigger = transition.trigger
    if not isinstance(trigger, OnTime):
        return
    due = "NULL::timestamptz" if trigger.at is None else Compiler(system, entity, "r").compile(trigger.at)
    query = named("waits.sql")["timeless"].substitute(table=table_of(system, entity), due=due)
    rows = await connection.fetch(query, list(transition.sources), entity.name, transition.name, knowing)
    found = [
        (row["tenant"], entity.name, row["id"], transition.name, row["version"], at, row["since"])
        for row in rows
        if (at := row["due"] if trigger.delay is None else trigger.delay.due(row["since"])) is not None
    ]
    await connection.executemany(text("waits.sql", "begin_time"), found)
