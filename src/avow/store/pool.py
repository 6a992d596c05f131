"""A few connections to one database, handed out one statement at a time.

No session state is ever left on a connection (settings are local to each statement's transaction), so
nothing has to be reset between two borrowers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import quote, urlsplit, urlunsplit

from avow.errors import EnvironmentFault, reject
from avow.store import driver
from avow.store.driver import Connection

CONNECTIONS_MAX = 8
WAITING_MAX = 1_000
WAIT_S_MAX = 10.0
STATEMENT_S_MAX = 15.0
"""How long the server works on one statement of a pool; it waits for locks within that."""
ANSWER_S_MAX = STATEMENT_S_MAX + 2.0
"""How long an answer is waited for: longer, so that the server's own end of a statement arrives first."""
CONNECT_S_MAX = 10.0

_SETTINGS = {
    "application_name": "avow",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "jit": "off",
    # A plan for any values: with arrays as parameters the server would go on planning each execution anew.
    "plan_cache_mode": "force_generic_plan",
    "idle_in_transaction_session_timeout": "30s",
    "default_transaction_isolation": "read committed",
}
_BOUNDED = {"statement_timeout": f"{STATEMENT_S_MAX:.0f}s"}
KEPT_PLANS = {"enable_seqscan": "off"}
"""For connections that ask the same again and again: their plans are kept from when tables were small, and by
then reading a whole one seemed cheap."""

_log = logging.getLogger("avow.store")


async def connect(
    url: str, settings: dict[str, str] | None = None, answer_s: float | None = None,
    given_by: str = "AVOW_DATABASE_URL",
) -> Connection:  # fmt: skip
    """One connection. Raises EnvironmentFault where there is no database to talk to.

    answer_s: how long an answer is waited for; None: as long as it takes, as for a change of the tables.
    given_by: the setting or option that the address comes from, to be named where it leads nowhere.
    """
    try:
        return await driver.connect(
            url, timeout_s=CONNECT_S_MAX, statement_s=answer_s, settings={**_SETTINGS, **(settings or {})}
        )
    except driver.Refused as error:
        raise EnvironmentFault(
            "database-refused", f"the database refused: {error}", f"Check {given_by}."
        ) from None
    except driver.NoRoom as error:
        raise EnvironmentFault(
            "database-full", f"the database has no room: {error}", "End other connections, or allow more."
        ) from None
    except (TimeoutError, OSError, *driver.Lost) as error:
        detail = f"no database answers: {error or type(error).__name__}"
        raise EnvironmentFault("database-unreachable", detail, f"Start it, or check {given_by}.") from None
    except driver.DatabaseError as error:  # a setting in the address that the server doesn't know
        raise EnvironmentFault(
            "database-refused", f"the database refused: {error}", f"Check {given_by}."
        ) from None


def with_login(url: str, name: str, password: str) -> str:
    """The same address with another login."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(name)}:{quote(password)}@{where}"))


Opens = Callable[[], Awaitable[Connection]]
"""Makes a connection. One that stands before and after each of its statements is in watched.py."""


class Pool:
    """At most `size` connections, made when they are needed; further borrowers wait in order.

    Raises ProblemError `busy` for a borrower who would wait behind WAITING_MAX others or longer than
    WAIT_S_MAX, and `database-unavailable` where no connection can be made. opens: makes the connections;
    None: to `url`, with nothing between.
    """

    def __init__(
        self, url: str, size: int = CONNECTIONS_MAX, settings: dict[str, str] | None = None,
        opens: Opens | None = None,
    ) -> None:  # fmt: skip
        self._opens = opens or partial(
            connect, url, {**_BOUNDED, **KEPT_PLANS, **(settings or {})}, ANSWER_S_MAX
        )
        self._free: list[Connection] = []
        self._places = asyncio.Semaphore(size)
        self._waiting = 0
        self._closed = False

    @asynccontextmanager
    async def borrow(self) -> AsyncGenerator[Connection]:
        """A connection for a few statements. One that was lost isn't handed out again."""
        await self._wait()
        try:
            connection = await self._take()
            try:
                yield connection
            except BaseException as error:
                if _unsettled(connection, error):
                    connection.terminate()
                raise
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    async def _wait(self) -> None:
        if self._closed:
            raise reject("busy", "This server is ending.")
        if self._waiting >= WAITING_MAX:
            raise reject("busy", "Too many requests are waiting for the database.")
        if not self._places.locked():
            await self._places.acquire()  # there is room: nobody has to wait, so nothing has to be timed
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self._places.acquire()
        except TimeoutError:
            raise reject("busy", "The database was busy for too long.") from None
        finally:
            self._waiting -= 1

    async def _take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self._opens()
        except EnvironmentFault as fault:
            _log.warning("%s: %s", fault.code, fault.detail)
            raise reject("busy" if fault.code == "database-full" else "database-unavailable") from None

    def _give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._free.append(connection)

    async def close(self) -> None:
        """Close every free connection; borrowed ones end when they are given back."""
        self._closed = True
        for connection in self._free:
            connection.terminate()
        self._free.clear()


def _unsettled(connection: Connection, error: BaseException) -> bool:
    """Whether something may still be under way on a connection whose use ended with an error."""
    interrupted = not isinstance(error, Exception) or isinstance(error, (TimeoutError, *driver.Lost))
    return interrupted or connection.is_in_transaction() or connection.is_closed()
