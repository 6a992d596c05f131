"""Databases for trials: made, cloned and dropped at will, with a clock that is set by hand.

Needs a superuser. Nothing that serves may use it.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from avow.errors import EnvironmentFault
from avow.model.entity import Entity
from avow.model.system import System
from avow.store import health
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.schema.install import create_database, install, login
from avow.store.schema.rights import VERSION_MIN
from avow.store.schema.tables import constraints_of, table_of
from avow.store.server import cluster as clusters
from avow.store.server.cluster import Cluster, Lease
from avow.store.statements import literal, named, quote, text

SETTINGS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_compression": "off",
    "max_wal_size": "256MB",
    "max_connections": "100",
}
"""What a crash does to the disk isn't under test."""
PREFIX: Final = "avow-trial-"
HOME: Final = ".avow"
SETTLED_S: Final = 60.0
"""A folder younger than this may be one whose server is just being started."""
MEMORY: Final = Path("/dev/shm")
"""Where Linux keeps files in memory: a database of its many small files is made there many times quicker."""
MEMORY_BYTES_MIN: Final = 2**30


class Server(Protocol):
    """A server on which databases may be made."""

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, of a superuser."""
        ...


def own_server() -> Cluster:
    """A server of this process alone, without fsync, started when it is first needed.

    Nothing of it is left when the process ends.
    """
    return _own()[1].cluster


@cache
def _own() -> tuple[Path, Lease]:
    """The home of that server, and the lease on it."""
    memory = _in_memory()
    _sweep(Path(tempfile.gettempdir()) if memory is None else memory)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory))
    folder.chmod(0o755)  # as root, the server runs under another account
    home = folder / HOME
    try:
        lease = clusters.start(home, settings=SETTINGS)
    except BaseException:  # whoever is interrupted here has nothing yet that would be put away in the end
        _remove(folder)
        raise

    def end() -> None:
        lease.release()
        _remove(folder)

    atexit.register(end)
    return home, lease


def _remove(folder: Path) -> None:
    clusters.destroy(folder / HOME)
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(where: Path) -> None:
    """Put away the servers of processes that were killed. One that can't be is in nobody's way."""
    for folder in where.glob(f"{PREFIX}*"):
        with suppress(OSError, EnvironmentFault):
            settled = time.time() - folder.stat().st_mtime > SETTLED_S
            if settled and clusters.is_left(folder / HOME):
                _remove(folder)


def crash_own_server() -> None:
    """Let the server of this process crash, and recover. Every session on it is gone.

    Raises EnvironmentFault where it doesn't start again under its address.
    """
    home, lease = _own()
    clusters.stop(home, "immediate")
    again = clusters.start(home, settings=SETTINGS)
    again.release()  # the first lease goes on
    if again.cluster.port != lease.cluster.port:
        raise EnvironmentFault(
            "port-taken", f"another program took port {lease.cluster.port} meanwhile", "Run it again."
        )


async def settle(connection: Connection) -> None:
    """Let what was committed so far survive a crash, as it does where commits wait for the disk."""
    await connection.execute(text("trial.sql", "settle"))


async def end_process(connection: Connection, process: int) -> None:
    """End a session of the server, whatever it is doing."""
    await connection.execute(text("trial.sql", "end_process"), process)


def _in_memory() -> Path | None:
    """A folder in memory with room enough; None where the usual one for temporary files has to do."""
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        return None
    return MEMORY if free >= MEMORY_BYTES_MIN and os.access(MEMORY, os.W_OK | os.X_OK) else None


class Account(NamedTuple):
    """A login that is a member of an application role, and of nothing else."""

    name: str
    password: str


def account_of(system: System) -> Account:
    """The one that trials use on a server of this process alone, where nobody else can try it."""
    return Account(f"{system.name}_test", "of a trial")


def account_for_once() -> Account:
    """One for a server that others use as well."""
    return Account(f"prove_{secrets.token_hex(6)}", secrets.token_urlsafe(24))


async def require_server(url: str) -> None:
    """Raise EnvironmentFault unless databases may be made on the server of an address."""
    connection = await connect(url, given_by="--server")
    try:
        seen = await health.server(connection)
    finally:
        await connection.close()
    if seen.version_number < VERSION_MIN:
        said = f"PostgreSQL {seen.version} is too old"
        raise EnvironmentFault("database-too-old", said, "Use PostgreSQL 15 or newer.")
    if not seen.is_superuser:
        raise EnvironmentFault(
            "server-login", "this login isn't a superuser's", "Name one, on a server that you can spare."
        )


async def make_template(server: Server, system: System, account: Account, of: str = "") -> str:
    """A database with the tables of a declaration and a login for it; its name. of: tells it from others."""
    name = f"template_{system.fingerprint.hex()[:16]}{of}"
    connection = await connect(server.url())
    try:
        await create_database(connection, name)
    finally:
        await connection.close()
    connection = await connect(server.url(name))
    try:
        await install(connection, system)
        await login(connection, system, *account)
    finally:
        await connection.close()
    return name


async def clone(server: Server, template: str, name: str) -> None:
    """Make a database that is a copy of another."""
    await _execute(server, "clone", name=quote(name), template=quote(template))


async def without_delay(server: Server, name: str) -> None:
    """Let nothing in a database wait for the disk."""
    await _execute(server, "without_delay", name=quote(name))


async def drop(server: Server, name: str) -> None:
    """Remove a database, whoever uses it."""
    await _execute(server, "drop", name=quote(name))


async def drop_account(server: Server, account: Account) -> None:
    """Remove a login."""
    await _execute(server, "drop_account", name=quote(account.name))


async def stop_clock(connection: Connection, moment: datetime) -> None:
    """Fix the database's time, or set it on."""
    await connection.execute(text("trial.sql", "stop_clock"), moment)


async def start_clock(connection: Connection) -> None:
    """Let the database's time run on, as it must where a server starts."""
    await connection.execute(text("trial.sql", "start_clock"))


async def make_ready(connection: Connection) -> None:
    """Let every call that rests between two attempts be ready now."""
    await connection.execute(text("trial.sql", "make_ready"))


async def version(connection: Connection) -> str:
    """The server's version, such as 18.4."""
    number: int = await connection.fetchval(text("install.sql", "server_version"))
    return f"{number // 10_000}.{number % 10_000}"


async def make_copies(connection: Connection, system: System) -> None:
    """Let what a database holds be copied out, and put back."""
    rows = await connection.fetch(text("trial.sql", "lasting_tables"), system.name)
    tables = [(f"{quote(row[0])}.{quote(row[1])}", literal(f"{row[0]}.{row[1]}")) for row in rows]
    parts = named("trial.sql")

    def each(part: str) -> list[str]:
        return [parts[part].substitute(table=table, key=key).strip() for table, key in tables]

    deletes, inserts = each("put_back_delete"), each("put_back_insert")
    await connection.execute(parts["copies"].template)
    await connection.execute(parts["copy_out"].substitute(tables=", ".join(each("copy_out_of"))))
    await connection.execute(parts["put_back"].substitute(deletes=_one(deletes), inserts=_one(inserts)))


def _one(statements: list[str]) -> str:
    """Several statements that change rows, as one."""
    *others, last = statements
    named_ = ", ".join(f"c{place} AS ({statement})" for place, statement in enumerate(others))
    return f"WITH {named_} {last}" if others else last


async def copy_out(connection: Connection) -> str:
    """Everything that there is now, as text that `put_back` takes."""
    return await connection.fetchval(text("trial.sql", "call_copy_out"))


async def put_back(connection: Connection, saved: str, now: datetime) -> None:
    """Make everything as it was when it was copied out, with the clock at this time."""
    await connection.fetchval(text("trial.sql", "call_put_back"), saved, now)


async def hold_but(connection: Connection, works: Sequence[tuple[str, UUID, str]]) -> None:
    """Let only these works be taken for now, by kind, record and name; `let_go` ends that."""
    kinds, records, names = ([work[place] for work in works] for place in range(3))
    await connection.execute(text("trial.sql", "hold_but"), kinds, records, names)


async def let_go(connection: Connection) -> None:
    """Let everything be taken again that was held back."""
    await connection.execute(text("trial.sql", "let_go"))


class Awaited(NamedTuple):
    """One piece of work. never: it isn't ready at any time. stuck: why it waits for a person."""

    work: int
    due: datetime
    ready_at: datetime
    never: bool
    taken: bool
    stuck: str | None


async def work_of(connection: Connection, kind: str, record: UUID, name: str) -> Awaited | None:
    """One piece of work; None where there is no such work."""
    row = await connection.fetchrow(text("trial.sql", "work_of"), kind, record, name)
    return None if row is None else Awaited(*row)


async def call_begun(connection: Connection, system: System, entity: Entity, record: UUID, name: str) -> None:
    """Let a call have been begun, by a worker that is gone, where it would be withdrawn otherwise."""
    withdrawing = [state.name for state in entity.states.values() if state.withdraw]
    if withdrawing:
        sql = named("trial.sql")["call_begun"].substitute(table=table_of(system, entity))
        await connection.execute(sql, entity.name, record, name, withdrawing)


async def make_all_ready(connection: Connection) -> None:
    """Let everything be ready that rests, is taken by whoever is gone, or has come."""
    await connection.execute(text("trial.sql", "make_all_ready"))


async def is_blocked(connection: Connection, process: int, others: list[int]) -> bool:
    """Whether a session waits for a lock that one of the others has."""
    return await connection.fetchval(text("trial.sql", "is_blocked"), process, others)


async def version_of(
    connection: Connection, system: System, entity: Entity, tenant: str, record: UUID
) -> int | None:
    """The version that a record has; None where there is none."""
    sql = named("trial.sql")["version_of"].substitute(table=table_of(system, entity))
    return await connection.fetchval(sql, tenant, record)


async def alter_function(connection: Connection, name: str, old: str, new: str) -> None:
    """Put `new` wherever a function says `old`. Raises ValueError where it doesn't say that any more."""
    made = await connection.fetchval(text("trial.sql", "function_text"), name)
    if old not in made:
        raise ValueError(f"{name} doesn't say {old!r}")
    await connection.execute(made.replace(old, new))


async def drop_rule(connection: Connection, system: System, entity: Entity, rule: str) -> None:
    """Let the database hold one rule of an entity no longer."""
    named_ = next(c for c in constraints_of(system, entity) if c.rule.startswith(f"{entity.name}.{rule}"))
    parts, name = named("trial.sql"), quote(named_.name)
    if await connection.fetchval(text("trial.sql", "rule_of_index"), system.name, named_.name):
        statement = parts["drop_rule_of_index"].substitute(name=f"{quote(system.name)}.{name}")
    else:
        statement = parts["drop_rule"].substitute(table=table_of(system, entity), name=name)
    await connection.execute(statement)


async def open_rows(connection: Connection, system: System, entity: Entity) -> None:
    """Let everybody see every tenant's records of an entity."""
    await connection.execute(named("trial.sql")["open_rows"].substitute(table=table_of(system, entity)))


async def last_entry(connection: Connection) -> int:
    """The number of the newest entry; 0 where there is none."""
    return await connection.fetchval(text("trial.sql", "last_entry"))


async def waiting(connection: Connection) -> list[Any]:
    """What there is to be done: kind, id, name, due, attempt, stuck, detail."""
    return await connection.fetch(text("trial.sql", "waiting"))


async def _execute(server: Server, statement: str, **values: str) -> None:
    connection = await connect(server.url())
    try:
        await connection.execute(named("trial.sql")[statement].substitute(values))
    finally:
        await connection.close()
