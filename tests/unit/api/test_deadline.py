"""Many pieces of work under one timer: each ends at its own time, and no other is touched."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from avow.api.deadline import TimeLimit, running_task

LATE_S_MAX = 60.0
"""How long a limit that doesn't work is waited for."""


async def wait(limit: TimeLimit, until: asyncio.Event) -> str:
    """Wait for the event within the limit."""
    with anyio.move_on_after(LATE_S_MAX):
        try:
            with limit.span(running_task()):
                await until.wait()
        except TimeoutError:
            return "late"
        return "done"
    return "the limit was passed over"


async def test_each_piece_of_work_has_its_own_time() -> None:
    limit, never, soon = TimeLimit(0.05), asyncio.Event(), asyncio.Event()
    first, second = (asyncio.create_task(wait(limit, event)) for event in (never, soon))
    await wait_all_tasks_blocked()
    soon.set()
    assert await second == "done"
    third = asyncio.create_task(wait(limit, never))
    assert [await first, await third] == ["late", "late"]
    assert await wait(limit, soon) == "done"


async def test_whoever_is_cancelled_by_somebody_else_is_not_late() -> None:
    limit, never = TimeLimit(60), asyncio.Event()
    waiting = asyncio.create_task(wait(limit, never))
    await wait_all_tasks_blocked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_inner_limit_ends_before_an_outer_one() -> None:
    """The outer work goes on, and its task counts as cancelled by nobody."""
    outer, inner, never = TimeLimit(60), TimeLimit(0.01), asyncio.Event()
    with outer.span(running_task()):
        assert await wait(inner, never) == "late"
        assert running_task().cancelling() == 0


async def test_a_failure_inside_is_itself() -> None:
    with pytest.raises(KeyError), TimeLimit(60).span(running_task()):
        raise KeyError
