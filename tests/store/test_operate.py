"""What operators do is done under the taking that they have seen, and is kept with who and why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from avow import backoff
from avow.engine.execute import Outrun, Reply
from avow.engine.workers.by_hand import settle_done, settle_failed
from avow.engine.workers.operating import Intent, Operating, Preview
from avow.engine.workers.owed import RETRY, SKIP
from avow.errors import ProblemError
from avow.model.actor import Actor
from avow.model.outcome import Unclear
from avow.model.types import Misfit
from avow.model.values import Subject
from avow.store import driver
from avow.store.operate import By, Filter, Operations
from avow.store.pool import connect
from avow.store.transaction import IdempotencyKey
from tests.acceptance.polling import until
from tests.store.payment import Outside, Receipt
from tests.store.shop import NOON, MakeShop, Shop

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
BY = By("olga", "the provider says so", "ticket 12")


class Desk(Operations):
    """Operations at which everything is asked for once."""

    async def do(self, action: str, item: dict[str, Any]) -> bool:
        return await self.operate(item, action, BY, _key(), b"{}") == "done"

    async def turn(self, destination: str, paused: bool) -> bool:
        return await self.pause("main", destination, paused, BY, _key(), b"{}") == "done"


def _key() -> IdempotencyKey:
    return IdempotencyKey(uuid4(), b"")


def desk_of(s: Shop) -> Desk:
    return Desk(s.owners)


async def stuck(s: Shop, outside: Outside) -> tuple[Desk, dict[str, Any]]:
    """A payment whose capture nobody can tell the outcome of."""
    outside.answers = [Unclear("cut")]
    await s.capturing()
    await s.worker.step()
    operations = desk_of(s)
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
        assert await operations.do("retry", item)
        effect = s.system.entities["Payment"].effects["capture"]
        assert not await operations.do("retry", item)
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
        assert await operations.do("retry", item)
        await s.worker.step()
        assert len(outside.asked) == 1
        assert (await operations.list(Filter(work=item["work"])))[0]["stuck"] == "unknown"


async def test_a_retry_goes_under_the_key_of_the_attempts_before_it(shop: MakeShop, outside: Outside) -> None:
    """Where the other side did it after all, it only says so once more."""
    async with shop(retry=backoff(1)) as s:
        operations, item = await stuck(s, outside)
        outside.answers = [Receipt("ch_1", 5)]
        assert await operations.do("retry", item)
        await s.worker.step()
        assert (len(outside.asked), len(set(outside.asked))) == (2, 1)
        assert (await s.row(item["id"]))["receipt"] == "ch_1"


async def test_a_call_cannot_pass_and_a_time_can(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False) as s:
        operations, item = await stuck(s, outside)
        assert not await operations.do("skip", item)
        await s.do("authorize", amount=5)
        times = await operations.list(Filter(destination=""))
        assert times
        assert await operations.do("skip", times[0])
        assert times[0]["work"] not in [i["work"] for i in await operations.list(Filter())]
        assert [row[0] for row in await kept(s)] == ["skip"]


async def test_a_retried_time_does_not_come_early(shop: MakeShop) -> None:
    async with shop() as s:
        await s.at(NOON)
        await s.do("authorize", amount=5)
        operations = desk_of(s)
        for item in await operations.list(Filter(destination="")):
            assert await operations.do("retry", item)
        assert await s.worker.step() == 0
        await s.at(NOON + timedelta(days=8))
        assert await s.worker.step() > 0


async def test_a_paused_destination_is_left_alone_until_it_is_resumed(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop() as s:
        outside.answers = [Receipt("ch_1", 5)]
        await s.capturing()
        operations = desk_of(s)
        (item,) = [i for i in await operations.list(Filter()) if i["destination"]]
        assert await operations.turn(item["destination"], True)
        assert not await operations.turn(item["destination"], True)
        assert not await operations.turn("", True)
        assert await s.worker.step() == 0
        assert [i["work"] for i in await operations.list(Filter(state="paused"))] == [item["work"]]
        assert await operations.turn(item["destination"], False)
        assert await s.worker.step() == 1
        assert [row[0] for row in await kept(s)] == ["pause", "resume"]


async def test_whoever_pauses_waits_for_what_is_being_taken_and_nothing_begins_afterwards(
    shop: MakeShop,
) -> None:
    async with shop() as s:
        await s.capturing()
        async with s.owners.borrow() as watching, s.admin.transaction():
            taken = await s.admin.fetch(
                "SELECT work FROM avow.take_work('{capture}', '{NULL}', '{NULL}', 9, 9)"
            )
            pausing = asyncio.create_task(desk_of(s).turn("capture", True))
            await until(lambda: watching.fetchval(WAITING), "who pauses waits")
        assert (len(taken), await pausing) == (1, True)
        await s.admin.execute("UPDATE avow.work SET taken = false, ready_at = now()")
        assert await s.worker.step() == 0


async def test_copies_that_pause_at_once_are_answered_alike(shop: MakeShop) -> None:
    async with shop() as s:
        await s.capturing()
        key = _key()
        async with s.owners.borrow() as watching, s.admin.transaction():
            first = await s.admin.fetchval(
                "SELECT avow.pause_destination('main', 'capture', true, 'olga', 'so', $1, '', '{}')", key.id
            )
            copy = asyncio.create_task(desk_of(s).pause("main", "capture", True, BY, key, b"{}"))
            await until(lambda: watching.fetchval(WAITING), "the copy waits")
        assert (first, await copy) == ("done", "replay")
        assert await desk_of(s).pause("main", "capture", True, BY, _key(), b"{}") == "same"


class _Overtaken(Operating):
    """Operating at which a copy of the request is carried out once the key of the request was looked for."""

    copy: Callable[[], Awaitable[Reply]] | None = None

    async def _demand(self, tenant: str | None, work: int, actor: Actor | None = None) -> dict[str, Any]:
        await self._overtake()
        return await super()._demand(tenant, work, actor)

    async def preview(self, wanted: Filter) -> Preview:
        await self._overtake()
        return await super().preview(wanted)

    async def _overtake(self) -> None:
        copy, self.copy = self.copy, None
        if copy is not None:
            await copy()


@pytest.mark.parametrize("action", [RETRY, SKIP])
async def test_what_a_copy_did_meanwhile_is_the_answer_and_refuses_nobody(
    shop: MakeShop, action: str
) -> None:
    """What is skipped isn't there any more, and a retry is another taking: for the same request, done."""
    async with shop() as s:
        await s.do("authorize", amount=5)
        work = (await desk_of(s).list(Filter(destination="")))[0]["work"]
        operating = _Overtaken(s.system, s.owners, s.engine)
        intent = Intent(action, Actor(Subject("olga"), "main"), "so", "k", b"same", everything=True)
        operating.copy = lambda: operating.act(intent, "main", work)
        reply = await operating.act(intent, "main", work)
        assert (operating.copy, reply.status, reply.replayed) == (None, 200, True)
        assert [row[0] for row in await kept(s)] == [action]


async def test_copies_about_one_set_leave_nothing_out(shop: MakeShop) -> None:
    """The one is previewed, or comes to a work of it, while the other is at it."""
    async with shop() as s:
        wanted, olga = Filter("main", destination=""), Actor(Subject("olga"), "main")
        operating = _Overtaken(s.system, s.owners, s.engine)
        done = 0
        for key in ("whole", "each"):
            await s.do("authorize", amount=5)
            intent = Intent(SKIP, olga, "so", key, b"same", everything=True)
            found = await operating.preview(wanted)
            done += len(found.items)
            if key == "each":
                await desk_of(s).begin_bulk("main", SKIP, intent.by, intent.kept("main"), found.items)
            operating.copy = partial(operating.act_on_all, intent, wanted, found.fingerprint)
            reply = json.loads((await operating.act_on_all(intent, wanted, found.fingerprint)).body)
            assert (operating.copy, reply["done"], reply["left"]) == (None, len(found.items), [])
            assert [row[0] for row in await kept(s)] == [SKIP] * done


async def test_the_application_can_do_none_of_it_unless_operators_are_declared(shop: MakeShop) -> None:
    async with shop() as s:
        connection = await connect(s.url)
        try:
            for call in (
                "SELECT avow.operate('main', 'retry', 1, 1, 'a', 'b', gen_random_uuid(), '', '')",
                "SELECT avow.operate('main', 'skip', 1, 1, 'a', 'b', gen_random_uuid(), '', '')",
                "SELECT avow.begin_bulk('main', gen_random_uuid(), '', 'skip', 'a', 'b', '{}', '{}')",
                "SELECT avow.end_bulk('main', gen_random_uuid(), '', '')",
                "SELECT avow.pause_destination('main', 'psp', true, 'a', 'b', gen_random_uuid(), '', '')",
                "INSERT INTO avow.intervention (destination) VALUES ('psp')",
            ):
                with pytest.raises(driver.InsufficientPrivilege):
                    await connection.execute(call)
        finally:
            await connection.close()


async def test_of_a_set_what_has_moved_on_since_it_was_previewed_is_left_out(
    shop: MakeShop, outside: Outside
) -> None:
    """Its plan names each taking; a colleague's retry in the meantime makes it another."""
    async with shop(keyed=False) as s:
        operations, item = await stuck(s, outside)
        operating, wanted = Operating(s.system, s.owners, s.engine), Filter("main", state="stuck")
        intent = Intent(SKIP, Actor(Subject("olga"), "main"), "so", "k", b"same")
        found = await operating.preview(wanted)
        await operations.begin_bulk("main", SKIP, intent.by, intent.kept("main"), found.items)
        assert await operations.do("retry", item)
        await s.worker.step()
        reply = json.loads((await operating.act_on_all(intent, wanted, found.fingerprint)).body)
        assert (reply["done"], reply["left"]) == (0, [{"work": item["work"], "code": "work-moved"}])
        assert (await s.row(item["id"]))["state"] == "capturing"


async def test_nobody_settles_what_somebody_else_has_claimed_meanwhile(
    shop: MakeShop, outside: Outside
) -> None:
    """The claim is committed after it was looked at and before it is settled: the database sees it."""
    async with shop(keyed=False) as s:
        operations, item = await stuck(s, outside)
        effect = s.system.entities["Payment"].effects["capture"]
        await s.admin.execute("UPDATE avow.task SET holder = 'fin', held_until = 'infinity'")
        assert not await operations.do("retry", item)
        with pytest.raises(Outrun):
            await settle_done(s.engine, item, effect, {"id": "ch_9", "amount": 5}, BY)
        assert ((await s.row(item["id"]))["state"], await kept(s)) == ("capturing", [])
        await s.admin.execute("UPDATE avow.task SET holder = 'olga'")
        reply = await settle_done(s.engine, item, effect, {"id": "ch_9", "amount": 5}, BY)
        assert (reply.problem, await s.admin.fetch("SELECT * FROM avow.task")) == (None, [])


async def test_a_set_that_was_begun_is_gone_on_with_under_its_key(shop: MakeShop, outside: Outside) -> None:
    """A process that dies in the middle of a set leaves its plan: whoever repeats the request ends it."""
    async with shop(keyed=False) as s:
        outside.answers = [Unclear("cut")] * 3
        for _ in range(3):
            await s.capturing()
        await s.worker.step()
        operating, wanted = Operating(s.system, s.owners, s.engine), Filter("main", state="stuck")
        intent = Intent(RETRY, Actor(Subject("olga"), "main"), "so", "k", b"same", everything=True)
        found = await operating.preview(wanted)
        begun = await desk_of(s).begin_bulk("main", RETRY, intent.by, intent.kept("main"), found.items)
        first = replace(intent, key=f"{intent.key}\n{begun.works[0]}")
        assert (await operating.act(first, "main", begun.works[0])).status == 200  # and here it died
        reply = await operating.act_on_all(intent, wanted, found.fingerprint)
        assert json.loads(reply.body) == {"action": RETRY, "set": found.fingerprint, "done": 3, "left": []}
        assert (await operating.act_on_all(intent, wanted, found.fingerprint)).body == reply.body
        assert [row[0] for row in await kept(s)] == [RETRY] * 3
        with pytest.raises(ProblemError, match="idempotency-key-reused"):
            await operating.act_on_all(replace(intent, fingerprint=b"other"), wanted, found.fingerprint)
