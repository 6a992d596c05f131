"""Calls of one line are made one after the other, in order, and one that is held up costs nobody else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from avow import (
    Call,
    Entity,
    NotDone,
    State,
    backoff,
    create,
    effect,
    everybody,
    field,
    read,
    system,
    transition,
)
from avow.engine.execute import Engine, Request
from avow.engine.workers.worker import Worker
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.queue import Queue, Work
from tests.acceptance.polling import PATIENCE_S, until
from tests.fix_database import Database, MakeDatabase
from tests.store.payment import Outside, payments

PUT = """
INSERT INTO avow.work
    (work, tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)
OVERRIDING SYSTEM VALUE
SELECT $1, $2, 'Payment', u.id, 'capture', 1, 'capture', $3, u.id, now(), now(), 'r', now()
FROM (SELECT gen_random_uuid() AS id) AS u
"""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
BEHIND = "SELECT work FROM avow.work WHERE ready_at = 'infinity' ORDER BY work"
LINES, EACH = 12, 5


@pytest.fixture
def made(database: MakeDatabase) -> Database:
    return database(payments(Outside()))


@pytest.fixture
async def queue(made: Database) -> AsyncIterator[Queue]:
    pool = Pool(made.application_url, 4)
    yield Queue(made.system, pool)
    await pool.close()


async def take(queue: Queue, most: int = 10) -> list[Work]:
    return await queue.take(["capture"], 15.0, most)


def numbers(taken: list[Work]) -> list[int]:
    return [work.work for work in taken]


async def test_the_next_of_a_line_comes_once_the_one_before_it_is_gone(
    queue: Queue, admin: Connection
) -> None:
    for number in (1, 2, 3):
        await admin.execute(PUT, number, "main", "a")
    await admin.execute(PUT, 4, "main", "b")
    first, other = await take(queue)
    assert (first.work, other.work) == (1, 4)
    assert await take(queue) == []
    assert [row[0] for row in await admin.fetch(BEHIND)] == [2, 3]
    await queue.give_back(first, "not-done", "refused", pause_s=3_600.0)
    assert await take(queue) == [], "the others wait for the first one, however long it rests"
    await admin.execute("DELETE FROM avow.work WHERE work = 1")
    (second,) = await take(queue)
    await queue.give_back(second, "known", "")
    assert numbers(await take(queue)) == [3]


async def test_whoever_is_taken_out_of_a_line_lets_the_next_one_come(queue: Queue, admin: Connection) -> None:
    for number in (1, 2, 3):
        await admin.execute(PUT, number, "main", "a")
    assert numbers(await take(queue)) == [1]
    await admin.execute("UPDATE avow.work SET line = 'b' WHERE work = 1")
    assert numbers(await take(queue)) == [2]
    await admin.execute("DELETE FROM avow.work WHERE work = 2")
    assert numbers(await take(queue)) == [3]


async def test_equal_lines_of_two_tenants_are_two_lines(queue: Queue, admin: Connection) -> None:
    await admin.execute(PUT, 1, "main", "a")
    await admin.execute(PUT, 2, "other", "a")
    await admin.execute("UPDATE avow.work SET stuck = 'unknown', ready_at = 'infinity' WHERE work = 1")
    assert numbers(await take(queue)) == [2]


async def test_one_that_is_seen_late_does_not_begin_beside_one_that_has_begun(
    queue: Queue, admin: Connection
) -> None:
    """Of two commands at once the first number may be committed last."""
    await admin.execute(PUT, 2, "main", "a")
    (begun,) = await take(queue)
    await admin.execute(PUT, 1, "main", "a")
    assert await take(queue) == []
    await admin.execute("UPDATE avow.work SET ready_at = now() WHERE work = 2")  # its lease has ended
    (again,) = await take(queue)
    assert (again.work, again.unclear) == (begun.work, True)
    await queue.give_back(again, "known", "")
    assert numbers(await take(queue)) == [1]


async def test_nothing_is_put_behind_what_is_just_going(
    queue: Queue, made: Database, admin: Connection
) -> None:
    """Who ends the one before waits until it is put behind, and so finds it there."""
    for number in (1, 2):
        await admin.execute(PUT, number, "main", "a")
    taking, ending = await connect(made.admin_url), await connect(made.admin_url)
    async with taking.transaction():
        await taking.fetch("SELECT work FROM avow.take_work('{capture}', '{NULL}', '{NULL}', 15000, 0)")
        await taking.execute("SELECT avow.put_behind('capture', now(), 10)")
        gone = asyncio.create_task(ending.execute("DELETE FROM avow.work WHERE work = 1"))
        await until(lambda: admin.fetchval(WAITING), "who ends the first one waits")
    await gone
    assert numbers(await take(queue)) == [2]
    for connection in (taking, ending):
        await connection.close()


async def test_what_is_just_going_keeps_the_next_one_where_it_is_seen(
    queue: Queue, made: Database, admin: Connection
) -> None:
    for number in (1, 2):
        await admin.execute(PUT, number, "main", "a")
    ending = await connect(made.admin_url)
    async with ending.transaction():
        await ending.execute("DELETE FROM avow.work WHERE work = 1")
        assert await take(queue) == []
        assert await admin.fetch(BEHIND) == []
    assert numbers(await take(queue)) == [2]
    await ending.close()


async def test_workers_that_take_and_end_at_once_leave_nothing_behind(
    queue: Queue, admin: Connection
) -> None:
    places = [(line, place) for place in range(EACH) for line in range(LINES)]
    for number, (line, _) in enumerate(places):
        await admin.execute(PUT, number, "main", str(line))
    chance, under_way, done = random.Random(7), set[str](), dict[str, list[int]]()
    line_of = {number: str(line) for number, (line, _) in enumerate(places)}

    async def worker() -> None:
        while sum(map(len, done.values())) < len(places):
            for work in await take(queue, chance.randint(1, 4)):
                line = line_of[work.work]
                assert line not in under_way, "one of a line at a time"
                under_way.add(line)
                if chance.random() < 0.3:
                    under_way.discard(line)
                    await queue.give_back(work, "not-done", "refused", pause_s=0.0)
                    continue
                done.setdefault(line, []).append(work.work)
                under_way.discard(line)
                await queue.give_back(work, "known", "")

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(worker() for _ in range(4)))
    assert await admin.fetchval("SELECT count(*) FROM avow.work") == 0
    assert all(numbers == sorted(numbers) for numbers in done.values())


def errands(asked: list[str]) -> System:
    """Calls for which the outside has answers of its own: those on one route are made one after the other."""

    class Errand(Entity):
        """Something to be carried along a route."""

        route: str = field(max_length=20)
        name: str = field(max_length=20)
        visible = read(by=everybody)

        @effect(ordered_by=route, retry=backoff(5, first_s=0.001, most_s=0.001))
        async def carry(errand: Any, call: Call) -> str:  # noqa: N805 - an effect, and not a method
            asked.append(errand.name)
            if errand.name == "a1" and asked.count("a1") == 1:
                raise NotDone("the road is closed")
            return call.key

        carrying = State(initial=True, invoke=carry)
        carried, failed = State(final=True), State(final=True)
        ask = create(carrying, by=everybody, sets=[route, name])
        done = transition(carrying, to=carried, on=carry.done)
        not_done = transition(carrying, to=failed, on=carry.failed)

    return system("errands", Errand)


async def test_calls_of_records_with_an_equal_value_are_made_in_the_order_of_their_commands(
    database: MakeDatabase,
) -> None:
    asked = list[str]()
    declared = errands(asked)
    made = database(declared)
    pool = Pool(made.application_url, 4)
    engine = Engine(declared, pool, lambda problem, command_id: b"{}")
    worker = Worker(declared, engine, pool, made.application_url, lambda *_: None)
    for tenant, name in (("main", "a1"), ("main", "a2"), ("main", "a3"), ("main", "b1"), ("other", "a4")):
        actor, given = Actor(Subject("ann"), tenant), {"route": name[0], "name": name}
        await engine.execute(Request("Errand", "ask", None, given, actor, name, b"", "r"))
    admin = await connect(made.admin_url)
    for _ in range(6):
        await admin.execute("UPDATE avow.work SET ready_at = now() WHERE ready_at < 'infinity'")
        await worker.step()
    assert sorted(asked[:3]) == ["a1", "a4", "b1"], "what is held up holds up its line alone"
    assert asked[3:] == ["a1", "a2", "a3"]
    assert await admin.fetchval("SELECT count(*) FROM avow.work") == 0
    await admin.close()
    await pool.close()
