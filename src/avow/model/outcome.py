"""How a call to the outside can end, other than with its result.

An effect's function returns what it was told, or raises one of these. Anything else that it raises says
nothing about whether the call was carried out, and is taken as `Unclear`.
"""

from __future__ import annotations

DECLINED = "declined"
"""The code of a no that has none of its own."""

REQUEST_TOO_LARGE = "request-too-large"
"""The code of a call that failed because its request would have been too long."""


class Declined(Exception):
    """A definite no: the other side has answered, and won't do it. The call's outcome is `failed`.

    code: a short, stable word for the reason, such as `insufficient-funds`.
    """

    def __init__(self, message: str = "", *, code: str = DECLINED) -> None:
        super().__init__(message or code)
        self.code = code


class RequestTooLarge(Declined):
    """The request is longer than the effect may send; nothing of it left, and it would be as long again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=REQUEST_TOO_LARGE)


class NotDone(Exception):
    """It certainly wasn't done, and may be tried again: the connection was refused, or the limit reached.

    retry_after_s: how long the other side asks to be left alone, if it said so.
    """

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unclear(Exception):
    """Nobody here can know whether it was done: no answer in time, the connection cut after sending, a 5xx.

    answered: the other side did answer, with a fault of its own. A provider that keeps its answers under
    the key would go on giving this one. retry_after_s: how long it asks to be left alone, if it said so.
    """

    def __init__(
        self, message: str = "", *, answered: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.answered, self.retry_after_s = answered, retry_after_s


class AnswerTooLarge(Unclear):
    """The other side answered with more than the effect may read. It would again: it isn't sent once more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, answered=True)
