"""A place before and after each statement of a connection, for those who attack what is served.

A pool that is given no gate has none of this: its connections are the driver's own. It must never change
what a statement says or what it is answered; whether and when it goes out is the gate's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from avow.store.driver import Connection, Row, Transaction
from avow.store.statements import name_of

BEGIN, COMMIT, ROLLBACK = "begin", "commit transaction", "roll back"
"""The names of the statements that a transaction consists of, beside its own."""


class Statement(NamedTuple):
    """One statement as it is about to be sent. `name`: as the SQL files have it; empty where they don't."""

    name: str
    parameters: tuple[Any, ...] = ()
    sql: str = ""


Send = Callable[[], Awaitable[Any]]
"""Sends the statement, and gives back what it is answered."""


class Gate(Protocol):
    """Whoever stands before and after each statement."""

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        """Let a statement through by awaiting `send`, and give back its answer; or raise instead."""
        ...


class Watched:
    """A connection whose statements go through a gate.

    kept: takes the driver's connection back when it isn't used any more. process: of the server's side.
    """

    def __init__(self, connection: Connection, gate: Gate, kept: Callable[[Connection], None]) -> None:
        self._connection, self._gate, self._kept = connection, gate, kept
        self._open: Transaction | None = None
        self._ended = False

    @property
    def process(self) -> int:
        """The id of the server's process."""
        return self._connection.get_server_pid()

    async def execute(self, sql: str, *parameters: Any) -> str:
        return await self._through(sql, parameters, self._connection.execute)

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        given = list(parameters)
        send = partial(self._connection.executemany, sql, given)
        await self._gate.through(self, Statement(name_of(sql), tuple(map(tuple, given)), sql), send)

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        return await self._through(sql, parameters, self._connection.fetch)

    async def fetchrow(self, sql: str, *parameters: Any) -> Row:
        return await self._through(sql, parameters, self._connection.fetchrow)

    async def fetchval(self, sql: str, *parameters: Any) -> Any:
        return await self._through(sql, parameters, self._connection.fetchval)

    async def _through(self, sql: str, parameters: tuple[Any, ...], send: Callable[..., Any]) -> Any:
        statement = Statement(name_of(sql), parameters, sql)
        return await self._gate.through(self, statement, partial(send, sql, *parameters))

    def transaction(self, *, isolation: str | None = None, readonly: bool = False) -> Transaction:
        made = self._connection.transaction(isolation=isolation, readonly=readonly)
        return _WatchedTransaction(self, self._gate, made)

    def cursor(self, sql: str, *parameters: Any, prefetch: int | None = None) -> Any:
        return self._connection.cursor(sql, *parameters, prefetch=prefetch)

    def get_server_pid(self) -> int:
        return self.process

    def is_closed(self) -> bool:
        return self._ended or self._connection.is_closed()

    def is_in_transaction(self) -> bool:
        return self._connection.is_in_transaction()

    async def roll_back(self) -> None:
        """What the server does when its client is gone: end the open transaction, with nothing of it kept."""
        opened, self._open = self._open, None
        if opened is not None:
            await opened.rollback()

    def open(self, transaction: Transaction | None) -> None:
        """Take note of the transaction that is open now."""
        self._open = transaction

    def terminate(self) -> None:
        if not self._ended:
            self._ended = True
            self._kept(self._connection)

    async def close(self) -> None:
        self.terminate()

    def lose(self) -> None:
        """The server has ended it, which the driver may not have heard yet: nobody is to have it again."""
        self._ended = True
        self._connection.terminate()


class _WatchedTransaction:
    """A transaction whose begin and end go through the gate as well."""

    def __init__(self, session: Watched, gate: Gate, transaction: Transaction) -> None:
        self._session, self._gate, self._transaction = session, gate, transaction

    async def start(self) -> None:
        async def send() -> None:
            await self._transaction.start()
            self._session.open(self._transaction)

        await self._gate.through(self._session, Statement(BEGIN), send)

    async def commit(self) -> None:
        await self._end(COMMIT, self._transaction.commit)

    async def rollback(self) -> None:
        await self._end(ROLLBACK, self._transaction.rollback)

    async def _end(self, name: str, end: Send) -> None:
        async def send() -> None:
            self._session.open(None)
            await end()

        await self._gate.through(self._session, Statement(name), send)

    async def __aenter__(self) -> Any:
        await self.start()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        await (self.commit() if failure[0] is None else self.rollback())
