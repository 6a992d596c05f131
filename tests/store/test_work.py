"""What is to be done later is done once, by whoever holds it, and never early."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from avow import backoff
from avow.engine.workers.breaker import FAULTS_MAX
from avow.model.outcome import Declined, NotDone, Unclear
from avow.store.queue import Queue, keep
from tests.acceptance.polling import until
from tests.store.payment import Outside, Receipt
from tests.store.shop import NOON, MakeShop, Shop
from tests.waiting import WAITS

WAITING = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {WAITS}"
READY = "UPDATE avow.work SET ready_at = now() WHERE ready_at < 'infinity' AND destination <> ''"


async def test_a_call_is_made_once_and_its_result_is_a_transition(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [Receipt("ch_1", 5)]
        record = await s.capturing()
        assert await s.worker.step() == 1
        row = await s.row(record)
        assert (row["state"], row["receipt"]) == ("captured", "ch_1")
        assert await s.worker.step() == 0
        assert await s.work() == []
        assert len(outside.asked) == 1


async def test_what_was_not_done_is_tried_again_under_the_same_key(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [NotDone("refused"), Unclear("cut"), Receipt("ch_1", 5)]
        record = await s.capturing()
        await _until_settled(s)
        assert (await s.row(record))["state"] == "captured"
        assert len(outside.asked) == 3
        assert len(set(outside.asked)) == 1


async def test_a_definite_no_is_never_tried_again(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [Declined("no", code="insufficient-funds")]
        record = await s.capturing()
        await _until_settled(s)
        row = await s.row(record)
        assert (row["state"], row["reason_code"]) == ("failed", "insufficient-funds")


async def test_an_unclear_call_of_a_provider_without_keys_is_looked_up_and_not_repeated(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(keyed=False, lookup=True) as s:
        outside.answers, outside.lookups = [Unclear("cut")], [Receipt("ch_9", 5)]
        record = await s.capturing()
        await _until_settled(s)
        assert (await s.row(record))["receipt"] == "ch_9"
        assert len(outside.asked) == 1


async def test_a_lookup_has_a_client_and_time_of_its_own(shop: MakeShop, outside: Outside) -> None:
    """That of the call has no time left where the call took all of it."""
    async with shop(keyed=False, lookup=True) as s:
        outside.answers, outside.lookups = [TimeoutError()], [Receipt("ch_9", 5)]
        await s.capturing()
        await _until_settled(s)
        effect = s.system.entities["Payment"].effects["capture"]
        assert outside.clients == [effect.function, effect.lookup]


async def test_an_unclear_call_that_nobody_can_look_up_waits_for_a_person(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(keyed=False) as s:
        outside.answers = [Unclear("cut")]
        record = await s.capturing()
        assert await s.worker.step() == 1
        assert await s.worker.step() == 0
        (work,) = await s.work()
        assert (work["stuck"], (await s.row(record))["state"]) == ("unknown", "capturing")


async def test_an_unclear_call_takes_the_declared_transition(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False, unknown=True) as s:
        outside.answers = [Unclear("cut")]
        record = await s.capturing()
        await _until_settled(s)
        assert (await s.row(record))["state"] == "doubtful"


async def test_where_faults_are_kept_under_the_key_the_next_attempt_has_another(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(keeps_faults=True, lookup=True) as s:
        outside.answers = [Unclear("500", answered=True), Receipt("ch_1", 5)]
        outside.lookups = [None]
        record = await s.capturing()
        await _until_settled(s)
        assert (await s.row(record))["state"] == "captured"
        assert len(set(outside.asked)) == 2


async def test_an_attempt_that_was_not_done_says_nothing_of_an_unclear_one_before(
    shop: MakeShop, outside: Outside
) -> None:
    """When the attempts are used up nobody knows; that it failed would be a guess."""
    async with shop() as s:
        outside.answers = [Unclear("cut"), NotDone("refused"), NotDone("refused")]
        record = await s.capturing()
        await _until_settled(s)
        (work,) = await s.work()
        assert (work["stuck"], (await s.row(record))["state"]) == ("unknown", "capturing")


async def test_a_call_without_keys_of_a_worker_that_died_is_not_made_again(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(keyed=False) as s:
        await s.capturing()
        await Queue(s.system, s.pool).take(["capture"], 15.0, 10)
        await s.admin.execute(READY)
        await s.worker.step()
        (work,) = await s.work()
        assert (work["stuck"], outside.asked) == ("unknown", [])


async def test_a_destination_that_keeps_failing_is_left_alone(shop: MakeShop, outside: Outside) -> None:
    async with shop(retry=backoff(20, first_s=0.001, most_s=0.001)) as s:
        outside.answers = [NotDone("refused")] * 20
        await s.capturing()
        for _ in range(2 * FAULTS_MAX):
            await s.admin.execute(READY)
            await s.worker.step()
        assert len(outside.asked) == FAULTS_MAX


async def test_the_other_side_says_when_it_is_asked_again(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        await s.at(NOON)
        outside.answers = [NotDone("busy", retry_after_s=600)]
        await s.capturing()
        await s.worker.step()
        (work,) = await s.work()
        assert work["ready_at"] >= NOON + timedelta(seconds=600)


async def test_so_it_does_where_nobody_can_tell_whether_it_was_done(shop: MakeShop, outside: Outside) -> None:
    """A fault of the other side, and then its limit: sent again under its key, and not before."""
    async with shop() as s:
        await s.at(NOON)
        outside.answers = [
            Unclear("503", answered=True, retry_after_s=600),
            NotDone("429", retry_after_s=900),
        ]
        await s.capturing()
        for moment, wait_s in ((NOON, 600), (NOON + timedelta(seconds=700), 900)):
            await s.at(moment)
            await s.worker.step()
            (work,) = await s.work()
            assert work["ready_at"] >= moment + timedelta(seconds=wait_s)
            assert work["unclear"]
        assert len(set(outside.asked)) == 1


async def test_a_lookup_that_fails_is_made_again_and_the_call_is_not(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(keyed=False, lookup=True) as s:
        await s.at(NOON)
        outside.answers = [Unclear("cut")]
        outside.lookups = [NotDone("busy", retry_after_s=600), Receipt("ch_9", 5)]
        record = await s.capturing()
        await s.worker.step()
        (work,) = await s.work()
        assert (work["stuck"], work["ready_at"] >= NOON + timedelta(seconds=600)) == (None, True)
        await s.at(work["ready_at"])
        await s.worker.step()
        assert (await s.row(record))["receipt"] == "ch_9"
        assert len(outside.asked) == 1


async def test_a_lookup_that_goes_on_failing_leaves_it_unknown(shop: MakeShop, outside: Outside) -> None:
    async with shop(keyed=False, lookup=True) as s:
        outside.answers, outside.lookups = [Unclear("cut")], [NotDone("refused")] * 9
        await s.capturing()
        await _until_settled(s)
        (work,) = await s.work()
        assert (work["stuck"], work["attempt"], len(outside.asked)) == ("unknown", 3, 1)


async def test_a_stale_worker_changes_nothing(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [Receipt("first", 5), Receipt("second", 5)]
        record = await s.capturing()
        slow = s.another()
        (taken,) = await slow._queue.take(["capture"], 15.0, 10)  # pyright: ignore[reportPrivateUsage]
        await s.admin.execute("UPDATE avow.work SET ready_at = now()")  # its lease has ended
        assert await s.worker.step() == 1
        await slow._doing.do(taken)  # pyright: ignore[reportPrivateUsage]
        assert slow.counts["stale"] == 1
        row = await s.row(record)
        assert (row["receipt"], row["version"]) == ("first", 3)


async def test_a_worker_whose_lease_has_ended_settles_nothing_while_another_one_is_at_it(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop() as s:
        outside.answers = [Receipt("late", 5), Receipt("second", 5)]
        record = await s.capturing()
        slow, quick = s.another(), s.another()
        (taken,) = await slow._queue.take(["capture"], 15.0, 10)  # pyright: ignore[reportPrivateUsage]
        await s.admin.execute("UPDATE avow.work SET ready_at = now()")
        (again,) = await quick._queue.take(["capture"], 15.0, 10)  # pyright: ignore[reportPrivateUsage]
        await slow._doing.do(taken)  # pyright: ignore[reportPrivateUsage]
        assert (slow.counts["stale"], (await s.row(record))["state"]) == (1, "capturing")
        await quick._doing.do(again)  # pyright: ignore[reportPrivateUsage]
        assert (await s.row(record))["receipt"] == "second"


async def test_what_is_taken_comes_back_when_its_lease_ends_and_not_before(shop: MakeShop) -> None:
    """Held for longer, later; and whoever takes it then knows that it may have been carried out."""
    async with shop() as s:
        await s.at(NOON)
        await s.capturing()
        queue = Queue(s.system, s.pool)
        (taken,) = await queue.take(["capture"], 15.0, 10)
        await s.at(NOON + timedelta(seconds=14.9))
        assert await queue.take(["capture"], 15.0, 10) == []
        await s.at(NOON + timedelta(seconds=15))
        (again,) = await queue.take(["capture"], 15.0, 10)
        assert (again.work, again.fence, again.unclear) == (taken.work, taken.fence + 1, True)
        await s.at(NOON + timedelta(seconds=25))
        assert await keep(s.admin, [(again.work, again.fence)], 15.0) == {again.work}
        await s.at(NOON + timedelta(seconds=39.9))
        assert await queue.take(["capture"], 15.0, 10) == []


async def test_a_worker_whose_lease_has_ended_neither_holds_nor_gives_back_what_another_is_at(
    shop: MakeShop,
) -> None:
    """Whatever it wants: another attempt, a person, or that it be forgotten."""
    async with shop() as s:
        await s.capturing()
        queue = Queue(s.system, s.pool)
        (taken,) = await queue.take(["capture"], 15.0, 10)
        await s.admin.execute(READY)
        await queue.take(["capture"], 15.0, 10)
        before = await s.work()
        assert await keep(s.admin, [(taken.work, taken.fence)], 60.0) == set()
        assert not await queue.give_back(taken, "not-done", "cut", pause_s=0.0)
        assert not await queue.give_back(taken, "stuck", "cut", stuck="unknown")
        assert not await queue.give_back(taken, "known", "")
        assert await s.work() == before
        assert await s.admin.fetchval("SELECT count(*) FROM avow.attempt") == 0


async def test_nobody_gives_back_what_nobody_has_taken(shop: MakeShop) -> None:
    """Else whoever has the application's login could draw any time nearer, or drop it, before it is due."""
    async with shop() as s:
        await s.capturing()
        queue = Queue(s.system, s.pool)
        (taken,) = await queue.take(["capture"], 15.0, 10)
        assert await queue.give_back(taken, "not-done", "cut", pause_s=3_600.0)
        before = await s.work()
        assert not await queue.give_back(taken, "not-done", "cut", pause_s=0.0)
        assert not await queue.give_back(taken, "known", "")
        assert not await queue.park_again(taken, "", "{}", 0.0)
        assert await s.work() == before


async def test_a_cancelled_call_that_has_not_begun_is_not_made(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        record = await s.capturing()
        await s.do("cancel", record)
        await s.worker.step()
        assert (await s.row(record))["state"] == "failed"
        assert outside.asked == []


async def test_a_cancelled_call_that_has_begun_is_waited_for(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [Unclear("cut"), Receipt("ch_1", 5)]
        record = await s.capturing()
        await s.worker.step()
        await s.do("cancel", record)
        await _until_settled(s)
        assert (await s.row(record))["state"] == "to_refund"
        assert len(set(outside.asked)) == 1


async def test_a_time_comes_once_and_never_early(shop: MakeShop) -> None:
    async with shop() as s:
        await s.at(NOON)
        record = (await s.do("authorize", amount=5)).record
        await s.at(NOON + timedelta(days=7) - timedelta(microseconds=1))
        while await s.worker.step():
            pass
        assert (await s.row(record))["state"] == "authorized"
        await s.at(NOON + timedelta(days=7))
        await s.worker.step()
        row = await s.row(record)
        assert row["state"] == "lapsed"
        assert await s.work() == []


async def test_what_was_due_while_nobody_worked_happens_once_afterwards(shop: MakeShop) -> None:
    async with shop() as s:
        await s.at(NOON)
        record = (await s.do("authorize", amount=5, expires=NOON + timedelta(hours=1))).record
        await s.at(NOON + timedelta(days=1))
        assert await s.worker.step() == 1
        row = await s.row(record)
        assert (row["state"], row["version"]) == ("lapsed", 2)
        assert (await s.worker.step(), await s.work()) == (0, [])


async def test_a_reminder_comes_again_while_the_record_stays(shop: MakeShop) -> None:
    async with shop() as s:
        await s.at(NOON)
        record = (await s.do("authorize", amount=5)).record
        for day in (2, 4, 6):
            await s.at(NOON + timedelta(days=day))
            while await s.worker.step():
                pass
        assert (await s.row(record))["reminded"] == 3


async def test_a_time_given_by_a_field_moves_with_the_field(shop: MakeShop) -> None:
    async with shop() as s:
        await s.at(NOON)
        record = (await s.do("authorize", amount=5, expires=NOON + timedelta(hours=1))).record
        await s.do("extend", record, expires=NOON + timedelta(hours=3))
        await s.at(NOON + timedelta(hours=2))
        await s.worker.step()
        assert (await s.row(record))["state"] == "authorized"
        await s.at(NOON + timedelta(hours=3))
        await s.worker.step()
        assert (await s.row(record))["state"] == "lapsed"


async def _until_settled(s: Shop) -> None:
    """Step until nothing is to be done, making what waits for its next attempt ready."""
    for _ in range(10):
        await s.admin.execute(
            "UPDATE avow.work SET ready_at = now() WHERE ready_at < 'infinity' AND destination <> ''"
        )
        if not await s.worker.step():
            return
    raise AssertionError("it never ends")


async def test_what_ends_while_a_worker_takes_it_is_gone_all_the_same(shop: MakeShop) -> None:
    """The deadline of a state that is left in the same moment: nobody is told of it afterwards."""
    async with shop() as s:
        await s.at(NOON)
        record = (await s.do("authorize", amount=5)).record
        assert record is not None
        async with s.pool.borrow() as watching, s.admin.transaction():
            await s.admin.execute("UPDATE avow.work SET taken = true, fence = fence + 1")
            starting = asyncio.create_task(s.do("start", record))
            await until(lambda: watching.fetchval(WAITING), "the command waits for the worker")
        await starting
        assert [work["name"] for work in await s.work()] == ["capture"]
