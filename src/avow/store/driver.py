"""The PostgreSQL driver behind a small typed face: the only module that imports it.

asyncpg ships without types; what the rest of the room uses of it is written down here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, cast
from uuid import UUID

import asyncpg as _asyncpg  # pyright: ignore[reportMissingTypeStubs]

_driver = cast(Any, _asyncpg)

Row: TypeAlias = Any
"""A row: values by position or by name."""


Id: Callable[[str | bytes], UUID] = _driver.pgproto.pgproto.UUID
"""The driver's own UUID, made from its text or its 16 bytes: it equals Python's, but is hashed, written and
sent in C. Ids of records that come with rows are of this type already."""


class Transaction(Protocol):
    """One transaction; as a context it commits, or rolls back when it is left by an exception."""

    async def start(self) -> None: ...
    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, *failure: Any) -> None: ...


class Connection(Protocol):
    """One connection. Every method raises `DatabaseError` or one of `LOST`."""

    async def execute(self, sql: str, *parameters: Any) -> str:
        """Run one statement (or, without parameters, several); gives back the command tag."""
        ...

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of parameters."""
        ...

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows of a statement."""
        ...

    async def fetchrow(self, sql: str, *parameters: Any) -> Row:
        """The first row, or None."""
        ...

    async def fetchval(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row, or None."""
        ...

    def transaction(self, *, isolation: str | None = None, readonly: bool = False) -> Transaction:
        """A transaction: as a context, or begun and rolled back by hand."""
        ...

    def cursor(self, sql: str, *parameters: Any, prefetch: int | None = None) -> Any:
        """Rows one by one, inside a transaction."""
        ...

    def get_server_pid(self) -> int:
        """The id of the server's process that it talks to."""
        ...

    def is_closed(self) -> bool: ...
    def is_in_transaction(self) -> bool: ...
    def terminate(self) -> None: ...
    async def close(self) -> None: ...


class DatabaseFault(Protocol):
    """What an error of the server tells about itself."""

    sqlstate: str
    schema_name: str | None
    constraint_name: str | None
    column_name: str | None


def _errors(*names: str) -> tuple[type[Exception], ...]:
    return tuple(getattr(_driver, name) for name in names)


DatabaseError: type[Exception] = _driver.PostgresError
"""Any error that the server reports."""
IntegrityBroken: type[Exception] = _driver.IntegrityConstraintViolationError
"""A constraint would be broken."""
Retryable: tuple[type[Exception], ...] = _errors("SerializationError", "DeadlockDetectedError")
"""What PostgreSQL asks to try again: nothing was executed."""
ReadOnly: type[Exception] = _driver.ReadOnlySQLTransactionError
"""What a server raises that takes no writes, such as a standby: nothing was executed."""
Lost: tuple[type[Exception], ...] = (
    ConnectionError,
    ReadOnly,  # a server that has become a standby: a new connection may lead to the one in its place
    *_errors(
        "PostgresConnectionError",
        "InterfaceError",
        "InternalClientError",  # a connection that the server ended while nobody used it
        "AdminShutdownError",
        "CrashShutdownError",
        "CannotConnectNowError",
    ),
)
"""What a lost connection raises: whether the statement was executed isn't known."""
Refused: tuple[type[Exception], ...] = (
    ValueError,
    OverflowError,  # a port beyond 65535
    *_errors("InvalidPasswordError", "InvalidAuthorizationSpecificationError", "InvalidCatalogNameError"),
)
"""What a wrong address or login raises."""
Canceled: type[Exception] = _driver.QueryCanceledError
NoRoom: tuple[type[Exception], ...] = _errors("TooManyConnectionsError", "InsufficientResourcesError")
Undefined: tuple[type[Exception], ...] = _errors(
    "UndefinedTableError", "UndefinedColumnError", "UndefinedFunctionError", "InvalidSchemaNameError"
)
"""Tables that aren't there, or that were made for something else."""
LockNotAvailable: type[Exception] = _driver.LockNotAvailableError
InsufficientPrivilege: type[Exception] = _driver.InsufficientPrivilegeError
AlreadyThere: tuple[type[Exception], ...] = _errors(
    "DuplicateDatabaseError", "DuplicateObjectError", "UniqueViolationError"
)
"""What making a thing raises that another connection has made in the same moment."""
ConcurrentlyUpdated: type[Exception] = _driver.InternalServerError


async def connect(
    url: str, *, timeout_s: float, statement_s: float | None, settings: dict[str, str]
) -> Connection:
    """Open one connection. Raises `Refused`, `NoRoom`, `Lost`, OSError or TimeoutError."""
    made: Any = await _driver.connect(
        url, timeout=timeout_s, command_timeout=statement_s, server_settings=settings
    )
    return made


async def hear(connection: Connection, channel: str, heard: Callable[[], None]) -> None:
    """Call `heard` for each notice on a channel, for as long as a connection stands that `connect` opened."""

    def listener(*_: Any) -> None:
        heard()

    await cast(Any, connection).add_listener(channel, listener)
