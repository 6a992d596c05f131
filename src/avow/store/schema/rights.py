"""Whether a connection has the rights of the application, and no more."""

from __future__ import annotations

from avow.errors import EnvironmentFault
from avow.model.system import System
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.schema import upgrade
from avow.store.schema.tables import Roles
from avow.store.statements import text

VERSION_MIN = 150_000


async def demand_fit(url: str, system: System) -> None:
    """Refuse a database that a system can't be served on: its login, its tables, its clock.

    Raises EnvironmentFault with what to do.
    """
    connection = await connect(url)
    try:
        await demand_application_rights(connection, system)
        await upgrade.demand(connection)
        await demand_boundary(connection, system)
        await demand_running_clock(connection)
    finally:
        await connection.close()


async def demand_application_rights(connection: Connection, system: System) -> None:
    """Refuse to serve on this connection unless it can do exactly what the application may.

    Raises EnvironmentFault with every surplus right, or with what is missing.
    """
    roles = Roles.of(system)
    row = await connection.fetchrow(text("rights.sql", "rights"), roles.owner, roles.application, system.name)
    demand_version(row["version"])
    surplus = [said for column, said in _SURPLUS.items() if row[column]]
    if surplus:
        raise EnvironmentFault(
            "rights-too-wide",
            f"the database login {row['login']} {', '.join(surplus)}; the boundaries wouldn't hold",
            f"Serve with a login that is only a member of {roles.application}: {roles.login_statement()}",
        )
    if not row["installed"]:
        raise no_tables()
    if not row["is_application"]:
        raise EnvironmentFault(
            "rights-missing",
            f"the database login {row['login']} isn't a member of {roles.application}",
            f"GRANT {roles.application} TO {row['login']};",
        )


_INSTALL = "Run `avow migrate` once with a URL of the database's owner or a superuser."

_SURPLUS = {
    "superuser": "is a superuser",
    "bypasses_rows": "bypasses row-level security",
    "creates_roles": "may create roles",
    "creates_databases": "may create databases",
    "replicates": "may replicate",
    "reaches_files": "may reach the server's files or run its programs",
    "predefined": "is a member of a predefined role that reaches all data or other sessions",
    "owns_database": "owns the database",
    "is_owner": "is a member of the owner role",
    "owns_objects": "owns tables or functions",
    "creates_objects": "may create objects beside the tables",
    "writes_tables": "may write tables directly",
    "reads_secrets": "may read the API keys or the refusals",
}


def no_tables() -> EnvironmentFault:
    """What is said of a database that Avow was never installed in."""
    return EnvironmentFault("tables-missing", "the database has no tables of Avow", _INSTALL)


def demand_version(version: int) -> None:
    """Refuse a server that is too old. `version` as in server_version_num."""
    if version < VERSION_MIN:
        raise EnvironmentFault(
            "database-too-old", f"PostgreSQL {version // 10_000} is too old", "Use PostgreSQL 15 or newer."
        )


def demand_encoding(encoding: str) -> None:
    """Refuse a database that can't keep every text. `encoding` as in server_encoding."""
    if encoding != "UTF8":
        raise EnvironmentFault(
            "database-encoding",
            f"the database keeps text in {encoding}, which has no place for most of it",
            "Make one that does: CREATE DATABASE a_name ENCODING 'UTF8' TEMPLATE template0;",
        )


async def demand_own_tables(connection: Connection, system: System) -> None:
    """Refuse a database that has no tables, or another application's, or tables of another Avow's version."""
    if not await demand_owner(connection, system):
        raise no_tables()
    await upgrade.demand(connection)


async def demand_owner(connection: Connection, system: System) -> bool:
    """Refuse a database in which another application has its tables: one has one database.

    Gives back whether there are any.
    """
    owner = await connection.fetchval(text("rights.sql", "tables_owner"))
    if owner is not None and owner != Roles.of(system).owner:
        raise EnvironmentFault(
            "database-foreign",
            f"the tables in this database belong to {owner.removesuffix('_owner')}, not to {system.name}",
            f"Use a database of its own for {system.name}, or the name that it had before.",
        )
    return owner is not None


async def demand_boundary(connection: Connection, system: System) -> None:
    """Refuse to serve a declaration that the tables weren't made for."""
    known = await connection.fetchval(text("rights.sql", "boundary_known"), system.fingerprint)
    if not known:
        raise EnvironmentFault(
            "boundary-unknown", "the tables were made for another version of the declaration", _INSTALL
        )


async def demand_running_clock(connection: Connection) -> None:
    """Refuse a database whose clock a test has fixed."""
    if await connection.fetchval(text("rights.sql", "clock_fixed")):
        raise EnvironmentFault(
            "clock-fixed", "the clock of this database is fixed, as tests do", "DELETE FROM avow.clock;"
        )
