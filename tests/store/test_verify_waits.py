"""What was to be done and is gone, or was put in by hand, is found: calls, times and tasks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from avow import Entity, State, create, everybody, field, read, seconds, system, transition
from avow.engine.verify import verify
from avow.model.outcome import Unclear
from avow.model.system import System
from avow.store.pool import Pool, connect
from tests.fix_database import MakeDatabase
from tests.store.payment import Outside
from tests.store.shop import MakeShop, Shop
from tests.store.test_tasks import MakeOffice, office

__all__ = ["office"]


async def found(admin: Any, system: System) -> dict[str, UUID]:
    """The records that something is said of, by what is said."""
    return {finding.code: UUID(finding.id) for finding in (await verify(admin, system)).findings}


PUT_IN = """
INSERT INTO avow.work (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
SELECT tenant, kind, id, 'capture', version, 'capture', line, key, due, ready_at, request, since
FROM avow.work WHERE id = $1 AND name = 'lapse'
"""


async def test_what_waits_in_the_queue_is_what_the_entries_say(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        outside.answers = [Unclear("cut")]
        capturing = await s.capturing()
        lapsing, late, moved = [(await s.do("authorize", amount=5)).record for _ in range(3)]
        assert await s.worker.step() == 1  # the call is tried again later
        assert await found(s.admin, s.system) == {}
        await s.admin.execute("DELETE FROM avow.work WHERE id = $1 AND destination <> ''", capturing)
        assert await found(s.admin, s.system) == {"work-missing": capturing}
        await s.admin.execute("DELETE FROM avow.work WHERE id = $1 AND name = 'lapse'", lapsing)
        await s.admin.execute("UPDATE avow.work SET due = due + interval '1 day' WHERE id = $1", moved)
        await s.admin.execute(PUT_IN, late)
        findings = (await verify(s.admin, s.system)).findings
        assert {(finding.code, finding.id) for finding in findings} == {
            ("work-missing", str(capturing)), ("work-missing", str(lapsing)), ("work-edited", str(moved)),
            ("work-unknown", str(late)),
        }  # fmt: skip


class Payment(Entity):
    """A payment that is over at once where nothing is to be paid."""

    amount: int = field(default=0)
    visible = read(by=everybody)
    open, over = State(initial=True), State(final=True)
    ask = create(open, by=everybody, sets=[amount])
    waive = transition(open, to=over, after=seconds(0), when=amount == 0)
    close = transition(open, to=over, by=everybody)


async def test_a_time_that_passed_without_its_transition_is_not_missed(database: MakeDatabase) -> None:
    bills = system("bills", Payment)
    made = database(bills)
    admin = await connect(made.admin_url)
    s = Shop(bills, made.application_url, admin, Pool(made.admin_url))
    assert (await s.do("ask", amount=5)).status == 201
    assert await s.worker.step() == 1
    assert (await s.work(), await found(admin, bills)) == ([], {})
    await admin.execute("UPDATE avow.attempt SET outcome = 'stuck'")
    assert set(await found(admin, bills)) == {"work-missing"}
    for one in (s.pool, s.owners, admin):
        await one.close()


async def test_what_is_stuck_is_a_task_and_no_task_asks_for_anything_else(
    shop: MakeShop, outside: Outside
) -> None:
    async with shop(keyed=False) as s:
        outside.answers = [Unclear("cut")]
        record = await s.capturing()
        await s.worker.step()
        assert [w["stuck"] for w in await s.work()] == ["unknown"]
        assert await found(s.admin, s.system) == {}
        await s.admin.execute("UPDATE avow.task SET work = 0")
        findings = (await verify(s.admin, s.system)).findings
        assert {(one.code, one.id) for one in findings} == {
            ("task-missing", str(record)), ("task-unknown", str(record)),
        }  # fmt: skip
        assert {one.code for one in (await verify(s.admin, s.system, tenant="other")).findings} == set()


async def test_who_is_asked_is_what_the_entries_say(office: MakeOffice) -> None:
    async with office() as o:
        asked, other = await o.pending(), await o.pending()
        assert await found(o.admin, o.system) == {}
        await o.admin.execute("UPDATE avow.task SET id = $2 WHERE id = $1", asked, UUID(int=1))
        assert await found(o.admin, o.system) == {"task-missing": asked}
        await o.admin.execute("UPDATE avow.task SET step = 'approve' WHERE id = $1", other)
        assert set(await found(o.admin, o.system)) == {"task-missing", "task-unknown"}
