"""What a server says of itself: version, durability, roles, rights, clock. It must never change anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from avow.model.system import System
from avow.store.driver import Connection
from avow.store.schema.tables import Roles
from avow.store.schema.unheld import unheld
from avow.store.statements import named, text


@dataclass(frozen=True, slots=True)
class Server:
    """The server and its settings, as it says them."""

    version: str
    version_number: int
    fsync: str
    synchronous_commit: str
    full_page_writes: str
    data_checksums: str
    wal_level: str
    max_wal_size: str
    connections_max: int
    encoding: str
    is_standby: bool
    connections: int
    is_superuser: bool
    installed: bool


_APPEND_ONLY = ["audit", "log", "leaf", "node", "checkpoint", "cosignature"]


@dataclass(frozen=True, slots=True)
class Tables:
    """How the tables of Avow and of the application are.

    boundary_known: they were made for this declaration. clock_off_s: more than none where a test fixed it.
    roles_missing, roles_too_wide: of the three. open, writable: tables without forced row-level security,
    and those that the application could write past the commit function. alterable: those of the log whose
    triggers don't refuse every change any more. unheld: rules whose constraint is gone.
    """

    boundary_known: bool
    clock_off_s: float
    roles_missing: tuple[str, ...]
    roles_too_wide: tuple[str, ...]
    open: tuple[str, ...]
    writable: tuple[str, ...]
    alterable: tuple[str, ...]
    unheld: tuple[str, ...]


async def server(connection: Connection) -> Server:
    """Ask the server about itself."""
    row = await connection.fetchrow(named("health.sql")["health_server"].template)
    return Server(**dict(row))


async def oldest_transaction_s(connection: Connection) -> float:
    """How long the longest-running transaction of the database has been open."""
    return await connection.fetchval(named("health.sql")["health_oldest_transaction"].template)


async def ids_used(connection: Connection) -> int:
    """How many transaction ids were used since the oldest that is still needed."""
    return await connection.fetchval(named("health.sql")["health_ids"].template)


async def log(connection: Connection) -> tuple[int, float] | None:
    """How many leaves the newest log has, and how long the oldest entry waits for its own; None: there is no
    log."""
    row = await connection.fetchrow(named("health.sql")["health_log"].template)
    return None if row is None else (row["size"], row["waits_s"])


async def dropped(connection: Connection) -> tuple[int, datetime, str] | None:
    """How many leaves' entries were dropped, when last, and where they are; None: none were."""
    row = await connection.fetchrow(named("health.sql")["health_dropped"].template)
    return None if row is None else (row["leaves"], row["at"], row["exported_to"])


async def log_key(connection: Connection) -> str | None:
    """What the signatures of the newest log are checked with; None: there is no log."""
    return await connection.fetchval(named("health.sql")["health_log_key"].template)


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A witness of the newest log: its key, how long ago it signed last, and how many leaves came since."""

    key: str
    ago_s: float
    leaves: int


async def witnesses(connection: Connection) -> list[Witnessed]:
    """Who has signed checkpoints of the newest log."""
    rows = await connection.fetch(named("health.sql")["health_witnesses"].template)
    return [Witnessed(*row) for row in rows]


async def tables(connection: Connection, system: System) -> Tables:
    """Ask how the tables are; they must be there."""
    sql = {name: text.template for name, text in named("health.sql").items()}
    roles = Roles.of(system)
    found: list[Any] = await connection.fetch(
        sql["health_roles"], [roles.owner, roles.application, roles.reader]
    )
    missing = tuple(row["name"] for row in found if row["missing"])
    security: list[Any] = []
    if roles.application not in missing:
        security = await connection.fetch(
            sql["health_security"], system.name, roles.application, _APPEND_ONLY
        )
    newest = await connection.fetchrow(text("install.sql", "latest_boundary"))
    latest = newest is not None and newest["fingerprint"] == system.fingerprint
    return Tables(
        boundary_known=await connection.fetchval(sql["health_boundary"], system.fingerprint),
        clock_off_s=await connection.fetchval(sql["health_clock"]),
        roles_missing=missing,
        roles_too_wide=tuple(row["name"] for row in found if row["too_wide"]),
        open=tuple(row["place"] for row in security if row["is_open"]),
        writable=tuple(row["place"] for row in security if row["is_writable"]),
        alterable=tuple(row["place"] for row in security if row["is_alterable"]),
        unheld=tuple(await unheld(connection, system)) if latest else (),
    )
