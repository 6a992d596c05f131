"""A command in, a reply out.

Load what the decision rests on, let the kernel decide, commit decision, audit entries and answer
together. A decision that was overtaken is made again; a lost connection is settled by deciding again
under the same key, which finds the first attempt's answer if there is one.

A command that rests on nothing but a record which this process wrote last, and not on the time, is
decided on what is remembered of it, if that permits it. Nothing is refused on what is remembered.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from avow import canonical
from avow.engine.entries import entries_of
from avow.engine.identifier import new_id
from avow.engine.memory import Memory
from avow.engine.turns import Turns
from avow.errors import Problem, ProblemError, reject
from avow.evidence.entry import HEADER_BYTES_MAX, HeaderTooLong
from avow.kernel.command import Command, Decision, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.kernel.plan import plans_of
from avow.kernel.view import represent, seen_by
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import Reference, Value
from avow.store.driver import Id, Lost, Retryable
from avow.store.loading import KnownAnswer, Loaded, LoadPlan, plan_command
from avow.store.pool import Pool
from avow.store.sharing import SHARED, Bounds
from avow.store.transaction import (
    Answer,
    Broken,
    Done,
    IdempotencyKey,
    Outcome,
    Replay,
    Settled,
    Stale,
    Transactions,
    Write,
)

OPTIMISTIC_ATTEMPTS_MAX = 2
"""How often a decision is made without locks before it takes them first."""
LOCKED_ATTEMPTS_MAX = 6
"""How often a deadlock or a serialization failure is tried again."""
LOST_ATTEMPTS_MAX = 5
"""How often a lost connection is followed by another attempt under the same key."""
CONTENDED_S = 1.0
"""How long a record stays one that is locked first, after a decision on it was overtaken."""
CONTENDED_MAX = 1_000
"""How many such records are remembered."""
PAUSE_S = 0.02

RECEIPT = ("id", "version", "state")
"""What whoever gave a command is always told."""

RenderProblem = Callable[[Problem, UUID], bytes]
"""Makes the body of a refusal; the id is the one of the command it answers."""


@dataclass(slots=True)
class Request:
    """One command as it arrived, authenticated and parsed.

    entity, command: names of the declaration. record: None for a creation.
    key:             the caller's idempotency key; None only where nothing has to be replayed.
    fingerprint:     digest of everything that makes it the same request again.
    dry_run:         decide everything, the database's rules included, and keep nothing.
    settles:         the thing to be done that it does, and the taking of it, where no actor asks for it
                     but the outcome of a call, an event or a time has come.
    internal:        no actor asks for it, also where it settles nothing: a sender told of an event.
    intervention:    what an operator says who settles it by hand.
    """

    entity: str
    command: str
    record: UUID | None
    input: Mapping[str, Value]
    actor: Actor
    key: str | None
    fingerprint: bytes
    request_id: str
    expected_version: int | None = None
    dry_run: bool = False
    settles: tuple[int, int] | None = None
    internal: bool = False
    intervention: Mapping[str, str] | None = None

    def with_input(self, values: Mapping[str, Value], *, dry_run: bool = False) -> Request:
        """The same request with its typed arguments."""
        return Request(
            self.entity, self.command, self.record, values, self.actor, self.key, self.fingerprint,
            self.request_id, self.expected_version, dry_run,
        )  # fmt: skip


@dataclass(slots=True)
class Reply:
    """What a command is answered with.

    problem: for an answer that isn't kept (not found, precondition failed); `body` is empty then.
    """

    status: int
    body: bytes = b""
    record: UUID | None = None
    version: int | None = None
    replayed: bool = False
    problem: Problem | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Outrun(Exception):
    """What a request would settle is no longer the caller's to settle. Nothing was written."""


class _Answered(Exception):
    """Ends an attempt with a reply that needs no commit."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Engine:
    """Executes the commands of one system on one database; bounds: how much they share.

    when_work: called after each commit by which something is to be done now.
    """

    def __init__(self, system: System, pool: Pool, render: RenderProblem, bounds: Bounds = SHARED) -> None:
        self.system = system
        self._transactions = Transactions(system, pool, bounds)
        self._render = render
        self.when_work: Callable[[], None] = _nobody
        self._turns = Turns()
        self._memory = Memory(system)
        self._contended = dict[UUID, float]()
        self._plans = system.derived(_load_plans)

    async def execute(self, request: Request) -> Reply:
        """Execute a command, or replay its answer.

        Raises ProblemError for what is not kept under the key: another request under the same key,
        contention, a database that is gone. Any of these may be sent again under the same key. Raises
        Outrun where what it settles has been settled, or was taken by another worker.
        """
        attempt = _Attempt(self.system, self._plans[request.entity, request.command], request, self._render)
        for lost in range(LOST_ATTEMPTS_MAX):
            try:
                return await self._settle(attempt)
            except _Answered as answered:
                return answered.reply
            except Lost:
                # Without a key nobody can tell whether the first attempt was committed.
                # What settles something can tell: once committed, there is nothing left to settle.
                told = attempt.key is not None or request.settles is not None
                if not told or lost + 1 == LOST_ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(_pause(lost))
        raise reject("database-unavailable")

    async def known(self, request: Request) -> Reply | None:
        """The answer that a request's key already has, if it has one; nothing is decided."""
        attempt = _Attempt(self.system, self._plans[request.entity, request.command], request, self._render)
        loaded = await self._transactions.load(attempt.plan, attempt.tenant, attempt.wanted)
        return None if loaded.answer is None else attempt.replay(loaded, loaded.answer)

    async def refuse(self, request: Request, problem: Problem) -> Reply:
        """Refuse, under its key, what no record has to be looked at for; an answer that it has already stays.

        Raises Outrun where what it settles is no longer the caller's to settle.
        """
        answer = Answer(problem.status, self._render(problem, new_id()), request.entity, request.record)
        refusal = _refusal(request, problem.code, problem.extra)
        write = Write(answer=answer, refusal=refusal, settles=request.settles)
        outcome = await self._transactions.commit(request.actor.tenant, _key(request), write)
        if isinstance(outcome, Settled):
            raise Outrun
        return Reply(answer.status, answer.body, replayed=isinstance(outcome, Replay))

    async def _settle(self, attempt: _Attempt) -> Reply:
        tenant, key = attempt.request.actor.tenant, attempt.key
        for _ in range(self._optimistic_attempts(attempt)):
            async with self._turns.of(attempt.turns()):
                try:
                    outcome = await self._decide_and_commit(attempt)
                except Retryable:
                    attempt.met_rivals = True
                    continue
            reply = await self._reply(attempt, outcome)
            if reply is not None:
                return reply
        if attempt.loaded is None:
            # Locks are taken in one order, so all of them have to be known before the first.
            attempt.decide(await self._transactions.load(attempt.plan, attempt.tenant, attempt.wanted))
        for tried in range(LOCKED_ATTEMPTS_MAX):
            try:
                async with self._turns.of(attempt.turns()):
                    outcome = await self._transactions.decide_locked(
                        attempt.plan, attempt.wanted, attempt.locks(), tenant, key, attempt.decide,
                        keep=not attempt.request.dry_run,
                    )  # fmt: skip
            except Retryable:
                attempt.met_rivals = True
                await asyncio.sleep(_pause(tried))
                continue
            reply = await self._reply(attempt, outcome)
            if reply is not None:
                return reply
        raise reject("contention")

    async def _decide_and_commit(self, attempt: _Attempt) -> Outcome:
        """Decide without locks, and commit that: one round trip on what is remembered, or else two."""
        tenant, key = attempt.request.actor.tenant, attempt.key
        recalled = self._recalled(attempt)
        write = None if recalled is None else attempt.decide_recalled(recalled)
        if write is not None:
            outcome = await self._transactions.commit(tenant, key, write)
            if not isinstance(outcome, Stale):
                return outcome
            self._memory.forget(tenant, (attempt.request.entity, attempt.record_id))
        loaded = await self._transactions.load(attempt.plan, tenant, attempt.wanted)
        write = attempt.decide(loaded)
        if attempt.request.dry_run:
            return await self._transactions.rehearse(tenant, write)
        return await self._transactions.commit(tenant, key, write)

    def _recalled(self, attempt: _Attempt) -> Loaded | None:
        """What a load would bring, as far as is known here; None where it has to be loaded."""
        request = attempt.request
        if not attempt.plan.alone or request.dry_run or attempt.command.internal:
            return None
        now = self._transactions.clock.now(time.monotonic())
        if now is None:
            return None
        if request.record is None:
            return Loaded(now, None, {})
        record = self._memory.find(attempt.tenant, (request.entity, request.record))
        return None if record is None else Loaded(now, None, {record.key: record})

    def _optimistic_attempts(self, attempt: _Attempt) -> int:
        """How often to decide without locks: not at all on a record that others are moving right now."""
        until = self._contended.get(attempt.record_id)
        contended = until is not None and until > asyncio.get_running_loop().time()
        return 0 if contended and not attempt.request.dry_run else OPTIMISTIC_ATTEMPTS_MAX

    def _remember_contended(self, record: UUID) -> None:
        self._contended.pop(record, None)  # so that the oldest stands first
        self._contended[record] = asyncio.get_running_loop().time() + CONTENDED_S
        if len(self._contended) > CONTENDED_MAX:
            del self._contended[next(iter(self._contended))]

    async def _reply(self, attempt: _Attempt, outcome: Outcome) -> Reply | None:
        """The reply to an outcome; None where it has to be decided again."""
        match outcome:
            case Done():
                if attempt.successor is not None and not attempt.request.dry_run:
                    self._memory.keep(attempt.tenant, attempt.successor)
                if attempt.begins_work():
                    self.when_work()
                return attempt.reply()
            case Settled():
                raise Outrun
            case Replay():
                return await self.known(attempt.request)
            case Broken(constraint):
                rejection = Rejection(constraint.code, constraint.message, {"rule": constraint.rule})
                write = attempt.refuse(rejection)
                again = await self._transactions.commit(attempt.request.actor.tenant, attempt.key, write)
                return await self._reply(attempt, again)
            case Stale():
                if attempt.request.record is not None:
                    self._remember_contended(attempt.request.record)
                return None


class _Attempt:
    """One request on its way to an answer, possibly decided more than once."""

    def __init__(self, system: System, plan: LoadPlan, request: Request, render: RenderProblem) -> None:
        self.system, self.plan, self.request, self.render = system, plan, request, render
        self.entity: Entity = system.entities[request.entity]
        self.key = None if request.key is None or request.dry_run else _key(request)
        self.record_id = request.record or new_id()
        self.command = Command(
            request.entity, request.command, self.record_id, request.input, request.actor, new_id(),
            request.expected_version, request.internal or request.settles is not None,
        )  # fmt: skip
        key_id = None if self.key is None else self.key.id
        self.tenant = request.actor.tenant
        self.wanted = plan.wanted(key_id, request.record, request.input)
        self.answer = Answer(0, b"", request.entity)
        self.loaded: Loaded | None = None
        self.decision: Decision | None = None
        self.successor: Record | None = None  # the command's record, as the write leaves it
        self.met_rivals = False

    def decide(self, loaded: Loaded) -> Write:
        """Decide on what was loaded, and make everything that is to be committed.

        Raises _Answered where there is nothing to commit: a replay, or a refusal that isn't kept.
        """
        self.loaded = loaded
        if loaded.answer is not None:
            raise _Answered(self.replay(loaded, loaded.answer))
        decided = decide(self.system, loaded.records, self.command, loaded.now)
        if isinstance(decided, Rejection):
            return self.refuse(decided)
        return self._write(loaded, decided)

    def decide_recalled(self, recalled: Loaded) -> Write | None:
        """Decide on what is remembered; None unless that permits it, whatever the time is.

        avow.commit will have the record at the version that is remembered, and the key unanswered, or
        write nothing. A refusal would have no such witness: it is never made here.
        """
        if self.system.derived(plans_of)[self.request.entity].shown_timed:
            return None
        try:
            decided = decide(self.system, recalled.records, self.command, recalled.now)
            if isinstance(decided, Rejection) or decided.timed:
                return None
            write = self._write(recalled, decided)
        except (BodyFault, ProblemError):
            return None
        self.loaded = recalled
        return write

    def _write(self, loaded: Loaded, decided: Decision) -> Write:
        self.decision = decided
        self.answer = self._accept(loaded, decided)
        try:
            entries = entries_of(self.system, self.command, decided, loaded.now, self.request.request_id)
        except HeaderTooLong:
            detail = f"changes more than one audit entry holds: {HEADER_BYTES_MAX} bytes"
            errors = [{"pointer": "#", "code": "too-large", "detail": detail}]
            raise reject("input-invalid", "The command changes too much at once.", errors=errors) from None
        heads = {step.after.key: entry for step, entry in zip(decided.steps, entries, strict=True)}
        result = decided.result
        self.successor = result._replace(head=heads[result.key].hash)
        anchors = self._anchors(decided)
        return Write(
            answer=self.answer,
            reads={**anchors, **decided.reads},
            written=frozenset(decided.final) | anchors.keys(),
            headers=[entry.header for entry in entries],
            payloads=list({data for entry in entries for data in entry.payloads.values()}),
            settles=self.request.settles,
            intervention=self.request.intervention,
        )

    def _anchors(self, decision: Decision) -> dict[Key, int | None]:
        """The records that quotas are counted at; they are locked in order with all others."""
        found = dict[Key, int | None]()
        for record in decision.final.values():
            entity = self.system.entities[record.entity]
            for quota in entity.quotas:
                anchor, kind = record.values.get(quota.anchor), entity.fields[quota.anchor].type
                if anchor is not None and record.state in quota.states and isinstance(kind, Reference):
                    found[kind.entity, anchor] = None
        return found

    def _accept(self, loaded: Loaded, decision: Decision) -> Answer:
        result = decision.result
        records = {**loaded.records, **decision.final}
        shown = seen_by(self.system, result, self.request.actor, loaded.now, records)
        body = _json(represent(self.system, result, ()) if shown is None else shown)
        status = 201 if self.request.record is None else 200
        return Answer(status, body, result.entity, result.id, result.version)

    def refuse(self, rejection: Rejection) -> Write:
        """What a refusal commits: its answer, and that it was refused. Raises _Answered if it isn't kept."""
        problem = Problem(rejection.code, rejection.detail, rejection.extra)
        self.successor = None
        # Without a key nothing keeps the answer: what is to be done stays, and says why.
        unkept = self.request.settles is not None and self.key is None
        if not rejection.recorded or self.request.dry_run or unkept:
            raise _Answered(Reply(problem.status, problem=problem))
        body = self.render(problem, self.command.command_id)
        self.answer = Answer(problem.status, body, self.request.entity, self.request.record)
        refusal = _refusal(self.request, rejection.code, rejection.extra)
        return Write(answer=self.answer, refusal=refusal, settles=self.request.settles)

    def turns(self) -> list[Hashable]:
        """What the command takes turns for, in order: its record, or else its key; and what it wrote last.

        A dry run waits for nobody's turn, and nobody for its own. Who met a ring of waits, as exclusions
        make among many new records, goes on as the only one of its entity that did.
        """
        if self.request.dry_run:
            return []
        names = list[Hashable]()
        if self.decision is not None:
            names += sorted(key for key, write in self.locks().items() if write)
        elif self.request.record is not None:
            names.append((self.request.entity, self.request.record))
        elif self.key is not None:
            names.append(("", self.key.id))
        return [*names, self.request.entity] if self.met_rivals else names

    def locks(self) -> dict[Key, bool]:
        """What the last decision rested on, and what of it it wrote."""
        if self.loaded is None:
            return {} if self.request.record is None else {(self.request.entity, self.request.record): True}
        found = dict.fromkeys(self.loaded.records, False)
        if self.decision is not None:
            found.update(dict.fromkeys(self._anchors(self.decision), True))
            found.update({key: True for key in self.decision.final if key in found})
        return found

    def begins_work(self) -> bool:
        """Whether calls are to be made from now on, or others may have to be told."""
        steps = () if self.decision is None else self.decision.steps
        if any(self.system.entities[step.after.entity].publications for step in steps):
            return True
        return any(wait is not None and wait.destination for step in steps for wait in step.waits.values())

    def reply(self) -> Reply:
        """The reply to what was just decided."""
        answer = self.answer
        return Reply(answer.status, answer.body, answer.record, answer.version)

    def replay(self, loaded: Loaded, known: KnownAnswer) -> Reply:
        """The answer that the key already has. Raises `idempotency-key-reused` for another request."""
        if known.fingerprint != self.request.fingerprint:
            raise reject("idempotency-key-reused")
        body = known.body if known.status >= 400 else self._still_shown(loaded, known)
        return Reply(known.status, body, known.record, known.version, replayed=True)

    def _still_shown(self, loaded: Loaded, known: KnownAnswer) -> bytes:
        """A kept representation, without the fields that the caller may not see any more."""
        record = None if known.record is None else loaded.records.get((known.kind, known.record))
        if record is None:
            return known.body
        shown = seen_by(self.system, record, self.request.actor, loaded.now, loaded.records)
        kept: dict[str, Any] = json.loads(known.body)
        left = {name: held for name, held in kept.items() if name in RECEIPT or name in (shown or ())}
        return known.body if len(left) == len(kept) else _json(left)


def _load_plans(system: System) -> Mapping[tuple[str, str], LoadPlan]:
    """The load of each command, by entity and word."""
    return {
        (entity.name, t.command): plan_command(system, entity, t.command)
        for entity in system.entities.values()
        for t in entity.transitions.values()
    }


def _nobody() -> None:
    """Nobody here does the work; others find it."""


def _refusal(request: Request, code: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What is remembered of a refusal: nothing of the request's data."""
    return {
        "subject": str(request.actor.subject),
        "kind": request.entity,
        "record": None if request.record is None else str(request.record),
        "command": request.command,
        "code": code,
        "rule": str(extra.get("rule", "")),
        "request": request.request_id,
    }


def _key(request: Request) -> IdempotencyKey:
    """A key belongs to one tenant, one subject and one operation: nobody meets another's."""
    scope = [request.actor.tenant, str(request.actor.subject), request.entity, request.command, request.key]
    return IdempotencyKey(Id(canonical.digest(canonical.encode_trusted(scope))[:16]), request.fingerprint)


_encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def _json(value: dict[str, Any]) -> bytes:
    return _encoder.encode(value).encode()


def _pause(tried: int) -> float:
    """Seconds to wait before attempt `tried` + 2: doubling, with jitter."""
    return PAUSE_S * 2**tried * (0.5 + random.random())
