"""Databases for trials: made, cloned and dropped at will, with a clock that is set by hand.

Needs a superuser. Nothing that serves may use it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from avow.model.system import System
from avow.store.cluster import Cluster
from avow.store.driver import Connection
from avow.store.install import create_database, install, login
from avow.store.pool import connect
from avow.store.statements import named, quote, text

PASSWORD = "of a trial"


def login_of(system: System) -> str:
    """The login of the application role that a trial uses."""
    return f"{system.name}_test"


async def make_template(cluster: Cluster, system: System) -> str:
    """A database with the tables of a declaration and a login for it; its name."""
    name = f"template_{system.fingerprint.hex()[:16]}"
    server = await connect(cluster.url())
    try:
        await create_database(server, name)
    finally:
        await server.close()
    connection = await connect(cluster.url(name))
    try:
        await install(connection, system)
        await login(connection, system, login_of(system), PASSWORD)
    finally:
        await connection.close()
    return name


async def clone(cluster: Cluster, template: str, name: str) -> None:
    """Make a database that is a copy of another."""
    await _execute(cluster, "clone", name=quote(name), template=quote(template))


async def drop(cluster: Cluster, name: str) -> None:
    """Remove a database, whoever uses it."""
    await _execute(cluster, "drop", name=quote(name))


async def stop_clock(connection: Connection, moment: datetime) -> None:
    """Fix the database's time, or set it on."""
    await connection.execute(text("trial.sql", "stop_clock"), moment)


async def start_clock(connection: Connection) -> None:
    """Let the database's time run on, as it must where a server starts."""
    await connection.execute(text("trial.sql", "start_clock"))


async def make_ready(connection: Connection) -> None:
    """Let every call that rests between two attempts be ready now."""
    await connection.execute(text("trial.sql", "make_ready"))


async def waiting(connection: Connection) -> list[Any]:
    """What there is to be done: kind, id, name, due, attempt, stuck, detail."""
    return await connection.fetch(text("trial.sql", "waiting"))


async def _execute(cluster: Cluster, statement: str, **values: str) -> None:
    connection = await connect(cluster.url())
    try:
        await connection.execute(named("trial.sql")[statement].substitute(values))
    finally:
        await connection.close()
