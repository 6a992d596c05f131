"""A call goes on from its checkpoint, whoever makes the next attempt; what is too long is kept in no part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from avow import Call
from avow.model.outcome import NotDone
from tests.store.payment import Outside, Receipt
from tests.store.shop import MakeShop, Shop

READY = "UPDATE avow.work SET ready_at = now(), taken = false WHERE destination <> ''"
PAGE = {"page": 3, "rest": [1, 2.5, "x"]}


def stops_after(progress: Any, seen: list[Any]) -> Callable[[Call], Any]:
    """An attempt that comes so far, and then can't go on."""

    async def attempt(call: Call) -> Receipt:
        seen.append(call.progress)
        await call.checkpoint(progress)
        raise NotDone("closed")

    return attempt


def goes_on(seen: list[Any]) -> Callable[[Call], Any]:
    def attempt(call: Call) -> Receipt:
        seen.append(call.progress)
        return Receipt("ch_1", 5)

    return attempt


async def test_the_next_attempt_goes_on_from_the_last_checkpoint(shop: MakeShop, outside: Outside) -> None:
    seen = list[Any]()
    async with shop() as s:
        outside.answers = [stops_after({"page": 1}, seen), stops_after(PAGE, seen), goes_on(seen)]
        record = await s.capturing()
        for _ in range(3):
            await s.another().step()
            await s.admin.execute(READY)
        assert seen == [None, {"page": 1}, PAGE]
        assert (await s.row(record))["state"] == "captured"


async def test_another_call_of_the_same_record_begins_without_one(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [stops_after(PAGE, [])]
        record = await s.capturing()
        await s.worker.step()
        put = "SELECT avow.put_work('main', ARRAY[$1::jsonb], now())"
        entry = (
            f'{{"kind": "Payment", "id": "{record}", "ver": 9, "request": "r", "waits":'
            ' {"capture": {"to": "capture", "line": "", "due": "2026-03-02T12:00:00Z"}}}'
        )
        await s.admin.execute("SELECT set_config('avow.scope', 'all', false)")
        await s.admin.fetchval(put, entry)
        assert [row["progress"] for row in await s.work() if row["name"] == "capture"] == [None]


async def test_the_checkpoint_of_a_worker_that_was_overtaken_is_none(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop() as s:

        async def overtaken(call: Call) -> Receipt:
            await s.admin.execute("UPDATE avow.work SET fence = fence + 1 WHERE name = 'capture'")
            await call.checkpoint(PAGE)
            raise AssertionError("it went on")

        outside.answers = [overtaken]
        await s.capturing()
        await s.worker.step()
        assert s.worker.counts["stale"] == 1
        assert [row["progress"] for row in await s.work()] == [None]
        assert await s.admin.fetchval("SELECT count(*) FROM avow.attempt") == 0


async def test_a_call_that_came_somewhere_is_not_withdrawn_as_if_it_had_never_begun(
    shop: MakeShop, outside: Outside
) -> None:
    seen = list[Any]()
    async with shop() as s:
        outside.answers = [stops_after(PAGE, seen), goes_on(seen)]
        record = await s.capturing()
        await s.worker.step()
        await s.do("cancel", record)
        await s.admin.execute(READY)
        await s.worker.step()
        assert seen == [None, PAGE]
        assert (await s.row(record))["state"] == "to_refund"


async def test_a_plain_function_keeps_its_checkpoint_from_its_thread(
    shop: MakeShop, outside: Outside
) -> None:
    seen = list[Any]()

    def attempt(call: Call) -> Receipt:
        call.checkpoint(PAGE)
        raise NotDone("closed")

    async with shop(plain=True) as s:
        outside.answers = [attempt, goes_on(seen)]
        await s.capturing()
        await s.worker.step()
        await s.admin.execute(READY)
        await s.worker.step()
        assert seen == [PAGE]


@pytest.mark.parametrize("progress", [{1, 2}, float("nan"), "x" * 65_536, "\0"])
async def test_what_cannot_be_a_checkpoint_is_the_functions_fault(
    progress: Any, shop: MakeShop, outside: Outside
) -> None:
    async with shop() as s:
        outside.answers = [stops_after(progress, [])]
        await s.capturing()
        await s.worker.step()
        (detail,) = [row["detail"] for row in await s.admin.fetch("SELECT detail FROM avow.attempt")]
        assert detail == "the function raised ValueError"
        assert [row["progress"] for row in await s.work()] == [None]


async def test_a_result_that_is_too_long_is_kept_in_no_part_and_not_asked_for_again(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(answer_bytes_max=100) as s:
        outside.answers = [Receipt("x" * 100, 5)]
        record = await s.capturing()
        await s.worker.step()
        (work,) = await s.work()
        assert (work["stuck"], work["unclear"]) == ("unknown", True)
        assert work["detail"] == "its result has 120 bytes, more than 100"
        row = await s.row(record)
        assert (row["state"], row["receipt"], len(outside.asked)) == ("capturing", "", 1)


async def test_a_result_that_just_fits_is_kept(shop: MakeShop, outside: Outside) -> None:
    async with shop(answer_bytes_max=120) as s:
        outside.answers = [Receipt("x" * 100, 5)]
        assert await _captured(s) == "x" * 100


async def _captured(s: Shop) -> str:
    record = await s.capturing()
    await s.worker.step()
    return (await s.row(record))["receipt"]
