"""Commands take the locks of their records in one order, whatever part a record plays in them.

Else two commands that meet on the same two records in opposite parts wait for each other in a ring, until
PostgreSQL ends one of them a second later. Nothing here knows the order: only that there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from avow import Entity, State, authenticated, create, field, internal, quota, read, ref, system, transition
from avow.engine.execute import Engine
from avow.store.driver import Connection
from avow.store.pool import connect
from tests.acceptance.polling import until
from tests.fix_database import Database, MakeDatabase
from tests.store.company import engine, request

PAIRS = 4
"""So many pairs: an order that goes by when a record was made, or by its part, isn't met by chance."""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Box(Entity, plural="boxes"):
    """One of two that know each other, and may play either part in a command."""

    peer: Box | None = ref()
    count: int = field(default=0)
    places: int = field(default=100)
    visible = read(by=authenticated)

    open = State(initial=True)
    gone = State(final=True)

    make = create(open, by=authenticated)
    meet = transition(open, to=open, by=authenticated, sets=[peer])
    compare = transition(open, to=open, by=authenticated, when=peer.count >= 0)  # pyright: ignore[reportOptionalMemberAccess]
    drop = transition(open, to=gone, by=authenticated)

    @transition(open, to=open, by=internal)
    def take(self) -> None:
        self.count += 1

    @transition(open, to=open, by=authenticated, uses=[peer])
    def hand_over(self) -> None:
        """Write both."""
        if self.peer is not None:
            self.count += 1
            self.peer.take()

    @transition(open, to=open, by=authenticated, uses=[peer])
    def pass_on(self) -> None:
        """Write the other one first."""
        if self.peer is not None:
            self.peer.take()
            self.count += 1


class Item(Entity):
    """What lies in a box, of which it can hold so many."""

    box: Box = ref()
    visible = read(by=authenticated)

    outside, inside = State(initial=True), State()
    used = State(final=True)
    few = quota(box, among=[inside], limit=box.places)

    find = create(outside, by=authenticated, sets=[box])
    look = transition(outside, to=outside, by=authenticated, when=box.places > 0)
    put = transition(outside, to=inside, by=authenticated)
    use = transition([outside, inside], to=used, by=authenticated)


boxes = system("boxes", Box, Item)


class Gate:
    """Holds a record until it is opened, and sees which others are held."""

    def __init__(self, holder: Connection, watcher: Connection) -> None:
        self._holder, self._watcher = holder, watcher

    async def hold(self, kind: str, *records: UUID) -> None:
        """Lock these, so that every command which wants one of them waits."""
        await self._holder.execute("BEGIN")
        await self._holder.fetch(f"SELECT FROM boxes.{kind} WHERE id = ANY ($1) FOR UPDATE", records)

    async def is_held(self, kind: str, record: UUID) -> bool:
        """Whether somebody else has locked it."""
        free = f"SELECT count(*) FROM (SELECT FROM boxes.{kind} WHERE id = $1 FOR UPDATE SKIP LOCKED) AS free"
        return await self._watcher.fetchval(free, record) == 0

    async def waiting(self, count: int) -> None:
        """Wait until so many statements wait for a lock."""

        async def they_wait() -> bool:
            return await self._watcher.fetchval(WAITING) == count

        await until(they_wait, f"{count} wait for a lock")

    async def open(self) -> None:
        """Let everybody go on."""
        await self._holder.execute("ROLLBACK")


@pytest.fixture
def made(database: MakeDatabase) -> Database:
    return database(boxes)


@pytest.fixture
async def gate(made: Database) -> AsyncIterator[Gate]:
    holder, watcher = await connect(made.admin_url), await connect(made.admin_url)
    yield Gate(holder, watcher)
    holder.terminate()
    watcher.terminate()


async def do(one: Engine, kind: str, command: str, record: UUID | None, **given: object) -> UUID:
    """A command that must be accepted; its record."""
    reply = await one.execute(request(kind, command, record, given))
    assert reply.status < 300, (command, reply)
    assert reply.record is not None
    return reply.record


async def pair(one: Engine) -> tuple[UUID, UUID]:
    """Two boxes that know each other."""
    left, right = await do(one, "Box", "make", None), await do(one, "Box", "make", None)
    await do(one, "Box", "meet", left, peer=right)
    await do(one, "Box", "meet", right, peer=left)
    return left, right


async def takes_before(
    one: Engine, gate: Gate, command: tuple[str, str, UUID], first: tuple[str, UUID], held: tuple[str, UUID]
) -> bool:
    """Whether a command has locked the first record when it comes to the other one, which is held."""
    await gate.hold(*held)
    running = asyncio.create_task(do(one, *command))
    try:
        await gate.waiting(1)
        return await gate.is_held(*first)
    finally:
        await gate.open()
        await running


async def test_two_records_are_locked_in_one_order_whichever_of_them_a_command_is_sent_to(
    made: Database, gate: Gate
) -> None:
    """Read or written, first or second in the body: what is locked first doesn't depend on it."""
    async with engine(boxes, made.application_url) as one:
        for _ in range(PAIRS):
            left, right = await pair(one)
            commands = [
                ("Box", command, box)
                for command in ("compare", "hand_over", "pass_on")
                for box in (left, right)
            ]
            seen = {
                command: await takes_before(one, gate, command, ("boxes", left), ("boxes", right))
                for command in commands
            }
            assert len(set(seen.values())) == 1, seen


async def test_a_record_and_its_anchor_are_locked_in_one_order(made: Database, gate: Gate) -> None:
    """Whether the anchor is counted at, or only looked at."""
    async with engine(boxes, made.application_url) as one:
        box = await do(one, "Box", "make", None)
        item = await do(one, "Item", "find", None, box=box)
        seen = {
            command: await takes_before(one, gate, ("Item", command, item), ("boxes", box), ("items", item))
            for command in ("look", "put")
        }
        assert len(set(seen.values())) == 1, seen


@pytest.fixture
async def rings_last(made: Database) -> None:
    """From now on PostgreSQL resolves no deadlock in a time that a test would wait."""
    connection = await connect(made.admin_url)
    await connection.execute(f"ALTER DATABASE {made.name} SET deadlock_timeout = '30min'")
    await connection.close()


@pytest.mark.usefixtures("rings_last")
async def test_two_commands_in_opposite_parts_never_wait_for_each_other(made: Database, gate: Gate) -> None:
    """Of two processes, in lock step: both wait for one of the two records, then both are let go."""
    async with engine(boxes, made.application_url) as one, engine(boxes, made.application_url) as two:
        left, right = await pair(one)
        for held in (left, right):
            await gate.hold("boxes", held)
            there = asyncio.create_task(do(one, "Box", "hand_over", held))
            await gate.waiting(1)
            back = asyncio.create_task(do(two, "Box", "hand_over", left if held == right else right))
            await gate.waiting(2)
            await gate.open()
            await asyncio.gather(there, back)
