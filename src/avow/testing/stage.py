"""A stage for tests of a system: a database, people, a clock that stands still, and work done when told.

    async with stage(app) as s:
        alice = s.as_("alice")
        booking = await alice.do("Booking.hold", room=room, arrives=..., leaves=..., people=2)
        await s.advance(minutes=30)                  # whatever is due is done
        assert (await s.look(booking)).state == "lapsed"

Everything runs as it does in a server, but for the clock: the same engine and worker, a real PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from avow.declare.loads import read_loads
from avow.engine.execute import Engine, Reply, Request
from avow.engine.hearing import Hearing, Message, Outcome
from avow.engine.inbox import Filter, Inbox, Intent
from avow.engine.privacy import MemoryKeyring
from avow.engine.worker import OpenHttp, Worker
from avow.errors import Problem, ProblemError
from avow.kernel.command import Record
from avow.kernel.draft import Pool as Scene
from avow.kernel.policy import may_read, readable_fields
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store import trial
from avow.store.driver import Connection
from avow.store.loading import Loaded, Loads, plan_record
from avow.store.pool import Pool, connect
from avow.store.queue import Queue
from avow.store.reads import Reads
from avow.testing.databases import own_databases

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""When every stage begins: a Monday morning."""
STEPS_MAX = 1_000
"""How often work may call for work; more than that never ends."""
TASKS_MAX = 1_000
"""How many tasks of one person are looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it is."""

    id: UUID
    state: str
    version: int
    values: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


class Refused(AssertionError):
    """A command was refused, where a test meant it to be accepted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.code = problem.code


class Person:
    """Somebody who gives commands."""

    def __init__(self, on: Stage, actor: Actor) -> None:
        self._on, self.actor = on, actor

    async def do(
        self, command: str, record: UUID | None = None, seen: int | None = None, /, **given: Any
    ) -> UUID:
        """Give a command: `Booking.hold`, with a record unless it creates one; the record's id.

        seen: the version of the record that they have seen, as If-Match names it. Raises Refused where the
        command is refused.
        """
        return (await self._give(command, record, seen, given))[0]

    async def reveal(self, command: str, record: UUID, purpose: str = "a test") -> dict[str, Any]:
        """Give a command that reveals: the private values as JSON, in clear. Raises Refused like `do`."""
        _, told = await self._give(command, record, None, {"purpose": purpose})
        return told["revealed"]

    async def _give(
        self, command: str, record: UUID | None, seen: int | None, given: Mapping[str, Any]
    ) -> tuple[UUID, dict[str, Any]]:
        entity, _, word = command.partition(".")
        values = {name: value for name, value in given.items() if value is not None}
        reply = await self._on.give(Request(
            entity, word, record, values, self.actor, str(uuid4()), b"", f"{self.actor.subject}/{word}",
            seen,
        ))  # fmt: skip
        if reply.problem is not None or reply.record is None:
            raise Refused(reply.problem or Problem("internal-error"))
        return reply.record, json.loads(reply.body)

    async def look(self, record: UUID) -> Found:
        """A record with no more of it than they may see. Raises LookupError where it isn't there for them."""
        loaded, held = await self._on.load(record, self.actor.tenant)
        scene = Scene(self._on.system, self.actor, loaded.now, dict(loaded.records), {})
        if not may_read(scene, held):
            raise LookupError(record)
        seen = readable_fields(self._on.system.entities[held.entity], scene, held)
        return _found(held, seen)

    async def tasks(self) -> list[dict[str, Any]]:
        """What they are asked to do, the one due first coming first."""
        return (await self._on.inbox.page(self.actor, Filter(), None, TASKS_MAX)).items

    async def act(self, word: str, record: UUID, /, **more: Any) -> None:
        """Claim, release, delegate or put off what they are asked to do with a record.

        word: `claim`, `release`, `delegate` with `to=`, `follow-up` with `at=`; each may have a `reason=`.
        Raises Refused where it is refused, also where they are asked for nothing.
        """
        asked = [task["id"] for task in await self.tasks() if task["record"] == str(record)]
        task = UUID(asked[0]) if asked else uuid4()
        intent = Intent(word, task, self.actor, str(uuid4()), b"", f"{self.actor.subject}/{word}", **more)
        try:
            await self._on.inbox.act(intent)
        except ProblemError as error:
            raise Refused(error.problem) from None


class Stage:
    """One system on one database. url: of the database, with the rights of the application."""

    def __init__(self, system: System, pool: Pool, url: str, admin: Connection, http: OpenHttp) -> None:
        self.system, self.url, self.admin = system, url, admin
        self.inbox = Inbox(system, pool)
        self.keyring = MemoryKeyring()
        self.engine = Engine(system, pool, _render, keyring=self.keyring)
        self.worker = Worker(system, self.engine, pool, url, http)
        self.now = BEGIN
        self._loads, self._hearing = (
            Loads(pool),
            Hearing(system, self.engine, Reads(system, pool), Queue(system, pool)),
        )
        self._plans = {
            e.name: plan_record(system, e, read_loads(e, system.entities)) for e in system.entities.values()
        }

    def as_(self, subject: str, *roles: str, tenant: str = "main") -> Person:
        """Somebody with these roles."""
        return Person(self, Actor(Subject(subject), tenant, frozenset(roles)))

    async def give(self, request: Request) -> Reply:
        """Give a command as it would arrive; what is refused has its problem in the reply."""
        try:
            reply = await self.engine.execute(request)
        except ProblemError as error:
            return Reply(error.problem.status, problem=error.problem)
        if reply.status >= 400 and reply.problem is None:
            reply.problem = Problem(**json.loads(reply.body))
        return reply

    async def look(self, record: UUID, tenant: str = "main") -> Found:
        """A record as it is now, whatever its entity. Raises LookupError where there is none."""
        _, held = await self.load(record, tenant)
        return _found(held, held.values)

    async def load(self, record: UUID, tenant: str = "main") -> tuple[Loaded, Record]:
        """A record as it is kept, and with it what its policy of reading looks at."""
        for entity, plan in self._plans.items():
            loaded = await self._loads.load(plan, tenant, plan.wanted(None, record, {}))
            held = loaded.records.get((entity, record))
            if held is not None:
                return loaded, held
        raise LookupError(record)

    async def hear(
        self, sender: str, kind: str, data: Any, message: str = "", tenant: str = "main"
    ) -> Outcome:
        """Let a sender tell of an event of this kind, as if its signature had been found right.

        data: as it stands in the message. message: its id; a new one unless given.
        """
        told = Message(self.system.senders[sender], tenant, message or str(uuid4()), kind, "stage")
        read = [type_.parse(data, "#") for type_ in self._hearing.reads_of(sender, kind)]
        return (await self._hearing.hear(told, read))[0]

    async def at(self, moment: datetime) -> None:
        """Set the clock on, to a later time, and do what is due by then."""
        self.now = moment
        await trial.stop_clock(self.admin, moment)
        await self.work()

    async def advance(self, **lengths: float) -> None:
        """As `at`, by a length of time: `advance(days=1, hours=2)`."""
        await self.at(self.now + timedelta(**lengths))

    async def work(self) -> int:
        """Do everything that is ready, and what follows from it; how much that was."""
        done = 0
        for _ in range(STEPS_MAX):
            step = await self.worker.step()
            if not step:
                return done
            done += step
        raise AssertionError("the work calls for ever more work")

    async def try_again(self) -> int:
        """Let calls that rest between two attempts be made now, until none of them does."""
        done = 0
        for _ in range(STEPS_MAX):
            await trial.make_ready(self.admin)
            step = await self.work()
            if not step:
                return done
            done += step
        raise AssertionError("the calls are tried for ever")

    async def waiting(self) -> list[Any]:
        """What is still to be done: kind, id, name, due, attempt, stuck, detail."""
        return await trial.waiting(self.admin)


@asynccontextmanager
async def stage(system: System, http: OpenHttp | None = None) -> AsyncGenerator[Stage]:
    """A fresh database for `system`, with the clock at BEGIN; removed afterwards.

    http: makes the client that an effect's function gets as `call.http`.
    """
    databases = own_databases()
    made = databases.make(system)
    admin, pool = await connect(made.admin_url), Pool(made.application_url)
    try:
        on = Stage(system, pool, made.application_url, admin, http or _no_client)
        await on.at(BEGIN)
        yield on
    finally:
        await pool.close()
        await admin.close()
        databases.drop(made)


def _render(problem: Problem, command_id: UUID) -> bytes:
    return json.dumps({"code": problem.code, "detail": problem.detail}).encode()


def _found(record: Record, seen: Iterable[str]) -> Found:
    values = {name: record.values[name] for name in seen}
    return Found(record.id, record.state, record.version, values)


def _no_client(*_: Any) -> None:
    """Effects that call nothing by HTTP need no client."""
