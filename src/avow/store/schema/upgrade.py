"""The version of Avow's own tables: which one this code works on, and how older tables are brought there.

Whoever installs carries out the steps in sql/upgrade.sql, in the same transaction and as the owner. Whoever
serves only asks for the version.
"""

from __future__ import annotations

from typing import Final

from avow.errors import EnvironmentFault
from avow.model.system import System
from avow.store.driver import Connection
from avow.store.schema.tables import Roles
from avow.store.statements import named, quote, text

VERSION: Final = 3
"""Of the tables that schema.sql makes, and the number of the last step in upgrade.sql."""

UNCOUNTED: Final = 0
"""The version of tables that were made before their versions were counted."""


async def held(connection: Connection) -> int:
    """The version that the tables of a database have; they must be there."""
    if not await connection.fetchval(text("upgrade.sql", "upgrades_counted")):
        return UNCOUNTED
    return await connection.fetchval(text("upgrade.sql", "newest_upgrade")) or UNCOUNTED


async def demand(connection: Connection) -> None:
    """Refuse tables of any version but this code's. Raises EnvironmentFault with what to do."""
    version = await held(connection)
    _demand_not_newer(version)
    if version < VERSION:
        raise EnvironmentFault(
            "tables-older",
            f"Avow's own tables have version {version}, and this Avow works on version {VERSION}",
            "Run `avow migrate` once with a URL of the database's owner or a superuser; nothing is lost.",
        )


async def bring_up(connection: Connection, system: System) -> bool:
    """Bring older tables to this version, in the transaction and under the lock of an installation; True if
    something was to be done. Raises EnvironmentFault for tables that are newer, or too old."""
    version = await held(connection)
    _demand_not_newer(version)
    if version == UNCOUNTED and not await connection.fetchval(text("upgrade.sql", "upgrades_countable")):
        raise EnvironmentFault(
            "tables-too-old",
            "Avow's own tables are of a time before there were receipts",
            "Bring them up with an Avow of that time first, or begin with a fresh database.",
        )
    roles = Roles.of(system)
    await connection.execute(f"SET LOCAL ROLE {quote(roles.owner)}")
    for step in range(version + 1, VERSION + 1):
        await connection.execute(named("upgrade.sql")[f"upgrade_{step}"].substitute(roles.quoted()))
        await connection.execute(text("upgrade.sql", "record_upgrade"), step)
    await connection.execute("RESET ROLE")
    return version < VERSION


def _demand_not_newer(version: int) -> None:
    if version > VERSION:
        raise EnvironmentFault(
            "tables-newer",
            f"Avow's own tables have version {version}; this Avow knows them up to version {VERSION}",
            "Use the Avow that made them, or a newer one: `pip install --upgrade avow`.",
        )
