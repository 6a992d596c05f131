"""A stage for tests of a system: a database, people, a clock that stands still, and work done when told.

    async with stage(app) as s:
        alice = s.as_("alice")
        booking = await alice.do("Booking.hold", room=room, arrives=..., leaves=..., people=2)
        await s.advance(minutes=30)                  # whatever is due is done
        assert (await s.look(booking)).state == "lapsed"

Everything runs as it does in a server, but for the clock: the same engine and worker, a real PostgreSQL. The
fixtures of pytest are the same stage for tests that await nothing (`avow.testing.backend`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from avow.declare.loads import read_loads
from avow.engine.execute import Reply, Request
from avow.engine.inbox import Filter, Inbox, Intent
from avow.engine.privacy import MemoryKeyring
from avow.engine.workers.doing import OpenHttp
from avow.engine.workers.hearing import Message, Outcome
from avow.errors import Problem, ProblemError
from avow.kernel.command import Record
from avow.kernel.draft import Pool as Scene
from avow.kernel.policy import may_read, readable_fields
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.prove import databases as prove_databases
from avow.prove.gates import Cut, until_death
from avow.prove.node import OPEN, Node
from avow.store.loading import Loaded, Loads, plan_record
from avow.store.pool import connect
from avow.store.trials import trial
from avow.store.trials.watched import Gate, Send
from avow.testing.databases import Database, own_databases
from avow.testing.timeline import Timeline

BEGIN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""When every stage begins: a Monday morning."""
STEPS_MAX: Final = 1_000
"""How often work may call for work; more than that never ends."""
TASKS_MAX: Final = 1_000
"""How many tasks of one person are looked at."""

T = TypeVar("T")


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
    """A command was refused, where a test meant it to be accepted. code, detail: of the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {' '.join(_said(problem))}")
        self.code, self.detail = problem.code, problem.detail


def _said(problem: Problem) -> Iterator[str]:
    """A problem in words: its detail, and each place of what was given that it is about."""
    yield problem.detail or f"{problem.type.title}."
    for error in problem.extra.get("errors", ()):
        yield f"{error.get('pointer') or error.get('parameter') or ''}: {error['detail']}"


class Crashed(Exception):
    """The process that was asked has ended; whether it was done, nobody is told."""


class Person:
    """Somebody who gives commands."""

    def __init__(self, on: Stage, actor: Actor) -> None:
        self._on, self.actor = on, actor

    def request(
        self, command: str, record: UUID | None = None, seen: int | None = None, /, **given: Any
    ) -> Request:
        """A command as it would arrive, under a key of its own: `Booking.hold`, with a record unless it
        creates one.

        seen: the version of the record that they have seen, as If-Match names it. Raises LookupError where
        there is no such command, and ValueError where it is given to no record and needs one.
        """
        entity, _, word = command.partition(".")
        if record is None and not _creates(self._on.system, command):
            raise ValueError(f"{command} is given to a record: name it behind the command")
        values = {name: value for name, value in given.items() if value is not None}
        return Request(
            entity, word, record, values, self.actor, str(uuid4()), b"", f"{self.actor.subject}/{word}", seen
        )

    async def do(
        self, command: str, record: UUID | None = None, seen: int | None = None, /, **given: Any
    ) -> UUID:
        """Give a command, as `request` makes it; the record's id. Raises Refused where it is refused."""
        return await self._on.send(self.request(command, record, seen, **given))

    async def reveal(self, command: str, record: UUID, purpose: str = "a test") -> dict[str, Any]:
        """Give a command that reveals: the private values as JSON, in clear. Raises Refused like `do`."""
        reply = await self._on.give(self.request(command, record, purpose=purpose))
        record_of(reply)
        return json.loads(reply.body)["revealed"]

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
    """One system on one database, and the process that serves it.

    database: also what its clock shows. timeline: what was asked here so far.
    """

    def __init__(self, system: System, database: prove_databases.Database, http: OpenHttp) -> None:
        self.system, self.database = system, database
        self.url, self.admin, self.keyring = database.url, database.admin, database.keyring
        self.timeline = Timeline(system)
        self._looking = asyncio.Lock()
        self._http, self._late, self._copies = http, list[Send](), False
        self._plans = {
            e.name: plan_record(system, e, read_loads(e, system.entities)) for e in system.entities.values()
        }
        self._serve(OPEN)

    def node(self, gate: Gate = OPEN) -> Node:
        """A process that remembers nothing, beside the one that serves. Whoever opens it closes it."""
        return Node(self.system, self.database, gate, http=self._http)

    def _serve(self, gate: Gate) -> None:
        self._gate = gate
        self._node = self.node(gate)
        self.engine, self.worker = self._node.engine, self._node.worker
        self.inbox, self._loads = Inbox(self.system, self._node.pool), Loads(self._node.pool)

    async def restart(self, gate: Gate = OPEN) -> None:
        """End the process that serves, and start another one."""
        await self._node.close()
        self._serve(gate)

    async def close(self) -> None:
        """End the process that serves."""
        await self._node.close()

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self.database.now

    def as_(self, subject: str, *roles: str, tenant: str = "main") -> Person:
        """Somebody with these roles."""
        return Person(self, Actor(Subject(subject), tenant, frozenset(roles)))

    async def give(self, request: Request) -> Reply:
        """Give a command as it would arrive; what is refused has its problem in the reply.

        Raises Crashed where the process ends meanwhile.
        """
        asked = self.timeline.ask(request, await self.last_entry())
        reply = await self._until_crash(reply_of(self.engine.execute(request)))
        asked.answer(reply)
        for send in self._late:
            await send()
        self._late.clear()
        return reply

    async def last_entry(self) -> int:
        """The number of the newest entry; may be asked by several at once."""
        async with self._looking:
            return await trial.last_entry(self.admin)

    async def send(self, request: Request) -> UUID:
        """Give a command, or the same one again; the record's id. Raises Refused, or Crashed."""
        return record_of(await self.give(request))

    async def _until_crash(self, work: Coroutine[Any, Any, T]) -> T:
        gate = self._gate
        if not isinstance(gate, Cut):
            return await work
        done = await until_death(work, gate)
        if not gate.dead:
            return done
        if gate.late is not None:
            self._late.append(gate.late)
        await self.restart()
        await trial.make_all_ready(self.admin)  # the leases of whoever is gone run out
        raise Crashed(f"the process has ended at {gate.names[-1]!r}")

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
        hearing = self._node.hearing
        read = [type_.parse(data, "#") for type_ in hearing.reads_of(sender, kind)]
        return (await self._until_crash(hearing.hear(told, read)))[0]

    async def at(self, moment: datetime) -> None:
        """Set the clock on, to a later time, and do what is due by then."""
        await self.set_clock(moment)
        await self.work()

    async def set_clock(self, moment: datetime) -> None:
        """Set the clock on, to a later time, and do nothing yet."""
        self.timeline.note_time(moment, await self.last_entry())
        await self.database.set_clock(moment)

    async def advance(self, **lengths: float) -> None:
        """As `at`, by a length of time: `advance(days=1, hours=2)`."""
        await self.at(self.now + timedelta(**lengths))

    async def work(self) -> int:
        """Do everything that is ready, and what follows from it; how much that was."""
        done = 0
        for _ in range(STEPS_MAX):
            step = await self._until_crash(self.worker.step())
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

    async def settle(self) -> None:
        """Until nothing moves any more, but for times that are to come."""
        await self.work()
        await self.try_again()

    async def waiting(self) -> list[Any]:
        """What is still to be done: kind, id, name, due, attempt, stuck, detail."""
        return await trial.waiting(self.admin)

    async def save(self) -> Saved:
        """Everything as it is now, for `put_back`."""
        if not self._copies:
            await trial.make_copies(self.admin, self.system)
            self._copies = True
        return Saved(await self.database.save(), self.now, self.timeline.length)

    async def put_back(self, saved: Saved) -> None:
        """Make everything as it was, the clock included, before another process."""
        await self._node.close()
        await self.database.put_back(saved.rows, saved.now)
        self.timeline.forget_after(saved.asked)
        self._serve(OPEN)


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a stage stood. asked: how much was asked until then."""

    rows: str
    now: datetime
    asked: int


def _creates(system: System, command: str) -> bool:
    """Whether a command makes a record. Raises LookupError where there is none of that name."""
    every = {
        f"{entity.name}.{t.command}": t.creation
        for entity in system.entities.values()
        for t in entity.transitions.values()
    }
    if command not in every:
        near = get_close_matches(command, every, n=1)
        raise LookupError(f"there is no command {command}{f'; did you mean {near[0]}?' if near else ''}")
    return every[command]


async def reply_of(work: Coroutine[Any, Any, Reply]) -> Reply:
    """What a command is answered; what is refused has its problem in the reply."""
    try:
        reply = await work
    except ProblemError as error:
        return Reply(error.problem.status, problem=error.problem)
    if reply.status >= 400 and reply.problem is None:
        reply.problem = Problem(**json.loads(reply.body))
    return reply


def record_of(reply: Reply) -> UUID:
    """The record that an accepted command was about. Raises Refused."""
    if reply.problem is not None or reply.record is None:
        raise Refused(reply.problem or Problem("internal-error"))
    return reply.record


@asynccontextmanager
async def stage(system: System, http: OpenHttp | None = None) -> AsyncGenerator[Stage]:
    """A fresh database for `system`, with the clock at BEGIN; removed afterwards.

    http: makes the client that an effect's function gets as `call.http`.
    """
    databases = own_databases()
    made = databases.make(system)
    try:
        async with stage_on(made, http) as on:
            yield on
    finally:
        databases.drop(made)


@asynccontextmanager
async def stage_on(made: Database, http: OpenHttp | None = None) -> AsyncGenerator[Stage]:
    """A stage on a database that is there, with the clock at BEGIN."""
    database = prove_databases.Database(
        made.system,
        made.application_url,
        made.admin_url,
        await connect(made.admin_url),
        MemoryKeyring(),
    )
    await trial.stop_clock(database.admin, BEGIN)
    database.now = BEGIN
    on = Stage(made.system, database, http or _no_client)
    try:
        yield on
    finally:
        await on.close()
        await database.close()


def _found(record: Record, seen: Iterable[str]) -> Found:
    values = {name: record.values[name] for name in seen}
    return Found(record.id, record.state, record.version, values)


def _no_client(*_: Any) -> None:
    """Effects that call nothing by HTTP need no client."""
