"""Owners' functions hold nobody up, whatever they do: plain ones in threads, async ones on the loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from avow.engine.workers.calls import Caller, DontKnow, NotYet, Result
from avow.engine.workers.threads import Threads
from avow.model.outcome import NotDone
from tests.acceptance.polling import PATIENCE_S

NEVER_RETURNS = """
import asyncio, threading
from types import SimpleNamespace
from avow.engine.workers.calls import Caller

function = lambda record, call: threading.Event().wait()
effect = SimpleNamespace(function=function, timeout_s=0.05, result=None, destination="")
print(asyncio.run(Caller().attempt(effect, None, None)).reason, flush=True)
"""


def plain(function: Any, timeout_s: float = PATIENCE_S, destination: str = "one") -> Any:
    """As much of an effect as is needed to run its function."""

    def run(record: Any, call: Any) -> Any:
        return function()

    return SimpleNamespace(function=run, timeout_s=timeout_s, result=None, destination=destination)


def test_a_process_ends_though_a_plain_function_never_returns() -> None:
    run = subprocess.run(
        [sys.executable, "-c", NEVER_RETURNS], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert run.stdout == "no answer within 0.05 s\n"


async def test_where_every_thread_is_taken_a_call_is_not_begun_and_that_is_certain() -> None:
    let_go, began = threading.Event(), list[int]()
    caller: Any = Caller(Threads(1))
    late = await caller.attempt(plain(let_go.wait, timeout_s=0.01), None, None)
    assert isinstance(late, DontKnow)
    assert isinstance(await caller.attempt(plain(lambda: began.append(1)), None, None), NotYet)
    assert began == []
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "effect":
            thread.join(PATIENCE_S)
    assert await caller.attempt(plain(lambda: None), None, None) == Result(None)


async def test_functions_of_one_destination_that_never_return_leave_threads_to_others() -> None:
    let_go = threading.Event()
    caller: Any = Caller(Threads(9))
    endings = [await caller.attempt(plain(let_go.wait, timeout_s=0.01), None, None) for _ in range(12)]
    assert [type(ending) for ending in endings] == [*[DontKnow] * 8, *[NotYet] * 4]
    assert await caller.attempt(plain(lambda: None, destination="another"), None, None) == Result(None)
    let_go.set()


async def test_what_would_end_a_program_is_an_outcome_that_nobody_knows() -> None:
    def ends() -> None:
        raise SystemExit(1)

    def stops() -> None:
        raise StopIteration

    caller: Any = Caller()
    for function in (ends, stops):
        ending = await caller.attempt(plain(function), None, None)
        assert isinstance(ending, DontKnow)


NEVER_ENDS = """
import asyncio
from types import SimpleNamespace
from avow.engine.workers.calls import Caller

async def stubborn(record, call):
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

effect = SimpleNamespace(function=stubborn, timeout_s=0.05, result=None, destination="")
print(asyncio.run(Caller().attempt(effect, None, None)).reason, flush=True)
"""


def test_an_async_function_that_takes_no_cancellation_is_out_of_time_and_holds_up_no_end() -> None:
    run = subprocess.run(
        [sys.executable, "-c", NEVER_ENDS], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert run.stdout == "no answer within 0.05 s\n"


class Odd(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize(
    "raised", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Odd]
)
async def test_what_would_end_the_loop_or_the_task_of_an_async_function_is_an_outcome_too(
    raised: type[BaseException],
) -> None:
    async def ends(record: Any, call: Any) -> None:
        raise raised

    caller: Any = Caller()
    ending = await caller.attempt(
        SimpleNamespace(function=ends, timeout_s=PATIENCE_S, result=None, destination=""), None, None
    )
    assert ending == DontKnow(f"the function raised {raised.__name__}")


async def test_what_an_async_function_clears_up_when_its_time_is_over_is_waited_for() -> None:
    """And what it says then counts: it knows more than that there was no answer."""

    async def knows(record: Any, call: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise NotDone("nothing was sent") from None

    caller: Any = Caller()
    ending = await caller.attempt(
        SimpleNamespace(function=knows, timeout_s=0.01, result=None, destination=""), None, None
    )
    assert ending == NotYet("nothing was sent")


async def test_a_worker_that_ends_ends_the_functions_that_it_runs() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def waits(record: Any, call: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller: Any = Caller()
    effect = SimpleNamespace(function=waits, timeout_s=PATIENCE_S, result=None, destination="")
    running = asyncio.create_task(caller.attempt(effect, None, None))
    await began.wait()
    running.cancel()
    await asyncio.wait({running})
    await ended.wait()
    assert running.cancelled()
