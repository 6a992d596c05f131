"""Databases for executions: made from a template, put back between two executions, with a clock set by hand.

What an execution has left behind is taken away by a function in the database, and what the next one begins
with is written there again, in one round trip: that is several times as quick as a copy of the template.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from avow.engine.privacy import Keyring, MemoryKeyring
from avow.errors import EnvironmentFault
from avow.model.system import System, keeps_private
from avow.prove.explore.situation import START
from avow.prove.phase import Bench
from avow.store.driver import Connection, DatabaseError, Lost
from avow.store.pool import connect, with_login
from avow.store.server.cluster import Cluster
from avow.store.trials import trial
from avow.store.trials.picture import Picture, take_picture
from avow.store.trials.trial import Server
from avow.store.trials.watched import Gate, Watched

STATEMENT_S_MAX: Final = 20.0
_log = logging.getLogger(__name__)


class External:
    """A server that is there already. `url`: of a superuser, on any of its databases."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases."""
        return urlunsplit(self._parts._replace(path="/" + quote(database, safe="")))


class Way(NamedTuple):
    """Another way to a database. answer_s: how long an answer is waited for."""

    url: str
    answer_s: float = STATEMENT_S_MAX


class Database:
    """One database, on which executions follow each other.

    admin: a superuser's connection. now: what its clock shows. keyring: what encrypts persons' keys in it.
    """

    def __init__(self, system: System, url: str, admin_url: str, admin: Connection, keyring: Keyring) -> None:
        self.system, self.url, self.admin = system, url, admin
        self._admin_url = admin_url
        self.now, self.keyring, self.rows = START, keyring, "{}"
        self._free, self._free_of_owner = list[Connection](), list[Connection]()
        self._all = list[Connection]()
        self.empty = ""

    async def prepare(self) -> None:
        """Let executions follow each other from here on."""
        self.empty = await trial.copy_out(self.admin)
        await self.put_back(self.empty)

    async def put_back(self, saved: str, now: datetime = START) -> None:
        """Make everything as it was when it was saved."""
        await trial.put_back(self.admin, saved, now)
        self.now = now

    async def save(self) -> str:
        """Everything that there is now."""
        return await trial.copy_out(self.admin)

    async def set_clock(self, moment: datetime) -> None:
        """Set the clock on; it never goes back."""
        if moment > self.now:
            self.now = moment
            await trial.stop_clock(self.admin, moment)

    async def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if seconds > 0:
            await self.set_clock(self.now + timedelta(seconds=seconds))

    async def picture(self) -> Picture:
        """Everything that there is now, to be judged; `rows`: as text, where anything is private."""
        self.rows = await self.save() if keeps_private(self.system) else "{}"
        return await take_picture(self.admin, self.system)

    async def open(self, gate: Gate) -> Watched:
        """A connection of the application whose statements go through a gate.

        The driver's own connections are kept, with the plans that they have made.
        """
        return await self._open(self.url, self._free, gate)

    async def open_as_owner(self, gate: Gate) -> Watched:
        """The same with the owner's rights, for what is otherwise done within functions of the database."""
        return await self._open(self._admin_url, self._free_of_owner, gate)

    async def _open(self, url: str, free: list[Connection], gate: Gate) -> Watched:
        while free:
            connection = free.pop()
            if not connection.is_closed():
                return Watched(connection, gate, free.append)
        connection = await connect(url, answer_s=STATEMENT_S_MAX)
        self._all.append(connection)
        return Watched(connection, gate, free.append)

    async def open_on(self, way: Way, gate: Gate) -> Watched:
        """A connection of its own, gone when it isn't used any more."""
        return Watched(await connect(way.url, answer_s=way.answer_s), gate, _end)

    async def reopen(self) -> None:
        """Go on when the server has been away."""
        self._end_all()
        self.admin.terminate()
        self.admin = await connect(self._admin_url)

    def _end_all(self) -> None:
        for connection in self._all:
            connection.terminate()
        for kept in (self._all, self._free, self._free_of_owner):
            kept.clear()

    async def close(self) -> None:
        """Close every connection."""
        self._end_all()
        await self.admin.close()


class Databases:
    """The databases of one run, on one server. version: the server's, once there is a database."""

    def __init__(self, system: System, server: Server, stack: AsyncExitStack) -> None:
        self._system, self._server, self._stack, self._keyring = system, server, stack, MemoryKeyring()
        self._own = isinstance(server, Cluster)
        self._account = trial.account_of(system) if self._own else trial.account_for_once()
        self._template, self.version = "", ""
        self._first: Database | None = None
        self._made = list[Database]()

    async def first(self) -> Database:
        """The database that phases use one after the other."""
        if self._first is None:
            self._first = await self.make()
        return self._first

    async def make(self) -> Database:
        """A fresh one, gone with the run."""
        if not self._template:
            self._template = await self._make_template()
        name = f"prove_{secrets.token_hex(6)}"
        await trial.clone(self._server, self._template, name)
        self._leave(name, partial(trial.drop, self._server, name))
        await trial.without_delay(self._server, name)
        admin = await connect(self._server.url(name))
        url = with_login(self._server.url(name), *self._account)
        made = Database(self._system, url, self._server.url(name), admin, self._keyring)
        self._made.append(made)
        self._stack.push_async_callback(made.close)
        await made.prepare()
        self.version = await trial.version(admin)
        return made

    async def crash(self) -> None:
        """End the server as a crash does, and start it again; only one of this process alone can be."""
        if not isinstance(self._server, Cluster):
            raise EnvironmentFault("server-not-ours", "this server isn't this run's", "Use an embedded one.")
        # No task: those are cancelled when a run is interrupted, and nothing would wait for it.
        crashing = asyncio.get_running_loop().run_in_executor(None, trial.crash_own_server)
        try:
            await asyncio.shield(crashing)
        except asyncio.CancelledError:
            await crashing  # what is put away now is put away on it
            raise
        for database in self._made:
            await database.reopen()

    async def _make_template(self) -> str:
        """The template; on a server of this process it stays for the next run."""
        kept = _TEMPLATES.get(self._system.fingerprint) if self._own else None
        if kept is not None:
            return kept
        made = await trial.make_template(self._server, self._system, self._account, secrets.token_hex(4))
        connection = await connect(self._server.url(made))
        await trial.make_copies(connection, self._system)
        await connection.close()
        if self._own:
            _TEMPLATES[self._system.fingerprint] = made
        else:
            self._leave(self._account.name, partial(trial.drop_account, self._server, self._account))
            self._leave(made, partial(trial.drop, self._server, made))
        return made

    def _leave(self, name: str, put_away: Callable[[], Awaitable[None]]) -> None:
        """Have something put away with the run, which fails by no server that is gone by then."""

        async def tried() -> None:
            try:
                await put_away()
            except (EnvironmentFault, DatabaseError, *Lost) as fault:
                if not self._own:
                    _log.warning("%s stays on the server: %s", name, fault)

        self._stack.push_async_callback(tried)


def _end(connection: Connection) -> None:
    connection.terminate()


_TEMPLATES: Final = dict[bytes, str]()


@asynccontextmanager
async def databases(bench: Bench) -> AsyncGenerator[Databases]:
    """The databases of a run: `await bench.shared(databases)`."""
    async with AsyncExitStack() as stack:
        server: Server = trial.own_server() if bench.url is None else External(bench.url)
        yield Databases(bench.system, server, stack)
