"""Which of the driver's errors mean what: try again, answer with a problem, or our own bug."""

from __future__ import annotations

import asyncpg

from avow.errors import Problem, ProblemError, reject

LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
"""What a lost connection raises: whether the statement was executed isn't known."""

RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What PostgreSQL asks to try again: nothing was executed."""


def fault_of(error: BaseException) -> ProblemError | None:
    """The problem that an error of the database is answered with; None where it is our own bug."""
    match error:
        case ProblemError():
            return error
        case asyncpg.QueryCanceledError() | TimeoutError():
            return reject(
                "deadline-exceeded", "The database took too long; nothing is executed twice under one key."
            )
        case asyncpg.TooManyConnectionsError() | asyncpg.InsufficientResourcesError():
            return ProblemError(Problem("busy", "The database has no room."), {"Retry-After": "1"})
        case asyncpg.LockNotAvailableError():
            return reject("contention")
        case _ if isinstance(error, RETRYABLE):
            return reject("contention")
        case _ if isinstance(error, LOST):
            return reject("database-unavailable")
        case _:
            return None
