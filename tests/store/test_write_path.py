"""One command: all of it or nothing, once, whatever is cut, killed, repeated or raced."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from avow.engine.execute import OPTIMISTIC_ATTEMPTS_MAX, Engine
from avow.errors import ProblemError
from avow.evidence import entry
from avow.prove.wire import Wire, WireFault, proxied
from avow.store import driver
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.transaction import WriteRefused
from tests.acceptance.polling import until
from tests.fix_database import Database
from tests.store.company import engine, request, tally
from tests.store.theatre import theatre
from tests.waiting import WAITS

WRITTEN = (
    "theatre.halls",
    "theatre.tickets",
    "avow.audit",
    "avow.payload",
    "avow.idempotency",
    "avow.refusal",
)
LONG = "long " * 1_000


async def counts(admin: Connection) -> list[int]:
    """How much there is of everything that a command writes, and how often halls were written."""
    found = [await admin.fetchval(f"SELECT count(*) FROM {table}") for table in WRITTEN]
    return [*found, await admin.fetchval("SELECT coalesce(sum(version), 0)::bigint FROM theatre.halls")]


async def found(runner: Engine, given: Mapping[str, Any] | None = None) -> UUID:
    reply = await runner.execute(request("Hall", "found", None, given or {}))
    assert reply.record is not None
    return reply.record


STATEMENTS = {
    "the key": ("avow.idempotency", "INSERT"),
    "the long value": ("avow.payload", "INSERT"),
    "the first entry": ("avow.audit", "INSERT"),
    "the row": ("theatre.halls", "UPDATE"),
    "the last entry": ("avow.audit", "INSERT"),
}


@pytest.mark.parametrize("where", STATEMENTS)
async def test_a_failure_at_any_statement_of_a_commit_leaves_nothing(
    made: Database, admin: Connection, where: WireFault
) -> None:
    """A trigger raises there. The same key may be used again afterwards."""
    table, event = STATEMENTS[where]
    async with engine(theatre, made.application_url) as one:
        hall = await found(one)
        before = await counts(admin)
        late = "AFTER" if where == "the last entry" else "BEFORE"
        await admin.execute(
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;"
            f"CREATE TRIGGER fail {late} {event} ON {table} FOR EACH ROW EXECUTE FUNCTION public.fail()"
        )
        command = request("Hall", "rename", hall, {"name": LONG}, key="k")
        with pytest.raises(driver.DatabaseError):
            await one.execute(command)
        assert await counts(admin) == before
        await admin.execute(f"DROP TRIGGER fail ON {table}")
        reply = await one.execute(command)
        assert (reply.status, reply.replayed) == (200, False)


async def test_a_killed_backend_leaves_nothing_and_the_command_is_executed_once(
    made: Database, admin: Connection
) -> None:
    """It is killed while it waits for a lock in the middle of its commit, three times."""
    async with engine(theatre, made.application_url) as one:
        hall = await found(one)
        before = await counts(admin)
        holder = await connect(made.admin_url)
        await holder.execute("BEGIN; SELECT FROM theatre.halls FOR UPDATE")
        running = asyncio.create_task(one.execute(request("Hall", "rename", hall, {"name": LONG}, key="k")))
        for _ in range(3):
            await until(lambda: kill_waiter(admin), "the commit waits")
        assert await counts(admin) == before
        await holder.close()
        reply = await running
    assert (reply.status, reply.replayed) == (200, False)
    assert (await counts(admin))[-1] == 2


async def kill_waiter(admin: Connection) -> bool | None:
    return await admin.fetchval(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"
    )


@pytest.mark.parametrize("where", ["cut-on-the-way", "wire-reply-lost"])
async def test_a_connection_that_is_cut_around_a_commit_is_settled_by_its_key(
    made: Database, admin: Connection, where: WireFault
) -> None:
    """Before the server has it, it is executed afterwards; after the server has answered, it is replayed."""
    async with proxied(made.application_url) as (wire, url), engine(theatre, url) as one:
        hall = await found(one)
        for name in ("A", "B"):
            wire.fail(where, of="commit")
            reply = await one.execute(request("Hall", "rename", hall, {"name": name}))
            assert (reply.status, reply.replayed) == (200, where == "wire-reply-lost")
            assert json.loads(reply.body)["name"] == name
        wire.fail(where, of="commit")
        created = await one.execute(request("Hall", "found", None, {"name": "C"}))
        assert created.status == 201
        assert wire.failed == 3
    assert await admin.fetchval("SELECT count(*) FROM theatre.halls") == 2
    assert await admin.fetchval("SELECT count(*) FROM avow.audit") == 4


async def test_without_a_key_a_lost_commit_is_not_made_again(made: Database, admin: Connection) -> None:
    async with proxied(made.application_url) as (wire, url), engine(theatre, url) as one:
        hall = await found(one)
        wire.fail("wire-reply-lost", of="commit")
        bare = request("Hall", "sell_one", hall, {})
        with pytest.raises(driver.Lost):
            await one.execute(
                type(bare)(**{n: getattr(bare, n) for n in bare.__slots__ if n != "key"}, key=None)
            )
    assert await admin.fetchval("SELECT sold FROM theatre.halls") == 1


async def test_one_key_sent_many_times_at_once_is_executed_once(made: Database, admin: Connection) -> None:
    """By two processes, 24 times each, a creation and a change."""
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        copies = [one, two] * 24
        create = request("Hall", "found", None, {"name": "A"}, key="k")
        replies = await asyncio.gather(*(runner.execute(create) for runner in copies))
        assert Counter(reply.replayed for reply in replies) == {True: 47, False: 1}
        assert len({(reply.status, reply.body, reply.record, reply.version) for reply in replies}) == 1
        sell = request("Hall", "sell_one", replies[0].record, {}, key="s")
        replies = await asyncio.gather(*(runner.execute(sell) for runner in copies))
        assert Counter(reply.replayed for reply in replies) == {True: 47, False: 1}
    assert await admin.fetchval("SELECT array_agg(sold) FROM theatre.halls") == [1]


async def test_the_key_of_another_request_is_refused_also_in_a_race(
    made: Database, admin: Connection
) -> None:
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        named = [request("Hall", "found", None, {"name": name}, key="k") for name in "ABABABAB"]
        replies = await asyncio.gather(
            *((one, two)[n % 2].execute(r) for n, r in enumerate(named)), return_exceptions=True
        )
        refused = [reply for reply in replies if isinstance(reply, ProblemError)]
        assert {error.problem.code for error in refused} == {"idempotency-key-reused"}
        assert len(refused) == 4
        others = request("Hall", "found", None, {"name": "C"}, key="k", who="bob")
        assert (await one.execute(others)).replayed is False  # a key belongs to who sent it
    assert await admin.fetchval("SELECT count(*) FROM theatre.halls") == 2


async def test_a_refusal_by_rule_is_kept_and_replayed(made: Database, admin: Connection) -> None:
    """Also when the rule would no longer be broken."""
    async with engine(theatre, made.application_url) as one:
        hall = await found(one, {"places": 0})
        sell = request("Hall", "sell_one", hall, {}, key="k")
        first = await one.execute(sell)
        await one.execute(request("Hall", "resize", hall, {"places": 5, "load": 5}))
        again = await one.execute(sell)
    assert (first.status, first.replayed, again.status, again.replayed) == (409, False, 409, True)
    assert first.body == again.body
    assert await admin.fetchval("SELECT count(*) FROM avow.refusal") == 1


async def test_64_commands_on_one_row_are_all_executed_in_bounded_work(
    made: Database, admin: Connection
) -> None:
    """No starvation: each is answered, none with contention, and after two losses behind its own locks."""
    async with (
        proxied(made.application_url) as (wire, url), engine(theatre, url) as one, engine(theatre, url) as two
    ):  # fmt: skip
        hall = await found(one)
        wire.counted.clear()
        replies = await asyncio.gather(
            *((one, two)[n % 2].execute(request("Hall", "sell_one", hall, {})) for n in range(64))
        )
        assert wire.counted["commit"] <= 64 * (OPTIMISTIC_ATTEMPTS_MAX + 1)
    assert tally(list(replies)) == {"done": 64}
    assert sorted(reply.version or 0 for reply in replies) == list(range(2, 66))
    assert await admin.fetchval("SELECT sold FROM theatre.halls") == 64


async def test_two_records_written_in_opposite_order_do_not_block_each_other(
    made: Database, admin: Connection
) -> None:
    """Locks are taken in one order, whatever order the declaration writes in: no deadlock is even met."""
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        here, there = await found(one), await found(one)
        pairs = [(here, there), (there, here)] * 12
        held = [
            (await one.execute(request("Ticket", "reserve", None, {"hall": a, "other": b}))).record
            for a, b in pairs
        ]
        before = await admin.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        replies = await asyncio.gather(
            *((one, two)[n % 2].execute(request("Ticket", "sell_both", t, {})) for n, t in enumerate(held))
        )
    assert tally(list(replies)) == {"done": 24}
    assert await admin.fetchval("SELECT array_agg(sold) FROM theatre.halls") == [24, 24]
    after = await admin.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert after == before


async def test_a_decision_is_made_again_when_what_it_only_read_has_changed(
    made: Database, admin: Connection
) -> None:
    """The ticket's guard reads its hall, which somebody changes between the load and the commit."""
    async with engine(theatre, made.application_url) as one:
        hall = await found(one)
        ticket = (await one.execute(request("Ticket", "reserve", None, {"hall": hall}))).record
        holder = await connect(made.admin_url)
        await holder.execute("BEGIN; UPDATE theatre.halls SET load = 0, version = version + 1")
        running = asyncio.create_task(one.execute(request("Ticket", "enter", ticket, {})))
        await until(lambda: is_waiting(admin), "the commit waits for the hall")
        await holder.execute("COMMIT")
        await holder.close()
        assert (await running).body.startswith(b"guard-failed")
    assert await admin.fetchval("SELECT version FROM theatre.tickets") == 1


async def test_long_values_are_kept_in_the_order_of_their_hashes(made: Database, admin: Connection) -> None:
    """In any other order, two commands with the same values would wait for each other in a ring."""
    async with engine(theatre, made.application_url) as one:
        for n in range(8):
            await found(one, {"name": f"{n} {LONG}", "plan": f"{n} plan {LONG}"})
    kept = [row[0] for row in await admin.fetch("SELECT sha256 FROM avow.payload ORDER BY ctid")]
    pairs = list(zip(kept[::2], kept[1::2], strict=True))
    assert len(pairs) == 8
    assert [pair for pair in pairs if pair[0] > pair[1]] == []


async def test_the_same_long_values_at_once_do_not_deadlock(made: Database, admin: Connection) -> None:
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        long = [{"name": f"{n % 3} {LONG}"} for n in range(24)]
        replies = await asyncio.gather(
            *(
                (one, two)[n % 2].execute(request("Hall", "found", None, given))
                for n, given in enumerate(long)
            )
        )
    assert tally(list(replies)) == {"done": 24}
    assert await admin.fetchval("SELECT count(*) FROM avow.payload") == 3


RETRYABLE = {"40001": "serialization", "40P01": "deadlock"}


@pytest.mark.parametrize("code", RETRYABLE)
async def test_what_postgresql_asks_to_try_again_is_tried_again_within_a_bound(
    made: Database, admin: Connection, code: str
) -> None:
    async with engine(theatre, made.application_url) as one:
        hall = await found(one)
        await admin.execute(
            "CREATE SEQUENCE public.tried; GRANT ALL ON SEQUENCE public.tried TO PUBLIC;"
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF nextval('public.tried') <= 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{code}'; END IF;"
            " RETURN NEW; END $$;"
            "CREATE TRIGGER fail BEFORE UPDATE ON theatre.halls FOR EACH ROW EXECUTE FUNCTION public.fail()"
        )
        reply = await one.execute(request("Hall", "sell_one", hall, {}))
        assert reply.status == 200
        assert await admin.fetchval("SELECT last_value FROM public.tried") == 4
        await admin.execute("ALTER SEQUENCE public.tried MINVALUE -1000 RESTART WITH -1000")
        with pytest.raises(ProblemError, match="contention"):
            await one.execute(request("Hall", "sell_one", hall, {}))
    assert await admin.fetchval("SELECT sold FROM theatre.halls") == 1


async def test_a_decision_of_more_than_a_minute_ago_is_made_again(made: Database, admin: Connection) -> None:
    """The clock jumps an hour while the commit waits for a lock: it is decided anew, at the new time."""
    async with engine(theatre, made.application_url) as one:
        hall = await found(one)
        await admin.execute("INSERT INTO avow.clock VALUES (clock_timestamp())")
        holder = await connect(made.admin_url)
        await holder.execute("BEGIN; SELECT FROM theatre.halls FOR UPDATE")
        running = asyncio.create_task(one.execute(request("Hall", "sell_one", hall, {})))
        await until(lambda: is_waiting(admin), "the commit waits")
        await admin.execute("UPDATE avow.clock SET fixed = fixed + interval '1 hour'")
        await holder.close()
        assert (await running).status == 200
    assert await admin.fetchval(
        "SELECT a.at = c.fixed AND h.changed_at = c.fixed FROM avow.audit a, avow.clock c, theatre.halls h"
        " WHERE a.version = 2"
    )


async def is_waiting(admin: Connection) -> bool | None:
    return await admin.fetchval(
        f"SELECT true FROM pg_stat_activity WHERE datname = current_database() AND {WAITS}"
    )


async def test_a_command_that_changes_too_much_for_an_entry_is_the_callers_fault(
    made: Database, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "HEADER_BYTES_MAX", 100)
    async with engine(theatre, made.application_url) as one:
        with pytest.raises(ProblemError) as error:
            await one.execute(request("Hall", "found", None, {"name": "A"}))
    assert error.value.problem.code == "input-invalid"
    assert error.value.problem.extra["errors"][0]["code"] == "too-large"
    assert await counts(admin) == [0] * 7


async def test_an_error_of_the_database_carries_no_value(made: Database, admin: Connection) -> None:
    """PostgreSQL's own words would: they go neither to the client nor into a log."""
    async with engine(theatre, made.application_url) as one:
        hall = await found(one)
        await admin.execute("ALTER TABLE theatre.halls ALTER name TYPE char(3)")
        with pytest.raises(WriteRefused, match="SQLSTATE 22001") as error:
            await one.execute(request("Hall", "rename", hall, {"name": "secret"}))
    shown = "".join(map(str, (error.value, error.value.__cause__, error.value.__context__ is None)))
    assert error.value.__suppress_context__
    assert "secret" not in shown


async def test_an_ordinary_command_takes_two_round_trips_and_one_commit(
    made: Database, admin: Connection
) -> None:
    async with proxied(made.application_url) as (wire, url), engine(theatre, url, size=1) as one:
        hall = await found(one)
        await one.execute(request("Hall", "sell_one", hall, {}))
        before = await admin.fetchval("SELECT version FROM theatre.halls")
        counted = await _sent(wire, one, hall)
    assert counted == {"B": 2, "E": 2, "S": 2, "load": 1, "commit": 1}
    assert await admin.fetchval("SELECT version FROM theatre.halls") == before + 1


async def _sent(wire: Wire, runner: Engine, hall: UUID) -> Counter[str]:
    wire.counted.clear()
    assert (await runner.execute(request("Hall", "sell_one", hall, {}))).status == 200
    return Counter(wire.counted)
