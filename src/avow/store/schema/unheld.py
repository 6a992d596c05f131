"""Rules of a declaration that its tables don't hold any more: somebody has dropped a constraint."""

from __future__ import annotations

from avow.model.system import System
from avow.store.driver import Connection
from avow.store.schema.tables import constraints_of
from avow.store.statements import text


async def unheld(connection: Connection, system: System) -> list[str]:
    """The rules whose constraint isn't there as it was made; for the declaration that the tables are of."""
    found = list[str]()
    for entity in system.entities.values():
        rows = await connection.fetch(text("install.sql", "constraints"), system.name, entity.plural)
        held = {row["name"]: row["comment"] for row in rows}
        wanted = (c for c in constraints_of(system, entity) if c.definition)
        found += [c.rule for c in wanted if held.get(c.name) != c.definition]
    return found
