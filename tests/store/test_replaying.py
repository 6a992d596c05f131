"""A replay tells everything since an instant again, and costs what it tells, however much is held."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from avow.engine.log.export import export
from avow.engine.log.retention import carry_out, plan
from avow.store import driver
from avow.store import subscriptions as module
from avow.store.pool import connect
from avow.store.subscriptions import ACTIVE, DISABLED, PAUSED, Subscriptions
from tests.store.counted import all_told, begin_at_nothing
from tests.store.office import LONG_AGO, MakeOffice, Office
from tests.store.sealed import sealing

DAY = timedelta(days=1)
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
HELD = """
INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
SELECT CASE WHEN n % 3 = 0 THEN 'neighbour' ELSE 'main' END, 'Invoice', gen_random_uuid(), 2, e.header,
    sha256(e.header), avow.now()
FROM generate_series(1, $1::int) AS n,
     convert_to('{"transition": "send", "request": "", "n": ' || n || '}', 'UTF8') AS e (header)
"""
READ = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'audit'"
WHOLE = """
SELECT relname FROM pg_stat_user_tables
WHERE seq_scan > 0 AND relname IN ('audit', 'leaf', 'checkpoint', 'work')
"""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


async def replay_under_way(o: Office, which: UUID) -> bool:
    found = await o.subscriptions.find("main", which)
    assert found is not None
    return found.replaying_since is not None


async def told_again(o: Office, which: UUID, since: datetime) -> list[tuple[str, int]]:
    """What a replay tells."""
    before = len(o.told())
    await o.replay(which, since)
    await o.settle()
    assert not await replay_under_way(o, which)
    return o.told()[before:]


async def test_a_replay_reads_what_came_since_and_not_what_is_held(
    office: MakeOffice, tmp_path: Path
) -> None:
    """As PostgreSQL counts it."""
    async with office() as o:
        await o.at(JANUARY)
        await o.admin.execute(HELD, 3_000)
        async with sealing(o.made, tmp_path) as log:
            await log.seal()
        which = await o.subscribe()
        await o.at(JANUARY + DAY)
        for _ in range(3):
            await o.sent()
        await o.settle()
        await o.pool.close()
        await begin_at_nothing(o.admin)
        reader = o.another_pool()
        replaying = Subscriptions(reader)
        await replaying.replay("main", which, uuid4(), JANUARY + DAY / 2)
        assert not await replaying.go_on(which)
        await reader.close()
        await all_told(o.admin)
        assert await o.admin.fetchval(READ) < 100
        assert await o.admin.fetch(WHOLE) == []
        assert len(await o.work()) == 3


async def test_what_no_checkpoint_covers_is_told_again_as_well(office: MakeOffice, tmp_path: Path) -> None:
    """Sealed long ago, sealed since, not sealed; and where nothing ever was."""
    async with office() as o:
        which = await o.subscribe()
        async with sealing(o.made, tmp_path) as log:
            for days, seals in ((0, True), (1, True), (2, False)):
                await o.at(JANUARY + days * DAY)
                await o.do("pay", await o.sent())
                if seals:
                    await log.seal()
            await o.settle()
            both = [("send", 2), ("pay", 3)]
            assert await told_again(o, which, JANUARY + 2 * DAY) == both
            assert sorted(await told_again(o, which, JANUARY + DAY / 2)) == sorted(2 * both)
            assert len(await told_again(o, which, LONG_AGO)) == 6


async def test_what_was_drawn_before_and_kept_after_a_checkpoint_is_told_again(
    office: MakeOffice, tmp_path: Path
) -> None:
    """Its number is lower than that of sealed entries."""
    async with office() as o, sealing(o.made, tmp_path) as log:
        which = await o.subscribe("Invoice.send")
        await o.at(JANUARY)
        slow, late = await connect(o.url), uuid4()
        await slow.execute("BEGIN")
        await slow.execute(
            "INSERT INTO avow.audit (tenant, kind, id, version, header, hash) VALUES"
            " ('main', 'Invoice', $1, 2, $2, '')", late, b'{"transition": "send", "request": ""}',
        )  # fmt: skip
        await o.sent()
        await log.seal()
        await slow.execute("COMMIT")
        await slow.close()
        await o.at(JANUARY + DAY)
        await o.replay(which, JANUARY)
        assert not await o.subscriptions.go_on(which)
        assert late in {work["id"] for work in await o.work()}


@pytest.mark.parametrize("at_once", [1, 2, 7])
async def test_it_goes_step_by_step_each_in_a_transaction_of_its_own(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """A step that breaks off in the middle loses nothing, and doubles nothing."""
    monkeypatch.setattr(module, "REPLAYED_AT_ONCE", at_once)
    async with office() as o:
        which = await o.subscribe()
        records = [await o.sent() for _ in range(3)]
        for cents in (7, 8):
            for record in records:
                await o.do("correct", record, cents=cents)
        await o.settle()
        o.receiver.came.clear()
        await o.replay(which, LONG_AGO)
        assert await o.subscriptions.go_on(which)
        broken = await connect(o.url)
        await broken.execute("BEGIN")
        await broken.fetchval("SELECT avow.go_on_replaying($1, $2)", which, at_once)
        process = await broken.fetchval("SELECT pg_backend_pid()")
        await o.admin.execute("SELECT pg_terminate_backend($1, 5000)", process)
        with pytest.raises((driver.DatabaseError, *driver.Lost)):
            await broken.execute("COMMIT")
        broken.terminate()
        await o.settle()
        assert [o.of(record) for record in records] == 3 * [[2, 3, 4]]


async def test_what_happens_during_a_replay_is_told_once_and_behind_it(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLAYED_AT_ONCE", 1)
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        await o.settle()
        o.receiver.came.clear()
        await o.replay(which, LONG_AGO)
        await o.subscriptions.go_on(which)
        await o.do("pay", record)
        fresh = await o.sent()
        assert await o.work() == [], "what a command would tell now would overtake the replay"
        await o.settle()
        assert (o.of(record), o.of(fresh)) == ([2, 3], [2])


async def test_what_is_kept_late_and_was_passed_by_is_told_by_its_command(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was drawn before those that a step has looked at, and kept after it."""
    monkeypatch.setattr(module, "REPLAYED_AT_ONCE", 2)
    async with office() as o:
        which = await o.subscribe()
        slow, late = await connect(o.url), uuid4()
        await slow.execute("BEGIN")
        await slow.execute(
            "INSERT INTO avow.audit (tenant, kind, id, version, header, hash) VALUES"
            " ('main', 'Invoice', $1, 2, $2, '')", late, b'{"transition": "send", "request": ""}',
        )  # fmt: skip
        early = await o.sent()
        await o.sent()
        await o.settle()
        await o.replay(which, LONG_AGO)
        assert await o.subscriptions.go_on(which)
        entry = f'{{"kind": "Invoice", "transition": "send", "id": "{late}", "ver": 2, "request": "r"}}'
        await slow.execute("SELECT avow.put_deliveries('main', ARRAY[$1]::jsonb[], now())", entry)
        await slow.execute("COMMIT")
        await slow.close()
        while await o.subscriptions.go_on(which):
            pass
        told = [work["id"] for work in await o.work()]
        assert (told.count(late), told.count(early)) == (1, 1)


async def test_one_request_is_one_replay_and_two_become_one_from_the_earlier_instant(
    office: MakeOffice,
) -> None:
    async with office() as o:
        which, request = await o.subscribe(), uuid4()
        await o.at(JANUARY)
        await o.sent()
        await o.at(JANUARY + DAY)
        await o.sent()
        await o.settle()
        o.receiver.came.clear()
        for _ in range(2):
            found = await o.subscriptions.replay("main", which, request, JANUARY + DAY)
            assert found is not None
        await o.settle()
        assert len(o.receiver.came) == 1
        await o.subscriptions.replay("main", which, request, JANUARY + DAY)
        await o.settle()
        assert len(o.receiver.came) == 1, "the request was carried out"
        await o.replay(which, JANUARY)
        await o.replay(which, JANUARY + DAY)
        await o.settle()
        assert len(o.receiver.came) == 3


async def test_a_replay_begun_again_half_way_tells_each_record_in_order(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still to be told of the first is told where the second brings it."""
    monkeypatch.setattr(module, "REPLAYED_AT_ONCE", 2)
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        for cents in (2, 3, 4):
            await o.do("correct", record, cents=cents)
        await o.replay(which, LONG_AGO)
        for _ in range(2):
            await o.subscriptions.go_on(which)
        await o.replay(which, LONG_AGO)
        await o.settle()
        assert o.of(record) == [2, 3, 4, 5]


async def test_a_paused_one_is_replayed_once_it_goes_on_and_a_disabled_one_as_well(
    office: MakeOffice,
) -> None:
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        await o.settle()
        for versions, state in (([2, 2, 3], PAUSED), ([2, 2, 3, 2, 3, 4], DISABLED)):
            await o.subscriptions.turn("main", which, state)
            await o.replay(which, LONG_AGO)
            await o.do("correct", record, cents=9)
            await o.settle()
            assert len(o.of(record)) == len(versions) // 2, "nothing is told meanwhile"
            await o.subscriptions.turn("main", which, ACTIVE)
            await o.settle()
            assert o.of(record) == versions


async def test_who_is_gone_is_not_replayed_any_more(office: MakeOffice) -> None:
    async with office() as o:
        which = await o.subscribe()
        await o.sent()
        await o.settle()
        await o.replay(which, LONG_AGO)
        await o.subscriptions.turn("main", which, DISABLED, "gone")
        assert not await replay_under_way(o, which)
        await o.subscriptions.turn("main", which, ACTIVE)
        await o.settle()
        assert len(o.receiver.came) == 1


async def test_a_replay_since_a_time_to_come_tells_nothing_again_and_loses_nothing(
    office: MakeOffice,
) -> None:
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        await o.settle()
        await o.replay(which, NEVER)
        await o.do("pay", record)
        await o.settle()
        assert o.of(record) == [2, 3]


async def test_a_replay_is_of_the_types_and_of_the_tenant_of_its_subscription(office: MakeOffice) -> None:
    async with office() as o:
        which = await o.subscribe("Invoice.pay")
        await o.do("pay", await o.sent())
        await o.do("pay", await o.sent(tenant="neighbour"), tenant="neighbour")
        await o.settle()
        assert await told_again(o, which, LONG_AGO) == [("pay", 3)]
        assert await o.subscriptions.replay("neighbour", which, uuid4(), LONG_AGO) is None
        assert not await replay_under_way(o, which)


async def test_what_is_stuck_is_told_again(office: MakeOffice) -> None:
    """Also what is older than the instant: nothing of its record would come before it."""
    async with office() as o:
        which = await o.subscribe()
        record = await o.sent()
        await o.admin.execute("UPDATE avow.work SET stuck = 'undeliverable', ready_at = 'infinity'")
        await o.replay(which, NEVER)
        await o.do("pay", record)
        await o.settle()
        assert o.of(record) == [2, 3]


async def test_a_replay_brings_no_more_while_enough_waits(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber that is down makes no long queue of a long log."""
    monkeypatch.setattr(module, "REPLAYED_AT_ONCE", 600)
    async with office() as o:
        which = await o.subscribe()
        await o.admin.execute(HELD, 3_000)
        await o.replay(which, LONG_AGO)
        for _ in range(5):
            await o.subscriptions.go_on(which)
        assert 1_000 <= len(await o.work()) < 1_600
        assert f"replay/{which}" not in await o.subscriptions.deliverable()
        assert await replay_under_way(o, which)


async def test_publishing_goes_on_between_the_steps_of_a_replay(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is held between two steps keeps a command waiting."""
    monkeypatch.setattr(module, "REPLAYED_AT_ONCE", 1)
    async with office() as o:
        which = await o.subscribe()
        records = [await o.sent() for _ in range(5)]
        await o.settle()
        o.receiver.came.clear()
        await o.replay(which, LONG_AGO)

        async def replays() -> None:
            while await o.subscriptions.go_on(which):
                pass

        await asyncio.gather(replays(), *(o.do("pay", record) for record in records))
        await o.settle()
        assert [o.of(record) for record in records] == 5 * [[2, 3]]


async def test_what_was_dropped_is_told_no_more_and_nothing_wrong_is_told_of_the_rest(
    office: MakeOffice, tmp_path: Path
) -> None:
    """Its note was set by an entry that is gone: nobody may hear that it had none."""
    async with office() as o, sealing(o.made, tmp_path) as log:
        which = await o.subscribe()
        record = await o.sent(note="mind the gap")
        for cents in range(2, 258):
            await o.do("correct", record, cents=cents)
        await o.admin.execute("DELETE FROM avow.work")
        await log.seal()
        folder = tmp_path / "export"
        await export(o.admin, folder, lambda *_: None)
        until = datetime.now(UTC) + timedelta(minutes=1)
        planned = await plan(o.admin, until, folder, "olga", "old")
        assert await carry_out(o.admin, planned, lambda *_: None) == 256
        await o.do("pay", record)
        await o.settle()
        (told,) = o.receiver.events
        assert (told["data"]["version"], told["data"]["note"], told["data"]["cents"]) == (
            259,
            "mind the gap",
            257,
        )
        o.receiver.came.clear()
        await o.replay(which, LONG_AGO)
        await o.settle()
        assert [(e["data"]["version"], e["data"]["note"]) for e in o.receiver.events] == [
            (257, "mind the gap"), (258, "mind the gap"), (259, "mind the gap"),
        ]  # fmt: skip


async def test_what_a_replay_has_still_to_tell_is_not_dropped(office: MakeOffice, tmp_path: Path) -> None:
    async with office() as o, sealing(o.made, tmp_path) as log:
        which = await o.subscribe()
        record = await o.sent()
        for cents in range(2, 258):
            await o.do("correct", record, cents=cents)
        await o.admin.execute("DELETE FROM avow.work")
        await log.seal()
        await o.replay(which, LONG_AGO)
        folder = tmp_path / "export"
        await export(o.admin, folder, lambda *_: None)
        until = datetime.now(UTC) + timedelta(minutes=1)
        await carry_out(o.admin, await plan(o.admin, until, folder, "olga", "old"), lambda *_: None)
        assert await o.admin.fetchval("SELECT count(*) FROM avow.audit") == 258
