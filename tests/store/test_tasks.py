"""A command that waits for a person stands in an inbox, is one person's at a time, and moves on in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow.engine.execute import Engine, Reply, Request
from avow.engine.inbox import Filter, Inbox, Intent
from avow.engine.workers.worker import Worker
from avow.errors import ProblemError
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.loading import Loaded
from avow.store.pool import Pool, connect
from tests.fix_database import MakeDatabase
from tests.store.expense import expenses

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def person(name: str, *roles: str) -> Actor:
    return Actor(Subject(name), "main", frozenset(roles))


ANN = person("ann", "boss")
CARL, CLEO = person("carl", "clerk"), person("cleo", "clerk", "boss")
BEA, BOB, BORIS = person("bea", "boss"), person("bob", "boss"), person("boris", "boss")
DORA = person("dora", "board")


def _no_client(*_: object) -> None:
    """Nothing here is called."""


class Office:
    """A database of expenses, its engine, and its inbox."""

    def __init__(self, system: System, url: str, admin: Connection) -> None:
        self.system, self.admin, self.pool = system, admin, Pool(url)
        self.engine = Engine(system, self.pool, lambda problem, _: problem.code.encode())
        self.inbox = Inbox(system, self.pool)
        self.worker = Worker(system, self.engine, self.pool, url, _no_client)

    async def do(self, actor: Actor, command: str, record: UUID | None = None, **given: Any) -> Reply:
        key = str(uuid4())
        return await self.engine.execute(Request("Expense", command, record, given, actor, key, b"", "r"))

    async def pending(self, amount: int = 50, **given: Any) -> UUID:
        record = (await self.do(ANN, "start", amount=amount, **given)).record
        assert record is not None
        assert (await self.do(ANN, "submit", record)).status == 200
        return record

    async def checked(self, amount: int = 50) -> UUID:
        record = await self.pending(amount)
        assert (await self.do(CARL, "check", record)).status == 200
        return record

    async def tasks(self, actor: Actor, **wanted: Any) -> list[dict[str, Any]]:
        return (await self.inbox.page(actor, Filter(**wanted), None, 50)).items

    async def rows(self) -> list[Any]:
        return await self.admin.fetch("SELECT * FROM avow.task ORDER BY step, task")

    async def task(self) -> Any:
        (row,) = await self.rows()
        return row

    async def acts(self) -> list[tuple[Any, ...]]:
        rows = await self.admin.fetch("SELECT subject, word, told, reason FROM avow.task_act ORDER BY act")
        return [(row["subject"], row["word"], json.loads(row["told"]), row["reason"]) for row in rows]

    async def act(self, actor: Actor, word: str, key: str = "", **more: Any) -> Reply:
        row = await self.task()
        intent = Intent(word, row["task"], actor, key or str(uuid4()), b"", "r", **more)
        return await self.inbox.act(intent)

    async def refused(self, actor: Actor, word: str, **more: Any) -> str:
        with pytest.raises(ProblemError) as caught:
            await self.act(actor, word, **more)
        return caught.value.problem.code

    async def at(self, moment: datetime) -> None:
        await self.admin.execute("DELETE FROM avow.clock")
        await self.admin.execute("INSERT INTO avow.clock (fixed) VALUES ($1)", moment)

    async def state(self, record: UUID) -> str:
        return await self.admin.fetchval("SELECT state FROM expenses.expenses WHERE id = $1", record)


MakeOffice = Callable[..., Any]


@pytest.fixture
def office(database: MakeDatabase) -> MakeOffice:
    @asynccontextmanager
    async def make(**options: Any) -> AsyncGenerator[Office]:
        system = expenses(**options)
        made = database(system)
        admin = await connect(made.admin_url)
        office = Office(system, made.application_url, admin)
        try:
            yield office
        finally:
            await office.pool.close()
            await admin.close()

    return make


async def test_a_task_comes_and_goes_in_the_transaction_of_its_command(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.pending()
        task = await o.task()
        assert (task["step"], task["role"], task["asked_by"], task["due"]) == ("check", "clerk", "ann", None)
        assert (await o.do(CARL, "check", record)).status == 200
        task = await o.task()
        assert (task["step"], task["role"], task["asked_by"]) == ("approve", "boss", "carl")
        assert (await o.do(BOB, "approve", record)).status == 200
        assert (await o.state(record), await o.rows()) == ("approved", [])


async def test_a_refused_or_rehearsed_command_leaves_the_inbox_as_it_was(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked()
        before = await o.rows()
        assert (await o.do(CARL, "approve", record)).status == 403
        rehearsal = Request("Expense", "approve", record, {}, BOB, "k", b"", "r", dry_run=True)
        assert (await o.engine.execute(rehearsal)).status == 200
        assert await o.rows() == before


async def test_as_many_different_people_as_the_amount_demands(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked(5_000)
        for n, approver in enumerate((BEA, BOB), 1):
            assert (await o.do(approver, "approve", record)).status == 200
            assert (await o.do(approver, "approve", record)).body == b"four-eyes"
            assert await o.state(record) == "checked", n
        assert (await o.do(BORIS, "approve", record)).status == 200
        assert await o.state(record) == "approved"


async def test_two_at_once_never_count_as_more_than_two(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked(5_000)
        replies = await asyncio.gather(*(o.do(BOB, "approve", record) for _ in range(5)))
        assert sorted(reply.status for reply in replies) == [200, 403, 403, 403, 403]
        assert await o.state(record) == "checked"


async def test_an_edit_voids_what_was_agreed(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked(500)
        await o.do(BOB, "approve", record)
        await o.do(ANN, "edit", record, amount=900)
        await o.do(CARL, "check", record)
        await o.do(BOB, "approve", record)
        assert await o.state(record) == "checked"
        await o.do(BEA, "approve", record)
        assert await o.state(record) == "approved"


async def test_what_changes_no_content_voids_nothing(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked(500)
        await o.do(BOB, "approve", record)
        await o.do(ANN, "reword", record, note="with a receipt")
        await o.do(BEA, "approve", record)
        assert await o.state(record) == "approved"


async def test_of_two_claims_at_once_one_wins(office: MakeOffice) -> None:
    async with office() as o:
        await o.checked()
        task, tasks = (await o.task())["task"], o.inbox._tasks  # pyright: ignore[reportPrivateUsage]
        act, together, met = tasks.act, asyncio.Barrier(3), set[UUID]()

        async def act_together(tenant: str, key: Any, *rest: Any) -> str:
            """Everybody has decided before anybody is written down."""
            if key.id not in met:
                met.add(key.id)
                await together.wait()
            return await act(tenant, key, *rest)

        tasks.act = act_together  # type: ignore[method-assign]
        claims = [Intent("claim", task, who, "k", b"", "r") for who in (BEA, BOB, BORIS)]
        outcomes = await asyncio.gather(*map(o.inbox.act, claims), return_exceptions=True)
        refusals = [out.problem.code for out in outcomes if isinstance(out, ProblemError)]
        assert refusals == ["task-claimed", "task-claimed"]
        assert [act[1] for act in await o.acts()] == ["claim"]


async def test_what_one_has_claimed_nobody_else_does(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked()
        await o.act(BEA, "claim")
        assert (await o.do(BOB, "approve", record)).body == b"task-claimed"
        assert await o.refused(BOB, "delegate", to="boris") == "task-claimed"
        assert await o.refused(BOB, "release") == "task-not-held"
        assert (await o.do(BEA, "approve", record)).status == 200


async def test_a_claim_that_comes_between_decision_and_commit_is_seen(office: MakeOffice) -> None:
    """The command was decided while nobody had the task; it is decided again, and refused."""
    async with office() as o:
        record = await o.checked()
        transactions = o.engine._transactions  # pyright: ignore[reportPrivateUsage]
        load, raced = transactions.load, False

        async def load_then_claim(*arguments: Any) -> Any:
            nonlocal raced
            loaded = await load(*arguments)
            if not raced:
                raced = True
                await o.act(BEA, "claim")
            return loaded

        transactions.load = load_then_claim  # type: ignore[method-assign]
        assert (await o.do(BOB, "approve", record)).body == b"task-claimed"
        assert await o.state(record) == "checked"


async def test_a_claim_ends_when_it_is_released_or_its_time_is_over(office: MakeOffice) -> None:
    async with office(claim=timedelta(hours=1)) as o:
        await o.at(NOON)
        record = await o.checked()
        await o.act(BEA, "claim")
        await o.act(BEA, "release")
        await o.act(BOB, "claim")
        await o.at(NOON + timedelta(hours=1) - timedelta(microseconds=1))
        assert (await o.do(BEA, "approve", record)).body == b"task-claimed"
        await o.at(NOON + timedelta(hours=1))
        assert (await o.do(BEA, "approve", record)).status == 200


async def test_who_delegates_stands_behind_what_is_done(office: MakeOffice) -> None:
    """Bea lets Bob approve; she may neither pay nor approve herself, and his vote is one."""
    async with office() as o:
        record = await o.checked(500)
        await o.act(BEA, "delegate", to="bob", reason="on leave")
        assert (await o.do(BEA, "approve", record)).body == b"task-claimed"
        assert (await o.do(BOB, "approve", record)).status == 200
        assert await o.state(record) == "checked"
        assert (await o.do(BEA, "approve", record)).body == b"four-eyes"
        assert (await o.do(BORIS, "approve", record)).status == 200
        assert (await o.do(BEA, "pay", record)).body == b"four-eyes"
        assert await o.acts() == [("bea", "delegate", {"to": "bob"}, "on leave")]


async def test_a_chain_of_delegations_and_a_release_lose_nobody(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked()
        await o.act(BEA, "delegate", to="bob")
        await o.act(BOB, "delegate", to="boris")
        await o.act(BORIS, "release")
        assert (await o.do(BORIS, "approve", record)).status == 200
        row = await o.admin.fetchrow('SELECT by_approve, "by_approve.for" AS behind FROM expenses.expenses')
        assert (row["by_approve"], sorted(row["behind"])) == (["boris"], ["bea", "bob"])
        for barred in (BEA, BOB, BORIS):
            assert (await o.do(barred, "pay", record)).body == b"four-eyes"


async def test_nobody_delegates_to_who_may_not_or_what_they_may_not(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.pending()
        await o.do(CLEO, "check", record)
        assert await o.refused(CLEO, "delegate", to="bob") == "four-eyes"
        assert await o.refused(CLEO, "claim") == "four-eyes"
        assert await o.refused(BOB, "delegate", to="cleo") == "four-eyes"
        assert await o.refused(BOB, "delegate", to="ann") == "forbidden"
        assert await o.refused(BOB, "delegate", to="bob") == "input-invalid"
        assert await o.refused(CARL, "claim") == "not-found"


async def test_a_delegate_without_the_role_may_not_do_it(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked()
        await o.act(BEA, "delegate", to="otto")
        assert (await o.do(person("otto", "clerk"), "approve", record)).status == 403


async def test_a_delegation_that_comes_between_decision_and_commit_is_counted(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked()
        transactions = o.engine._transactions  # pyright: ignore[reportPrivateUsage]
        load, raced = transactions.load, False

        async def load_then_delegate(*arguments: Any) -> Any:
            nonlocal raced
            loaded = await load(*arguments)
            if not raced:
                raced = True
                await o.act(BEA, "delegate", to="bob")
            return loaded

        transactions.load = load_then_delegate  # type: ignore[method-assign]
        assert (await o.do(BOB, "approve", record)).status == 200
        assert await o.admin.fetchval('SELECT "by_approve.for" FROM expenses.expenses') == ["bea"]


async def test_a_task_that_is_due_goes_once_into_another_inbox_and_never_early(office: MakeOffice) -> None:
    async with office() as o:
        await o.at(NOON)
        await o.checked()
        await o.act(BEA, "claim")
        await o.at(NOON + timedelta(days=3) - timedelta(microseconds=1))
        await o.worker.step()
        assert [act[1] for act in await o.acts()] == ["claim", "remind"]
        assert (len(await o.tasks(BOB)), len(await o.tasks(DORA))) == (1, 0)
        await o.at(NOON + timedelta(days=3))
        await asyncio.gather(o.worker.step(), o.worker.step())
        await o.worker.step()
        assert [act[1] for act in await o.acts()] == ["claim", "remind", "escalate"]
        assert (len(await o.tasks(BOB)), len(await o.tasks(DORA))) == (0, 1)
        task = await o.task()
        assert (task["role"], task["holder"], task["next_at"]) == ("board", None, None)


async def test_a_reminder_after_the_due_time_takes_the_task_from_nobody(office: MakeOffice) -> None:
    """It has gone to another inbox by then, and whoever claimed it there keeps it."""
    async with office(remind=timedelta(days=5)) as o:
        await o.at(NOON)
        await o.checked()
        await o.at(NOON + timedelta(days=4, hours=23))
        await o.worker.step()
        await o.act(DORA, "claim")
        await o.at(NOON + timedelta(days=5))
        await o.worker.step()
        assert [act[1] for act in await o.acts()] == ["escalate", "claim", "remind"]
        assert (await o.task())["holder"] == "dora"


async def test_after_downtime_everything_is_caught_up_once(office: MakeOffice) -> None:
    async with office() as o:
        await o.at(NOON)
        await o.checked()
        await o.act(BEA, "follow-up", at=NOON + timedelta(days=1))
        await o.at(NOON + timedelta(days=30))
        await o.worker.step()
        await o.worker.step()
        words = sorted(act[1] for act in await o.acts())
        assert words == ["escalate", "follow-up", "follow-up-due", "remind"]


async def test_a_due_time_moves_with_its_field(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.pending(until=NOON)
        assert (await o.task())["due"] == NOON
        await o.do(ANN, "edit", record, amount=5, until=NOON + timedelta(days=1))
        assert (await o.task())["due"] == NOON + timedelta(days=1)


async def test_the_inbox_shows_what_the_declaration_names_and_the_reader_may_see(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.checked()
        (item,) = await o.tasks(BOB)
        assert item["shows"] == {"amount": 50}
        assert (item["record"], item["command"], item["asked_by"]) == (str(record), "approve", "carl")
        (item,) = await o.tasks(CLEO)
        assert item["shows"] == {"amount": 50, "secret": "hidden"}


async def test_whom_four_eyes_bar_are_told_why_and_others_see_nothing(office: MakeOffice) -> None:
    async with office() as o:
        record = await o.pending()
        await o.do(CLEO, "check", record)
        (item,) = await o.tasks(CLEO)
        assert (item["may"], item["why_not"]) == (False, {"four_eyes": "~performed(check)"})
        assert await o.tasks(ANN) == []
        assert await o.tasks(CARL) == []
        assert await o.tasks(Actor(Subject("bob"), "other", frozenset({"boss"}))) == []


async def test_an_act_is_done_once_under_one_key(office: MakeOffice) -> None:
    async with office() as o:
        await o.checked()
        first = await o.act(BEA, "claim", key="k")
        again = await o.act(BEA, "claim", key="k")
        assert (again.body, again.replayed) == (first.body, True)
        assert len(await o.acts()) == 1
        task = (await o.task())["task"]
        with pytest.raises(ProblemError, match="idempotency-key-reused"):
            await o.inbox.act(Intent("claim", task, BEA, "k", b"other", "r"))


async def test_the_application_writes_no_task_by_itself(office: MakeOffice) -> None:
    async with office() as o:
        await o.checked()
        async with o.pool.borrow() as connection:
            for statement in (
                "UPDATE avow.task SET holder = 'bob', held_until = 'infinity'",
                "DELETE FROM avow.task",
                "DELETE FROM avow.task_act",
                "SELECT avow.put_tasks('main', '{}', now())",
            ):
                with pytest.raises(Exception, match="permission denied"):
                    await connection.execute(statement)


class _Overtaken(Inbox):
    """An inbox at which a copy of each request is carried out once the key of the request was looked for."""

    async def _load(self, actor: Actor, kind: str, record: UUID) -> Loaded:
        copy, self.copy = self.copy, None
        if copy is not None:
            await self.act(copy)
        return await super()._load(actor, kind, record)

    copy: Intent | None = None


@pytest.mark.parametrize("word", ["release", "delegate"])
async def test_what_a_copy_did_meanwhile_is_the_answer_and_refuses_nobody(
    office: MakeOffice, word: str
) -> None:
    """Who has let go of a task can't do it again; the same request, sent twice at once, did it."""
    async with office() as o:
        await o.checked()
        await o.act(BEA, "claim")
        inbox = _Overtaken(o.system, o.pool)
        to = "bob" if word == "delegate" else None
        inbox.copy = wanted = Intent(word, (await o.task())["task"], BEA, "k", b"", "r", to=to)
        reply = await inbox.act(wanted)
        assert (inbox.copy, reply.status, reply.replayed) == (None, 200, True)
        assert [act[1] for act in await o.acts()] == ["claim", word]
        with pytest.raises(ProblemError, match="idempotency-key-reused"):
            await inbox.act(replace(wanted, fingerprint=b"other"))
