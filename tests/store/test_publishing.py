"""What is published reaches every subscription, signed, in order, however often a delivery fails."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from avow.engine.execute import Request
from avow.engine.workers import worker as module
from avow.engine.workers.publishing import subscription_secret
from avow.model.actor import Actor
from avow.model.signature import StandardWebhooks, verify
from avow.model.values import Subject
from avow.store.pool import connect
from avow.store.queue import DELIVERIES_AT_ONCE
from avow.store.subscriptions import ACTIVE, DISABLED, PAUSED
from avow.store.transaction import WriteRefused
from tests.acceptance.polling import until
from tests.store.office import LONG_AGO, ROOT, MakeOffice
from tests.waiting import WAITS

WAITING = f"SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND {WAITS}"


async def test_what_is_published_is_told_as_a_signed_cloud_event(office: MakeOffice) -> None:
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent(cents=5, note="n" * 3_000, internal_note="never told")
        await o.settle()
        ((path, headers, body),) = o.receiver.came
        (event,) = o.receiver.events
        assert (path, headers["content-type"].partition(";")[0]) == ("/", "application/cloudevents+json")
        said = verify(
            StandardWebhooks(), [subscription_secret(ROOT, which, 1)],
            [(name.encode(), value.encode()) for name, value in headers.items()], body, datetime.now(UTC),
        )  # fmt: skip
        assert said.id == event["id"]
        assert (event["specversion"], event["type"], event["source"], event["subject"]) == (
            "1.0", "invoices.Invoice.send", "/invoices", str(record),
        )  # fmt: skip
        assert event["data"] == {
            "id": str(record), "version": 2, "state": "sent", "cents": 5, "note": "n" * 3_000,
        }  # fmt: skip
        assert b"never told" not in body
        assert await o.attempts() == [("delivered", "answered with 204")]


async def test_each_delivery_says_what_was_true_at_its_version(office: MakeOffice) -> None:
    async with office() as o:
        await o.subscribe()
        record = await o.sent(cents=5)
        await o.do("correct", record, cents=7)
        await o.do("pay", record)
        await o.settle()
        assert [e["data"]["cents"] for e in o.receiver.events] == [5, 7, 7]


async def test_only_what_was_asked_for_is_told_and_to_nobody_else(office: MakeOffice) -> None:
    async with office() as o:
        await o.subscribe("Invoice.pay")
        record = await o.sent()
        await o.sent(tenant="neighbour")
        assert await o.work() == []
        await o.do("pay", record)
        await o.settle()
        assert o.told() == [("pay", 3)]


async def test_deliveries_of_a_record_come_in_order_however_they_fail(office: MakeOffice) -> None:
    """A failed one holds up those of its own record, and of no other; its id stays the same."""
    async with office() as o:
        await o.subscribe()
        first, second = await o.sent(), await o.sent()
        await o.do("pay", first)
        o.receiver.answers = [500, 429]
        await o.worker.step()
        await o.settle()
        assert o.of(first) == sorted(o.of(first))
        assert (o.of(first)[-1], o.of(second)[-1], len(o.receiver.came)) == (3, 2, 5)
        assert len({e["id"] for e in o.receiver.events}) == 3
        assert await o.work() == []


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
async def test_what_was_not_taken_is_tried_again_and_its_answer_recorded(
    office: MakeOffice, status: int
) -> None:
    async with office() as o:
        await o.subscribe()
        o.receiver.answers = [status]
        await o.sent()
        await o.settle()
        (first, detail), second = await o.attempts()
        assert (first, second[0]) == ("not-delivered", "delivered")
        assert str(status) in detail
        assert [path for path, _, _ in o.receiver.came] == ["/", "/"], "no redirect is followed"


@pytest.mark.parametrize("status", [302, 400, 429, 503])
async def test_a_subscriber_says_when_it_is_told_again(office: MakeOffice, status: int) -> None:
    async with office() as o:
        await o.subscribe()
        o.receiver.answers, o.receiver.retry_after = [status], "7200"
        await o.sent()
        await o.worker.step()
        left = await o.admin.fetchval("SELECT ready_at - now() FROM avow.work")
        assert left > timedelta(seconds=7_100)


async def test_a_delivery_is_tried_for_days_and_then_a_person_is_asked(office: MakeOffice) -> None:
    async with office(retried_for=timedelta(days=2)) as o:
        await o.subscribe()
        await o.sent()
        for hours in (0, 24, 47, 49):
            await o.admin.execute("UPDATE avow.work SET due = now() - $1::interval", timedelta(hours=hours))
            o.receiver.answers = [500]
            await o.admin.execute("UPDATE avow.work SET ready_at = now()")
            await o.worker.step()
            (work,) = await o.work()
            assert (work["stuck"] is not None) is (hours > 48)
        assert (await o.work())[0]["stuck"] == "undeliverable"


async def test_who_is_gone_is_told_nothing_more(office: MakeOffice) -> None:
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        await o.do("pay", record)
        o.receiver.answers = [410]
        await o.settle()
        found = await o.subscriptions.find("main", which)
        assert (found.state, found.reason) == (DISABLED, "gone")
        await o.sent()
        assert (len(o.receiver.came), await o.work()) == (1, [])


async def test_what_happens_during_a_pause_is_told_after_it(office: MakeOffice) -> None:
    async with office() as o:
        which = await o.subscribe()
        await o.subscriptions.turn("main", which, PAUSED)
        record = await o.sent()
        await o.do("pay", record)
        await o.settle()
        assert o.told() == []
        await o.subscriptions.turn("main", which, ACTIVE)
        await o.settle()
        assert o.told() == [("send", 2), ("pay", 3)]


async def test_a_replay_tells_everything_since_an_instant_in_order_under_the_same_ids(
    office: MakeOffice,
) -> None:
    async with office() as o:
        which = await o.subscribe()
        early = await o.sent()
        await o.settle()
        since = await o.admin.fetchval("SELECT clock_timestamp()")
        await o.do("pay", early)
        late = await o.sent()
        await o.settle()
        await o.do("pay", late)  # still to be told
        await o.replay(which, since)
        await o.settle()
        assert (o.of(early), o.of(late)) == ([2, 3, 3], [2, 2, 3])
        ids = [e["id"] for e in o.receiver.events]
        assert (len(ids), len(set(ids))) == (6, 4)


async def test_nothing_is_lost_or_out_of_order_while_commands_and_replays_run_at_once(
    office: MakeOffice,
) -> None:
    async with office() as o:
        which = await o.subscribe()
        since = await o.admin.fetchval("SELECT clock_timestamp()")

        async def one() -> UUID:
            record = await o.sent()
            for cents in range(2, 5):
                await o.do("correct", record, cents=cents)
            return record

        async def replays() -> None:
            for _ in range(5):
                await o.replay(which, since)
                while await o.subscriptions.go_on(which):
                    pass

        *records, _ = await asyncio.gather(*(one() for _ in range(20)), replays())
        await o.settle()
        for record in records:
            assert o.of(record) == [2, 3, 4, 5]


async def test_a_replay_comes_before_or_after_a_command_and_never_between(office: MakeOffice) -> None:
    """What a command under way has to tell is told after what the replay tells of the same record."""
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        entry = {"kind": "Invoice", "transition": "pay", "id": str(record), "ver": 3, "request": "r"}
        command = await connect(o.url)
        await command.execute("BEGIN")
        await command.execute(
            "INSERT INTO avow.audit (tenant, kind, id, version, header, hash) VALUES"
            " ('main', 'Invoice', $1, 3, convert_to($2, 'UTF8'), '')", record, json.dumps(entry),
        )  # fmt: skip
        await command.execute(
            "SELECT avow.put_deliveries('main', ARRAY[$1]::jsonb[], now())", json.dumps(entry)
        )
        await o.replay(which, LONG_AGO)
        replay = asyncio.create_task(o.subscriptions.go_on(which))

        async def waits_or_is_done() -> bool | None:
            return replay.done() or await o.admin.fetchval(WAITING) or None

        await until(waits_or_is_done, "the replay has met the command")
        await command.execute("COMMIT")
        await command.close()
        await replay
        assert [work["version"] for work in await o.work()] == [2, 3]


async def test_two_secrets_sign_while_one_replaces_the_other(office: MakeOffice) -> None:
    async with office() as o:
        which = await o.subscribe()
        again = uuid4()
        for _ in range(2):  # a retry of the same request
            rotated = await o.subscriptions.rotate("main", which, again, 3_600.0)
            assert rotated.generation == 2
        await o.sent()
        await o.settle()
        ((_, headers, body),) = o.receiver.came
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        for generation in (1, 2):
            secret = subscription_secret(ROOT, which, generation)
            assert verify(StandardWebhooks(), [secret], lines, body, datetime.now(UTC))
        await o.admin.execute("UPDATE avow.subscription SET previous_until = now()")
        await o.sent()
        await o.settle()
        assert len(o.receiver.came[1][1]["webhook-signature"].split()) == 1


async def test_a_subscriber_in_a_private_network_is_not_called(office: MakeOffice) -> None:
    async with office(private=False) as o:
        await o.subscribe()
        await o.sent()
        await o.worker.step()
        assert o.receiver.came == []
        assert [outcome for outcome, _ in await o.attempts()] == ["not-delivered"]


async def test_one_subscriber_takes_no_more_than_its_share_of_a_worker(office: MakeOffice) -> None:
    async with office() as o:
        await o.subscribe()
        for _ in range(2 * DELIVERIES_AT_ONCE):
            await o.sent()
        o.receiver.hold = asyncio.Event()
        step = asyncio.create_task(o.worker.step())
        await until(o.receiver.is_full, "as many are under way as may be")
        assert await o.another_takes() == 0
        o.receiver.hold.set()
        await step
        await o.settle()
        assert o.receiver.most_at_once == DELIVERIES_AT_ONCE
        assert len(o.receiver.came) == 2 * DELIVERIES_AT_ONCE


async def test_subscribers_that_take_long_hold_up_no_calls(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all places, deliveries together have so many; which subscription has them is left to chance."""
    monkeypatch.setattr(module, "DELIVERIES_MAX", DELIVERIES_AT_ONCE)
    async with office() as o:
        for _ in range(3):
            await o.subscribe()
        await o.sent()
        o.receiver.hold = asyncio.Event()
        step = asyncio.create_task(o.worker.step())

        async def one_came() -> bool | None:
            return o.receiver.came != [] or None

        await until(one_came, "one subscriber is told")
        assert await o.worker._begin() == 0  # pyright: ignore[reportPrivateUsage]
        o.receiver.hold.set()
        assert await step == 1
        await o.settle()
        assert len(o.receiver.came) == 3


async def test_a_command_of_what_publishes_nothing_never_gets_to_the_deliveries(office: MakeOffice) -> None:
    async with office() as o:
        await o.subscribe()
        await o.admin.execute(
            "CREATE OR REPLACE FUNCTION avow.put_deliveries("
            "p_tenant text, p_entries jsonb[], p_now timestamptz)"
            " RETURNS integer LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'reached'; END$$"
        )
        actor = Actor(Subject("alice"), "main")
        reply = await o.engine.execute(Request("Memo", "keep", None, {}, actor, str(uuid4()), b"", "r"))
        assert reply.status == 201
        with pytest.raises(WriteRefused):
            await o.sent()


@pytest.mark.parametrize(
    ("body", "length", "coding"),
    [(b"x" * 2_000_000, 0, "identity"), (b"x" * 9, 0, "gzip"), (b"x", 9, "identity")],
    ids=["long", "in a coding", "cut off"],
)
async def test_what_a_subscriber_says_beside_its_status_changes_nothing(
    office: MakeOffice, body: bytes, length: int, coding: str
) -> None:
    """It has taken the event, or is gone, whatever stands below."""
    async with office() as o:
        which = await o.subscribe()
        o.receiver.body, o.receiver.body_length, o.receiver.coding = body, length, coding
        o.receiver.answers = [200, 410]
        record = await o.sent()
        await o.settle()
        assert await o.attempts() == [("delivered", "answered with 200")]
        await o.do("pay", record)
        await o.settle()
        found = await o.subscriptions.find("main", which)
        assert (found.state, len(o.receiver.came)) == (DISABLED, 2)
