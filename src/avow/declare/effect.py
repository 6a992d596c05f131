"""The words for calls to the outside: `@effect(...)`, its outcomes, and how often it is tried."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import timedelta
from typing import Any, Final, Protocol

from avow.declare.expression import Formula
from avow.declare.given import flag, text
from avow.declare.people import TaskWord
from avow.declare.place import here, misuse
from avow.model import expression as ast
from avow.model.effect import ANSWER_BYTES_MAX, DONE, FAILED, REQUEST_BYTES_MAX, UNKNOWN, Backoff

FOREVER: Final = Backoff(attempts=None)
TIMEOUT_S_MAX = 3_600.0
"""How long one call may take: effects are calls, not jobs."""
PAYLOAD_BYTES_MAX = 67_108_864
"""The longest request or answer that may be declared: each stands in memory once."""


def backoff(attempts: int = 8, *, first_s: float = 1.0, most_s: float = 300.0) -> Backoff:
    """Try a call that certainly wasn't done again: `attempts` in all, after doubling pauses with jitter.

    first_s, most_s: the first pause and the longest, in seconds. Raises nothing; what makes no sense is
    reported with the other mistakes of the declaration.
    """
    if type(attempts) is not int or not 1 <= attempts <= 1_000:
        misuse("effect-bounds", "a call is tried 1 to 1,000 times", "Write attempts=8, or retry=forever.")
    elif not (is_number(first_s) and is_number(most_s) and 0 < first_s <= most_s <= 86_400):
        misuse("effect-bounds", "pauses lie between 0 s and a day", "Write 0 < first_s <= most_s <= 86_400.")
    else:
        return Backoff(attempts, first_s, most_s)
    return Backoff()


def is_number(given: Any) -> bool:
    """Whether it can be compared with a number of seconds, or of calls."""
    return isinstance(given, int | float) and not isinstance(given, bool)


forever: Final = FOREVER
"""Never give up: the call is tried until it is done, at most every five minutes."""


class Call(Protocol):
    """What an effect's function is given beside the record."""

    @property
    def key(self) -> str:
        """The idempotency key of this call: the same in each of its attempts, and no other call's."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1."""
        ...

    @property
    def tenant(self) -> str:
        """Whose record it is."""
        ...

    @property
    def undoes(self) -> str | None:
        """The key of the earlier call that this one is to undo; None where it undoes nothing."""
        ...

    @property
    def private(self) -> Any:
        """The private fields that the state reveals, in clear and by name: `call.private.passport`."""
        ...

    @property
    def progress(self) -> Any:
        """The last checkpoint of the attempts before, as it was given; None: there is none."""
        ...

    @property
    def checkpoint(self) -> Callable[[Any], Any]:
        """Keep how far this call has come, as plain JSON, for its next attempt: `await
        call.checkpoint({"page": 3})`, without `await` in a plain function. Ends the function where another
        worker has the call.
        """
        ...

    @property
    def http(self) -> Any:
        """A client for this call's destination: it sends the key along, and keeps within the timeout."""
        ...


class OutcomeWord:
    """One way in which a call ends: `capture.done`, `capture.failed`, `capture.unknown`."""

    def __init__(self, effect: EffectWord, outcome: str) -> None:
        self.effect, self.outcome = effect, outcome


class EffectWord:
    """An effect under its name. `result` is what it returned, in the `sets=` and guards of its outcomes."""

    def __init__(self, function: Callable[..., Any], **rest: Any) -> None:
        self.function, self.rest, self.place = function, rest, here()
        self.name: str = getattr(function, "__name__", "effect")
        self.__doc__ = function.__doc__

    @property
    def done(self) -> OutcomeWord:
        """It was done, and answered with its result."""
        return OutcomeWord(self, DONE)

    @property
    def failed(self) -> OutcomeWord:
        """It certainly wasn't done, and won't be: a definite no, or no attempt is left."""
        return OutcomeWord(self, FAILED)

    @property
    def unknown(self) -> OutcomeWord:
        """Nobody here can tell whether it was done, and a lookup, if there is one, couldn't either."""
        return OutcomeWord(self, UNKNOWN)

    @property
    def result(self) -> Any:
        """The result of the call, or a member of it: `capture.result.id`."""
        return Formula(ast.Argument("result"))

    @property
    def key(self) -> Any:
        """The key under which the call was done, in the `sets=` and guards of `done`."""
        return Formula(ast.Argument("key"))

    def tried(self, retry: Backoff) -> EffectWord:
        """The same effect under the same name, tried again in another way."""
        other = copy(self)
        other.rest = {**self.rest, "retry": retry}
        return other

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a test of it does."""
        return self.function(*args, **kwargs)


def effect(
    *,
    timeout: timedelta | float = 10.0,
    retry: Backoff = Backoff(),
    lookup: Callable[..., Any] | None = None,
    destination: str | None = None,
    per_second: float | None = None,
    concurrency: int | None = None,
    keyed: bool = True,
    keeps_faults: bool = False,
    request_bytes_max: int = REQUEST_BYTES_MAX,
    answer_bytes_max: int = ANSWER_BYTES_MAX,
    ordered_by: Any = None,
    task: TaskWord | None = None,
) -> Callable[[Callable[..., Any]], EffectWord]:
    """Declare a call to the outside; a state invokes it, and its outcomes are transitions.

    The function takes a handle of the record, which it may only read, and a `Call`; it may be async or
    plain (then it runs in a thread). It returns its result, or raises `Declined` (a definite no),
    `NotDone` (try again) or `Unclear`; anything else that it raises is unclear too.

    timeout:     how long one attempt may take, as a length of time or in seconds. What becomes of one that
                 takes longer is unclear.
    retry:       when what certainly wasn't done is tried again.
    lookup:      a function like this one, which asks what became of a call; it returns None where the call
                 was never done.
    destination: whose limits, pauses and circuit breaker it shares; its own name unless given.
    per_second, concurrency: how many calls may begin in a second, and be under way, in all workers.
    keyed:       the other side carries out one request per key, so that it may be sent again. If not, an
                 unclear call is never sent again by itself.
    keeps_faults: the other side keeps even its own faults under the key (as Stripe does): once it has
                 answered with one, the call is looked up, and goes on under the next key if it wasn't done.
    request_bytes_max: the longest body that `call.http` sends; a longer one is never sent, and the call
                 has `failed`.
    answer_bytes_max: the longest body that it reads, and the longest result that is kept, as JSON. Nothing
                 is kept of a longer one: the call was perhaps done, so it is unclear, and isn't sent again.
    ordered_by:  a field; calls of records with an equal value in it are made one after the other.
    task:        in whose inbox it stands, as `task(ROLE, ...)`, once nobody but a person can settle it; the
                 operators' unless given. `due=` and `remind=` count from when its last attempt was begun.
    """
    rest = {
        "timeout": timeout, "retry": retry, "lookup": lookup,
        "destination": text(destination, "destination", None), "per_second": per_second,
        "concurrency": concurrency, "keyed": flag(keyed, "keyed", True),
        "keeps_faults": flag(keeps_faults, "keeps_faults"),
        "ordered_by": ordered_by, "request_bytes_max": request_bytes_max,
        "answer_bytes_max": answer_bytes_max, "task": task,
    }  # fmt: skip
    return lambda function: EffectWord(function, **rest)
