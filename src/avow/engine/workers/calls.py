"""One attempt of one call to the outside: the owner's function is run, and how it ended is told.

It must never decide what is done about it, nor guess: what isn't a result, a definite no or a certain "not
done" is unclear.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from avow import canonical
from avow.engine.workers.threads import Threads
from avow.model.effect import Effect
from avow.model.outcome import AnswerTooLarge, Declined, NotDone, Unclear
from avow.model.types import Misfit, Value

CLEARED_S_MAX = 1.0
"""How long an async function that is out of time may take to clear up."""


@dataclass(frozen=True, slots=True)
class Result:
    """It was done, and this is what it returned."""

    value: Value


@dataclass(frozen=True, slots=True)
class No:
    """It certainly wasn't done, and won't be."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """It certainly wasn't done by this attempt, and may be tried again."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class DontKnow:
    """It may have been done.

    answered: the other side answered, with a fault of its own. final: it would do the same again, so that it
    isn't sent once more. retry_after_s: how long it asks to be left alone. unseen: it was to be looked up,
    and that couldn't be done now.
    """

    reason: str
    answered: bool = False
    final: bool = False
    retry_after_s: float | None = None
    unseen: bool = False


Ending: TypeAlias = Result | No | NotYet | DontKnow


class Superseded(Exception):
    """Another worker has taken the call: what this one would record, or conclude, counts no more."""


@dataclass(slots=True)
class Call:
    """What an effect's function is given beside the record.

    key:     the idempotency key of this call, the same in each of its attempts. attempt: from 1.
    tenant:  whose record it is. undoes: the key of the earlier call that this one undoes, where it does.
    private: the private values that its state reveals, in clear.
    http:    a client for this call's destination, which sends the key along.
    progress, checkpoint: how far an earlier attempt has come; and to keep how far this one has.
    """

    key: str
    attempt: int
    tenant: str
    undoes: str | None
    http: Any = field(repr=False)
    private: Any = field(default=None, repr=False)
    progress: Any = field(default=None, repr=False)
    checkpoint: Any = field(default=None, repr=False)


class Caller:
    """Runs effects' functions: async ones on this loop, plain ones in threads."""

    def __init__(self, threads: Threads | None = None) -> None:
        self._threads = threads or Threads()

    async def attempt(self, effect: Effect, record: Any, call: Call) -> Ending:
        """Make the call once, within the effect's timeout."""
        ending = await self._run(effect, effect.function, record, call)
        return _fitted(effect, ending) if isinstance(ending, Result) else ending

    async def look_up(self, effect: Effect, record: Any, call: Call) -> Ending:
        """Ask what became of the call: its result, `NotYet` where it was never done, or still unclear."""
        if effect.lookup is None:
            return DontKnow("there is no lookup")
        ending = await self._run(effect, effect.lookup, record, call)
        match ending:
            case Result(None):
                return NotYet("the other side knows nothing of it")
            case Result():
                return _fitted(effect, ending)
            case No(code, reason):
                return No(code, reason)
            case NotYet() | DontKnow():
                said = f"the lookup failed: {ending.reason}"
                return DontKnow(said, retry_after_s=ending.retry_after_s, unseen=True)

    async def _run(self, effect: Effect, function: Callable[..., Any], record: Any, call: Call) -> Ending:
        """How the function ends within its time. One that won't end runs on, and nobody hears it any more."""
        timeout_s = effect.timeout_s
        awaited = (
            function
            if inspect.iscoroutinefunction(function)
            else partial(self._in_a_thread, effect.destination, function)
        )
        running = asyncio.create_task(_contained(awaited, timeout_s, record, call))
        try:
            await asyncio.wait({running}, timeout=timeout_s)
            if not running.done():
                running.cancel()
                await asyncio.wait({running}, timeout=CLEARED_S_MAX)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if not running.done():
            # It takes no cancellation, and so would keep the loop from ending, too.
            asyncio._unregister_task(running)  # pyright: ignore[reportPrivateUsage]
        if not running.done() or running.cancelled():
            return _raised(TimeoutError(), timeout_s)
        return running.result()

    async def _in_a_thread(
        self, destination: str, function: Callable[..., Any], record: Any, call: Call
    ) -> Any:
        return await asyncio.wrap_future(self._threads.start(destination, function, record, call))


async def _contained(function: Callable[..., Any], timeout_s: float, record: Any, call: Call) -> Ending:
    """How the function ends, whatever it raises: what ends a program would do so to the loop."""
    try:
        return Result(await function(record, call))
    except Superseded:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _raised(error, timeout_s)
    except BaseException as error:  # noqa: BLE001 - handed to who waits for it
        return _raised(error, timeout_s)


def _raised(error: BaseException, timeout_s: float) -> Ending:
    """What it means that a function has raised this."""
    match error:
        case Declined():
            return No(error.code, str(error))
        case NotDone():
            return NotYet(str(error), error.retry_after_s)
        case Unclear():
            final = isinstance(error, AnswerTooLarge)
            return DontKnow(str(error), error.answered, final, error.retry_after_s)
        case TimeoutError():
            return DontKnow(f"no answer within {timeout_s:g} s")
        case _:
            return DontKnow(f"the function raised {type(error).__name__}")


def _fitted(effect: Effect, ending: Result) -> Ending:
    """A result in its stored form. One that doesn't fit was done all the same, and is for a person to see."""
    if effect.result is None:
        return Result(None)
    try:
        value = effect.result.fit(ending.value, "#")
        length = len(canonical.encode(effect.result.dump(value)))
    except Misfit as misfit:
        return DontKnow(f"its result doesn't fit the declaration: {misfit}", answered=True)
    if length > effect.answer_bytes_max:
        # All of it or nothing is kept; it would be as long if it was asked for again.
        return DontKnow(f"its result has {length} bytes, more than {effect.answer_bytes_max}", True, True)
    return Result(value)
