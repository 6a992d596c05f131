"""`avow doctor`: what is wrong with the surroundings, and what to do about each thing."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import click

from avow.cli import output
from avow.cli.connection import database_url
from avow.cli.home import home_folder
from avow.cli.settings import key_of_log
from avow.cli.target import load_target
from avow.errors import AvowError, EnvironmentFault
from avow.model.system import System
from avow.store import health
from avow.store.health import Server, Tables, Witnessed
from avow.store.pool import connect
from avow.store.schema import upgrade
from avow.store.schema.rights import VERSION_MIN
from avow.store.server import binaries, cluster

PYTHON_MIN: Final = (3, 11)
FREE_BYTES_MIN: Final = 1024**3
TRANSACTION_S_MAX: Final = 60.0
CLOCK_OFF_S_MAX: Final = 5.0
CONNECTIONS_LEFT_MIN: Final = 10
IDS_USED_MAX: Final = 1_000_000_000
"""Five times what autovacuum lets come by itself, and half of what there is before nothing can be written."""
UNSEALED_S_MAX: Final = 30.0
UNWITNESSED_S_MAX: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. mend: what to do where it isn't in order; empty where it is."""

    what: str
    said: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is in order."""
        return not self.mend


@click.command(name="doctor")
@click.argument("target", default=".")
@output.json_option
def command(target: str, as_json: bool) -> int:
    """Look at Python, PostgreSQL, disk, roles, rights and clock, and say what to do where something is off.

    Exit code 0: all is in order; 1: something isn't; 3: there is no database to look at.
    """
    system = load_target(target)
    lines, fault = list(_surroundings()), None
    try:
        with database_url(system) as url:
            lines += asyncio.run(_database(url, system))
    except EnvironmentFault as error:
        fault = error
        lines.append(Line("database", str(error), error.mend))
    if as_json:
        shown = [{**asdict(line), "ok": line.ok} for line in lines]
        output.document({"ok": all(line.ok for line in lines), "lines": shown})
    else:
        for line in lines:
            output.data(_text(line))
    if fault is not None:
        return output.ENVIRONMENT
    return output.HOLDS if all(line.ok for line in lines) else output.FOUND


def _text(line: Line) -> str:
    mark = "ok " if line.ok else output.paint("OFF", "error", sys.stdout)
    text = f"{mark} {line.what:<18} {line.said}"
    return text if line.ok else f"{text}\n    mend: {line.mend}"


def _surroundings() -> Iterator[Line]:
    """What can be looked at without a database."""
    version = ".".join(map(str, sys.version_info[:3]))
    late = sys.version_info[:2] < PYTHON_MIN
    yield Line("python", version, "Use Python 3.11 or newer." if late else "")
    home = home_folder(os.environ)
    if os.environ.get("AVOW_DATABASE_URL"):
        yield Line("database from", "AVOW_DATABASE_URL")
    else:
        yield from _embedded()
        running = cluster.running(home) is not None
        yield Line("database from", f"{home} ({'running' if running else 'not running'})")
    free = shutil.disk_usage(home if home.is_dir() else home.parent).free
    said = f"{free / 1024**3:,.1f} GiB free at {home}"
    yield Line("disk", said, "Make room: below 1 GiB PostgreSQL may stop." if free < FREE_BYTES_MIN else "")


def _embedded() -> Iterator[Line]:
    try:
        found = binaries.find()
    except EnvironmentFault as error:
        yield Line("postgresql", str(error), error.mend)
    else:
        yield Line("postgresql", f"binaries of version {found.version}")


async def _database(url: str, system: System) -> list[Line]:
    connection = await connect(url)
    try:
        server = await health.server(connection)
        lines = [*_durability(server), *_state(server, await health.oldest_transaction_s(connection))]
        lines.append(transaction_ids(await health.ids_used(connection)))
        if not server.installed:
            mend = "Run `avow dev`, or `avow migrate` with the owner's URL."
            return [*lines, Line("tables", "there are none of Avow's", mend)]
        lines.append(_core(await upgrade.held(connection)))
        if not lines[-1].ok:
            return lines
        lines += _tables(await health.tables(connection, system))
        log = await health.log(connection)
        lines += [*_log(log), *_log_key(system, await health.log_key(connection))]
        lines += _witnesses(log, await health.witnesses(connection))
        return [*lines, *_dropped(await health.dropped(connection))]
    finally:
        await connection.close()


def _core(version: int) -> Line:
    """What else is asked about the tables depends on it."""
    said = f"version {version}" + (f", not {upgrade.VERSION}" * (version != upgrade.VERSION))
    older, newer = "Run `avow migrate` with the owner's URL.", "Use the Avow that made them, or a newer one."
    mend = older if version < upgrade.VERSION else newer if version > upgrade.VERSION else ""
    return Line("avow's own tables", said, mend)


def _log(found: tuple[int, float] | None) -> Iterator[Line]:
    if found is None:
        yield Line("log", "nothing is sealed yet: `avow dev` seals, and `avow serve` with AVOW_LOG_KEY")
        return
    size, waits_s = found
    said = f"{size:,} entries are sealed; the oldest that isn't waits for {waits_s:,.1f} s"
    mend = (
        "See what the sealer says in the log of `avow serve` or `avow work`; one of them needs AVOW_LOG_KEY."
    )
    yield Line("log", said, mend if waits_s > UNSEALED_S_MAX else "")


def _log_key(system: System, public: str | None) -> Iterator[Line]:
    """Who serves needs the key; who only looks may have none."""
    if public is None:
        return
    try:
        key = key_of_log(system, os.environ, development="AVOW_DATABASE_URL" not in os.environ)
        signer = None if key is None else key.keys.signer()
    except AvowError as error:
        yield Line("log key", str(error), getattr(error, "mend", "") or "Mend AVOW_LOG_KEY.")
        return
    if signer is None:
        given = bool(os.environ.get("AVOW_LOG_KEY"))
        yield Line("log key", "none is here", "Mend AVOW_LOG_KEY: there is no key." if given else "")
    elif signer.verifier.text == public:
        yield Line("log key", "the key of its newest log is here")
    else:
        mend = "Use the key that the log was begun with, or begin an epoch: `avow log epoch`."
        yield Line("log key", f"the one that is here is of {signer.name}, not the newest log's", mend)


def _dropped(found: tuple[int, datetime, str] | None) -> Iterator[Line]:
    if found is not None:
        leaves, at, where = found
        said = f"the entries of {leaves:,} leaves were dropped, last at {at:%Y-%m-%d %H:%M:%SZ}, to {where}"
        yield Line("old entries", output.plain(said))


def _witnesses(log: tuple[int, float] | None, found: list[Witnessed]) -> Iterator[Line]:
    """A witness that has stopped signing is away, or has seen another history."""
    if log is None:
        return
    if not found:
        yield Line("witnesses", "witnessed by: nobody")
    for one in found:
        name = one.key.partition("+")[0]
        said = f"{name} signed {one.ago_s:,.0f} s ago; {one.leaves:,} leaves since"
        late = one.leaves > 0 and one.ago_s > UNWITNESSED_S_MAX
        mend = "See what the log of `avow serve` or `avow work` says of it: it is away, or it refuses."
        yield Line("witnesses", said, mend if late else "")


def _durability(server: Server) -> Iterator[Line]:
    late = server.version_number < VERSION_MIN
    yield Line("server", f"PostgreSQL {server.version}", "Use PostgreSQL 15 or newer." if late else "")
    for name, held, good in (
        ("fsync", server.fsync, ("on",)),
        ("full_page_writes", server.full_page_writes, ("on",)),
        ("synchronous_commit", server.synchronous_commit, ("on", "remote_write", "remote_apply", "local")),
    ):
        mend = f"Set {name} = on: an acknowledged command could be lost in a crash."
        yield Line(name, held, "" if held in good else mend)
    mend = "Turn them on with `pg_checksums --enable` while the server is stopped."
    yield Line("data_checksums", server.data_checksums, "" if server.data_checksums == "on" else mend)
    yield Line("wal", f"level {server.wal_level}, max_wal_size {server.max_wal_size}")


def _state(server: Server, oldest_s: float) -> Iterator[Line]:
    utf8 = server.encoding == "UTF8"
    yield Line("encoding", server.encoding, "" if utf8 else "Use a database with ENCODING 'UTF8'.")
    if server.is_standby:
        yield Line("standby", "this server only replays another's WAL", "Use the URL of the primary.")
    left = server.connections_max - server.connections
    said = f"{server.connections} of {server.connections_max} in use"
    mend = "Raise max_connections, or close what isn't needed."
    yield Line("connections", said, mend if left < CONNECTIONS_LEFT_MIN else "")
    mend = "End it: it keeps dead rows and the audit log's end from being cleaned up."
    yield Line("oldest transaction", f"{oldest_s:.0f} s", mend if oldest_s > TRANSACTION_S_MAX else "")


def transaction_ids(used: int) -> Line:
    """What grows without an end in tables that aren't cut by time."""
    said = f"{used:,} since the oldest that is needed"
    mend = (
        "End what keeps autovacuum from its work (an old transaction, a replication slot); run VACUUM FREEZE."
    )
    return Line("transaction ids", said, mend if used > IDS_USED_MAX else "")


def _tables(found: Tables) -> Iterator[Line]:
    mend = "Run `avow migrate` with the owner's URL; `avow dev` does it by itself."
    said = "made for this declaration" if found.boundary_known else "made for another declaration"
    yield Line("tables", said, "" if found.boundary_known else mend)
    fixed = found.clock_off_s > CLOCK_OFF_S_MAX
    said = f"{found.clock_off_s:,.0f} s off the server's" if fixed else "the server's"
    yield Line(
        "clock", said, "Empty the table avow.clock, as its owner: a test has fixed the time." if fixed else ""
    )
    if found.roles_missing:
        said = f"missing: {', '.join(found.roles_missing)}"
        yield Line("roles", said, "Run `avow migrate` with the owner's URL.")
    elif found.roles_too_wide:
        said = f"too many rights: {', '.join(found.roles_too_wide)}"
        yield Line(
            "roles", said, "Take these rights from each: login, superuser, bypassrls, createrole, createdb."
        )
    else:
        yield Line("roles", "owner, application and reader, none of which may log in")
    if found.open:
        said = f"not forced on {', '.join(found.open)}"
        yield Line("row security", said, "Enable and force row-level security on each of them, as its owner.")
    else:
        yield Line("row security", "forced on every table of tenants")
    if found.writable:
        said = f"the application may write {', '.join(found.writable)}"
        yield Line(
            "rights", said, "Take insert, update, delete and truncate on them from the application role."
        )
    else:
        yield Line("rights", "the application writes through avow.commit alone")
    said = f"not held by the database any more: {', '.join(found.unheld)}" if found.unheld else "held"
    mend = "Run `avow migrate` with the owner's URL: it makes them again, if the rows fit."
    yield Line("rules", said, mend if found.unheld else "")
    if found.alterable:
        said = f"{', '.join(found.alterable)} may be changed: their triggers are gone, or don't always fire"
        mend = (
            "Have the triggers append_only and append_only_whole fire ALWAYS again; then run `avow verify`."
        )
        yield Line("append-only", said, mend)
    else:
        yield Line("append-only", "what was written to the log refuses every change, its owner's too")
