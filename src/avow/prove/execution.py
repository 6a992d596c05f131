"""An execution: acts carried out, one after the other, by the engine and the workers that serve.

What it was answered is written down for the oracle. It never decides anything itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from avow import canonical
from avow.engine.execute import Reply, Request
from avow.engine.workers.hearing import Message, Outcome
from avow.errors import ProblemError
from avow.model.draft import BodyFault
from avow.model.effect import DONE, FAILED, UNKNOWN
from avow.model.system import System
from avow.model.trigger import DATA, OnEvent
from avow.model.types import Value
from avow.prove.act import TENANT, Act, Ref, act_json, bound_input, is_creation, transitions_of
from avow.prove.databases import Database
from avow.prove.node import Node
from avow.prove.outside import Exchange, Outside
from avow.prove.private import dumped
from avow.store import driver
from avow.store.faults import fault_of
from avow.store.trials import trial

ATTEMPTS_MAX: Final = 12
"""How often an outcome that nobody can tell is asked for, until the engine leaves it at that."""

CUT_OFF: Final = (TimeoutError, *driver.Lost)
"""What a statement ends with whose connection did."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an act was answered. code: of the refusal; empty where it was accepted."""

    accepted: bool
    code: str = ""
    record: UUID | None = None
    version: int | None = None
    body: bytes = b""
    replayed: bool = False


@dataclass(slots=True)
class Done:
    """One act of an execution. told: None where nobody was told what came of it. keyed: it has a key."""

    act: Act
    place: int
    request: Request | None = None
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """Where an execution stood, to begin from there again."""

    rows: str
    now: datetime
    ids: Mapping[Ref, UUID]
    outside: Outside
    journal: tuple[Done, ...]


@dataclass(slots=True)
class Execution:
    """What happens on one database, from a saved point on.

    system: connected to `exchange`. journal: every act so far, in order. ids: which id each record has.
    """

    system: System
    database: Database
    exchange: Exchange
    ids: dict[Ref, UUID] = field(default_factory=dict[Ref, UUID])
    journal: list[Done] = field(default_factory=list[Done])

    async def start(self, saved: Saved | None, usual: Mapping[str, Value]) -> None:
        """From a saved point; None: from nothing."""
        if saved is None:
            await self.database.put_back(self.database.empty)
            self.ids, self.journal, self.exchange.outside = {}, [], Outside(usual)
            return
        await self.database.put_back(saved.rows, saved.now)
        self.ids, self.journal = dict(saved.ids), [replace(done) for done in saved.journal]
        kept = saved.outside
        self.exchange.outside = Outside(usual, dict(kept.told), dict(kept.carried), list(kept.asked))

    async def save(self) -> Saved:
        """Where it stands now."""
        kept = self.exchange.outside
        outside = Outside(kept.usual, dict(kept.told), dict(kept.carried), list(kept.asked))
        rows = await self.database.save()
        journal = tuple(replace(done) for done in self.journal)
        return Saved(rows, self.database.now, dict(self.ids), outside, journal)

    def id_of(self, ref: Ref) -> UUID:
        """The id of a record. One that was never made has an id that nothing has."""
        return self.ids.get(ref) or UUID(bytes=canonical.digest(canonical.encode_trusted(str(ref)))[:16])

    async def ready(self, act: Act) -> Done:
        """Prepare an act, so that nothing but the engine's own statements is left to do."""
        await self.database.pass_time(act.later_s)
        done = Done(act, len(self.journal))
        self.journal.append(done)
        record = None if is_creation(self.system, act) else self.id_of(act.ref)
        match act.kind:
            case "command":
                done.request = await self._request(act, record, done.place)
            case "outcome":
                effect, _, outcome = act.command.partition(".")
                given = bound_input(self.system, act, self.id_of)
                self.exchange.outside.tell(self.id_of(act.ref), effect, outcome, given)
                if outcome == DONE:
                    entity = self.system.entities[act.entity]
                    admin = self.database.admin
                    await trial.call_begun(admin, self.system, entity, self.id_of(act.ref), effect)
            case "time":
                found = await trial.work_of(self.database.admin, act.entity, self.id_of(act.ref), act.command)
                if found is not None:
                    await self.database.set_clock(found.due)
            case "event":
                pass
        return done

    async def perform(self, node: Node, act: Act) -> Told:
        """Carry out one act to its end."""
        return await self.carry_out(node, await self.ready(act))

    async def carry_out(self, node: Node, done: Done) -> Told:
        """Carry out, or again, what was prepared; what it was answered is noted."""
        told = await self._carry_out(node, done)
        if told.record is not None and told.accepted and is_creation(self.system, done.act):
            self.ids[done.act.ref] = told.record
        done.told = told
        return told

    async def answer(self, node: Node, request: Request) -> Told:
        """Send a request again, of which nothing is noted."""
        return await give(node, request)

    async def _carry_out(self, node: Node, done: Done) -> Told:
        act = done.act
        if done.request is not None:
            return await give(node, done.request)
        if act.kind == "event":
            return await self._hear(node, done)
        return await self._work(node, act)

    async def _request(self, act: Act, record: UUID | None, place: int) -> Request:
        transitions = transitions_of(self.system, act)
        seen = None
        if record is not None and any(t.precondition for t in transitions):
            entity = self.system.entities[act.entity]
            actor_tenant = TENANT if act.actor is None else act.actor.tenant
            seen = await trial.version_of(self.database.admin, self.system, entity, actor_tenant, record)
        if act.actor is None:
            raise ValueError(f"nobody gives {act.entity}.{act.command}")
        said = canonical.digest(canonical.encode_trusted(act_json(self.system, act)))
        return Request(
            act.entity, act.command, record, bound_input(self.system, act, self.id_of), act.actor,
            f"act-{place}", said, f"act-{place}", expected_version=seen,
        )  # fmt: skip

    async def _hear(self, node: Node, done: Done) -> Told:
        act = done.act
        trigger = transitions_of(self.system, act)[0].trigger
        if not isinstance(trigger, OnEvent):
            raise ValueError(f"{act.entity}.{act.command} is no event")
        message = Message(
            self.system.senders[trigger.sender],
            TENANT,
            f"act-{done.place}",
            trigger.event,
            f"act-{done.place}",
        )
        data = dumped(trigger.data, bound_input(self.system, act, self.id_of)[DATA])
        reads = node.hearing.reads_of(trigger.sender, trigger.event)
        try:
            outcome, known = await node.hearing.hear(message, [one.parse(data, "#") for one in reads])
        except ProblemError as error:
            return Told(False, error.problem.code)
        except CUT_OFF as error:
            return _cut_off(error)
        return Told(outcome == Outcome.APPLIED, "" if outcome == Outcome.APPLIED else outcome, replayed=known)

    async def _work(self, node: Node, act: Act) -> Told:
        """Let a worker do one thing that is to be done, and nothing else."""
        admin, record = self.database.admin, self.id_of(act.ref)
        name = work_name(act)
        entity = self.system.entities[act.entity]
        before = await trial.version_of(admin, self.system, entity, TENANT, record)
        await trial.hold_but(admin, [(act.entity, record, name)])
        after, waiting = before, None
        for _ in range(ATTEMPTS_MAX):
            with suppress(ProblemError, *CUT_OFF):  # then it is looked for again, as by a worker that serves
                await node.worker.step()
            admin = self.database.admin  # another one, where the server was away meanwhile
            after = await trial.version_of(admin, self.system, entity, TENANT, record)
            waiting = await trial.work_of(admin, act.entity, record, name)
            if after != before or waiting is None or waiting.stuck or waiting.never:
                break
            await self.database.set_clock(waiting.ready_at)
        await trial.let_go(admin)
        if after != before:
            return Told(True, record=record, version=after)
        return Told(False, "passed" if waiting is None else waiting.stuck or "never")

    async def take_turns(self, node: Node, done: Done) -> Told:
        """Carry out what was prepared, beside others: a worker looks once for what there is to do."""
        if done.request is not None or done.act.kind == "event":
            return await self.carry_out(node, done)
        before = sum(node.worker.counts[word] for word in SETTLED)
        await node.worker.step()
        settled = sum(node.worker.counts[word] for word in SETTLED) - before
        done.told = Told(settled > 0, "" if settled else "nothing to do")
        return done.told


SETTLED: Final = (DONE, FAILED, UNKNOWN, "time", "passed")
"""What a worker counts when it has done something that was to be done."""


def work_name(act: Act) -> str:
    """The name of what is to be done, of which an act is the outcome or the time."""
    return act.command.partition(".")[0] if act.kind == "outcome" else act.command


async def give(node: Node, request: Request) -> Told:
    """Give a command, and tell what it is answered."""
    try:
        reply = await node.engine.execute(request)
    except ProblemError as error:
        return Told(False, error.problem.code)
    except BodyFault as fault:
        return Told(False, "internal-error", body=str(fault).encode())
    except CUT_OFF as error:
        return _cut_off(error)
    return told(reply)


def _cut_off(error: Exception) -> Told:
    """What whoever asked is answered where the database couldn't be."""
    known = fault_of(error)
    if known is None:
        raise error
    return Told(False, known.problem.code)


def told(reply: Reply) -> Told:
    """A reply, as executions note it."""
    if reply.problem is not None:
        return Told(False, reply.problem.code, replayed=reply.replayed)
    if reply.status >= 400:
        said: dict[str, Any] = json.loads(reply.body)
        return Told(False, said["code"], reply.record, None, reply.body, reply.replayed)
    return Told(True, "", reply.record, reply.version, reply.body, reply.replayed)
