"""Which of the driver's errors mean what: try again, answer with a problem, or our own bug."""

from __future__ import annotations

from avow.errors import Problem, ProblemError, reject
from avow.store import driver


def fault_of(error: BaseException) -> ProblemError | None:
    """The problem that an error of the database is answered with; None where it is our own bug."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, (driver.Canceled, TimeoutError)):
        return reject(
            "deadline-exceeded", "The database took too long; nothing is executed twice under one key."
        )
    if isinstance(error, driver.NoRoom):
        return ProblemError(Problem("busy", "The database has no room."), {"Retry-After": "1"})
    if isinstance(error, (driver.LockNotAvailable, *driver.Retryable)):
        return reject("contention")
    return reject("database-unavailable") if isinstance(error, driver.Lost) else None
