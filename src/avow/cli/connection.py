"""Which database a command works on: AVOW_DATABASE_URL, or the embedded one that `avow dev` has made.

It must never make a database: what isn't there is an answer, not something to be mended in passing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from avow.cli import output
from avow.cli.home import home_folder
from avow.errors import EnvironmentFault, ProblemError
from avow.model.system import System
from avow.store import driver
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.schema.rights import demand_own_tables
from avow.store.server import cluster, placement

Answer = TypeVar("Answer")

_NO_ANSWER = ("busy", "database-unavailable")
"""What a pool says where no connection can be made: to clients of a server, who may ask again."""


@contextmanager
def database_url(system: System) -> Generator[str]:
    """The address to work on, as the owner or a superuser; an embedded server runs at least as long.

    Raises EnvironmentFault where there is neither a setting nor an embedded database, where that doesn't
    answer, where the tables that are asked aren't those of the declaration, and where the login may not read
    them.
    """
    url = os.environ.get("AVOW_DATABASE_URL")
    try:
        with nullcontext(url) if url else _embedded(system) as found:
            yield found
    except driver.Undefined:
        raise EnvironmentFault(
            "tables-other",
            f"the tables in this database weren't made for {system.name} as it is declared",
            "Run `avow migrate` with the owner's URL, or check AVOW_DATABASE_URL.",
        ) from None
    except ProblemError as error:
        if error.problem.code not in _NO_ANSWER:
            raise
        detail = error.problem.detail or error.problem.type.title
        mend = "Start it, or check AVOW_DATABASE_URL; then look at what was done before you repeat it."
        raise EnvironmentFault(error.problem.code, detail, mend) from None
    except driver.InsufficientPrivilege as error:
        raise EnvironmentFault(
            "rights-missing",
            f"this login may not look there: {error}",
            f"Use one of the database's owner, or a member of {system.name}_owner, in AVOW_DATABASE_URL.",
        ) from None


def ask_database(system: System, ask: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    """Ask it something over one connection, with the rights of `database_url`.

    Raises as that does, and for tables of another application or of another Avow's version.
    """

    async def run(url: str) -> Answer:
        connection = await connect(url)
        try:
            await demand_own_tables(connection, system)
            return await ask(connection)
        finally:
            await connection.close()

    with database_url(system) as url:
        return asyncio.run(run(url))


def ask_pool(system: System, ask: Callable[[Pool], Awaitable[Answer]], connections: int = 1) -> Answer:
    """Ask it something over so many connections at most. As `ask_database` otherwise."""

    async def run(url: str) -> Answer:
        pool = Pool(url, connections)
        try:
            async with pool.borrow() as connection:
                await demand_own_tables(connection, system)
            return await ask(pool)
        finally:
            await pool.close()

    with database_url(system) as url:
        return asyncio.run(run(url))


@contextmanager
def _embedded(system: System) -> Generator[str]:
    home = home_folder(os.environ)
    if placement.existing(home) is None:
        raise EnvironmentFault(
            "database-missing",
            f"AVOW_DATABASE_URL isn't set, and there is no database in {home}",
            "Set AVOW_DATABASE_URL, run `avow dev` first, or go to the folder that it was run in.",
        )
    with cluster.start(home, progress=output.talk) as lease:
        yield lease.cluster.url(system.name)
