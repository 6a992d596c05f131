"""What operators do is done under the taking that they have seen, and is kept with who and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from avow.engine.by_hand import settle_done, settle_failed
from avow.engine.execute import Outrun
from avow.model.outcome import Unclear
from avow.model.types import Misfit
from avow.store import driver
from avow.store.operate import By, Filter, Operations
from avow.store.pool import connect
from tests.store.payment import Outside, Receipt
from tests.store.shop import NOON, MakeShop, Shop

BY = By("olga", "the provider says so", "ticket 12")


async def stuck(s: Shop, outside: Outside) -> tuple[Operations, dict[str, Any]]:
    """A payment whose capture nobody can tell the outcome of."""
    outside.answers = [Unclear("cut")]
    await s.capturing()
    await s.worker.step()
    operations = Operations(s.admin)
    (item,) = await operations.list(Filter(state="stuck", stuck="unknown"))
    return operations, item


async def kept(s: Shop) -> list[tuple[str, str, str, str]]:
    rows = await s.admin.fetch(
        "SELECT action, subject, reason, evidence FROM avow.intervention ORDER BY intervention"
    )
    return [tuple(row) for row in rows]


async def test_a_call_is_settled_as_done_under_the_operators_name(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False) as s:
        _, item = await stuck(s, outside)
        effect = s.system.entities["Payment"].effects["capture"]
        with pytest.raises(Misfit):
            await settle_done(s.engine, item, effect, {"id": 1}, BY)
        reply = await settle_done(s.engine, item, effect, {"id": "ch_9", "amount": 5}, BY)
        assert reply.problem is None
        row = await s.row(item["id"])
        assert (row["state"], row["receipt"]) == ("captured", "ch_9")
        assert await kept(s) == [("settle-done", "olga", BY.reason, BY.evidence)]
        header = await s.admin.fetchval(
            "SELECT convert_from(header, 'UTF8')::jsonb -> 'actor' ->> 'subject' FROM avow.audit"
            " ORDER BY entry DESC LIMIT 1"
        )
        assert header == "olga"
        assert (await settle_failed(s.engine, item, effect, "no", BY)).problem is not None
        assert len(await kept(s)) == 1


async def test_a_taking_that_has_moved_on_is_not_touched(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False) as s:
        operations, item = await stuck(s, outside)
        assert await operations.retry(item, BY)
        effect = s.system.entities["Payment"].effects["capture"]
        assert not await operations.retry(item, BY)
        with pytest.raises(Outrun):
            await settle_failed(s.engine, item, effect, "no", BY)
        assert [row[0] for row in await kept(s)] == ["retry"]
        (seen,) = await operations.list(Filter(work=item["work"]))
        assert [row["subject"] for row in await operations.interventions(seen)] == ["olga"]
        assert [row["outcome"] for row in await operations.attempts(seen)] == ["stuck"]


async def test_a_retry_never_sends_twice_what_has_no_key(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False) as s:
        operations, item = await stuck(s, outside)
        outside.answers = [Receipt("ch_2", 5)]
        assert await operations.retry(item, BY)
        await s.worker.step()
        assert len(outside.asked) == 1
        assert (await operations.list(Filter(work=item["work"])))[0]["stuck"] == "unknown"


async def test_a_call_cannot_pass_and_a_time_can(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False) as s:
        operations, item = await stuck(s, outside)
        assert not await operations.skip_time(item, BY)
        await s.do("authorize", amount=5)
        times = await operations.list(Filter(destination=""))
        assert times
        assert await operations.skip_time(times[0], BY)
        assert times[0]["work"] not in [i["work"] for i in await operations.list(Filter())]
        assert [row[0] for row in await kept(s)] == ["skip"]


async def test_a_retried_time_does_not_come_early(shop: MakeShop) -> None:
    async with shop() as s:
        await s.at(NOON)
        await s.do("authorize", amount=5)
        operations = Operations(s.admin)
        for item in await operations.list(Filter(destination="")):
            assert await operations.retry(item, BY)
        assert await s.worker.step() == 0
        await s.at(NOON + timedelta(days=8))
        assert await s.worker.step() > 0


async def test_a_paused_destination_is_left_alone_until_it_is_resumed(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop() as s:
        outside.answers = [Receipt("ch_1", 5)]
        await s.capturing()
        operations = Operations(s.admin)
        (item,) = [i for i in await operations.list(Filter()) if i["destination"]]
        assert await operations.pause(item["destination"], True, BY)
        assert not await operations.pause(item["destination"], True, BY)
        assert not await operations.pause("", True, BY)
        assert await s.worker.step() == 0
        assert [i["work"] for i in await operations.list(Filter(state="paused"))] == [item["work"]]
        assert await operations.pause(item["destination"], False, BY)
        assert await s.worker.step() == 1
        assert [row[0] for row in await kept(s)] == ["pause", "resume"]


async def test_the_application_can_do_none_of_it(shop: MakeShop) -> None:
    async with shop() as s:
        connection = await connect(s.url)
        try:
            for call in (
                "SELECT avow.retry_work(1, 1, 'a', 'b')",
                "SELECT avow.skip_time(1, 1, 'a', 'b')",
                "SELECT avow.pause_destination('psp', true, 'a', 'b')",
                "INSERT INTO avow.intervention (destination) VALUES ('psp')",
            ):
                with pytest.raises(driver.InsufficientPrivilege):
                    await connection.execute(call)
        finally:
            await connection.close()
