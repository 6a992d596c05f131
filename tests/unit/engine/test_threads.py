"""Plain functions run in threads, which hold nobody up."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

from avow.engine.calls import Caller, DontKnow, NotYet, Result
from avow.engine.threads import Threads

NEVER_RETURNS = """
import asyncio, threading
from types import SimpleNamespace
from avow.engine.calls import Caller

effect = SimpleNamespace(function=lambda record, call: threading.Event().wait(), timeout_s=0.05, result=None)
print(asyncio.run(Caller().attempt(effect, None, None)).reason, flush=True)
"""


def plain(function: Any, timeout_s: float = 5.0) -> Any:
    """As much of an effect as is needed to run its function."""

    def run(record: Any, call: Any) -> Any:
        return function()

    return SimpleNamespace(function=run, timeout_s=timeout_s, result=None)


def test_a_process_ends_though_a_plain_function_never_returns() -> None:
    run = subprocess.run(
        [sys.executable, "-c", NEVER_RETURNS], capture_output=True, text=True, timeout=20, check=True
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
            thread.join(5)
    assert await caller.attempt(plain(lambda: None), None, None) == Result(None)


async def test_what_would_end_a_program_is_an_outcome_that_nobody_knows() -> None:
    def ends() -> None:
        raise SystemExit(1)

    def stops() -> None:
        raise StopIteration

    caller: Any = Caller()
    for function in (ends, stops):
        ending = await caller.attempt(plain(function), None, None)
        assert isinstance(ending, DontKnow)
