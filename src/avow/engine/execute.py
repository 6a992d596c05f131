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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from avow.engine.attempt import (
    REVEALED,
    REVEALED_OPENING,
    Answered,
    Attempt,
    key_of,
    refusal_of,
)
from avow.engine.identifier import new_id
from avow.engine.memory import Memory
from avow.engine.plan import execution_plans_of
from avow.engine.privacy import Given, KeyMissing, Keyring, Vault, conceal
from avow.engine.recalling import recall
from avow.engine.request import RenderProblem, Reply, Request, json_bytes
from avow.engine.turns import Turns
from avow.errors import Problem, reject
from avow.kernel.command import Rejection
from avow.model.private import PRIVATE
from avow.model.system import System
from avow.store.disclosures import Disclosures
from avow.store.driver import Lost, Retryable
from avow.store.loading import Loaded
from avow.store.pool import Pool
from avow.store.sharing import SHARED, Bounds
from avow.store.transaction import (
    Answer,
    Broken,
    Done,
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


async def again_when_lost(act: Callable[[], Awaitable[Reply]]) -> Reply:
    """Do what is done once for its key; a lost connection, which doesn't say whether it was, is no answer."""
    for _ in range(LOST_ATTEMPTS_MAX - 1):
        try:
            return await act()
        except Lost:
            continue
    return await act()


class Outrun(Exception):
    """What a request would settle is no longer the caller's to settle. Nothing was written."""


class Engine:
    """Executes the commands of one system on one database; bounds: how much they share.

    keyring: encrypts the keys of persons; needed where anything is private.
    when_work: called after each commit by which something is to be done now.
    """

    def __init__(
        self, system: System, pool: Pool, render: RenderProblem, bounds: Bounds = SHARED,
        keyring: Keyring | None = None,
    ) -> None:  # fmt: skip
        self.system = system
        self._vault = None if keyring is None else Vault(Disclosures(pool), keyring)
        self._transactions = Transactions(system, pool, bounds)
        self._render = render
        self.when_work: Callable[[], None] = _nobody
        self._turns = Turns()
        self._memory = Memory(system)
        self._contended: dict[UUID, float] = {}
        self._plans = system.derived(execution_plans_of)

    async def execute(self, request: Request) -> Reply:
        """Execute a command, or replay its answer.

        Raises ProblemError for what is not kept under the key: another request under the same key,
        contention, a database that is gone. Any of these may be sent again under the same key. Raises
        Outrun where what it settles has been settled, or was taken by another worker.
        """
        given: Mapping[str, Given] = {}
        plan = self._plans[request.entity, request.command]
        if plan.private:
            values, given = conceal(plan.private, request.input)
            request = replace(await self._keyed(request), input=values)
        attempt = Attempt(self.system, plan, request, self._render, given)
        for lost in range(LOST_ATTEMPTS_MAX):
            try:
                reply = await self._settle(attempt)
            except Answered as answered:
                return await self._revealed(request, answered.reply) if plan.reveals else answered.reply
            except Lost:
                # Without a key nobody can tell whether the first attempt was committed.
                # What settles something can tell: once committed, there is nothing left to settle.
                told = attempt.key is not None or request.settles is not None
                if not told or lost + 1 == LOST_ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(_pause(lost))
            else:
                return await self._revealed(request, reply) if plan.reveals else reply
        raise reject("database-unavailable")

    async def recall(self) -> None:
        """Remember what was written last, so that commands on it need no load from the first one on.

        Worth it where this process is the one that goes on. Nothing waits for it; it may be cancelled.
        """
        await recall(self.system, self._transactions, self._plans, self._memory)

    async def known(self, request: Request) -> Reply | None:
        """The answer that a request's key already has, if it has one; nothing is decided."""
        if self._plans[request.entity, request.command].private:
            request = await self._keyed(request)
        reply = await self._known(request)
        return None if reply is None else await self._revealed(request, reply)

    async def _known(self, request: Request) -> Reply | None:
        attempt = Attempt(self.system, self._plans[request.entity, request.command], request, self._render)
        loaded = await self._transactions.load(attempt.plan.load, attempt.tenant, attempt.wanted)
        return None if loaded.answer is None else attempt.replay(loaded, loaded.answer)

    @property
    def vault(self) -> Vault:
        """Where private values are encrypted. Raises ProblemError where there is no keyring."""
        if self._vault is None:
            raise reject("internal-error", "This process has no key for private values: AVOW_PRIVATE_KEY.")
        return self._vault

    async def _keyed(self, request: Request) -> Request:
        """The same request, with a fingerprint from which nobody can find out what it brought.

        What has none, as the message of a sender, which is known by its id, gets none.
        """
        if not request.fingerprint:
            return request
        keyed = await self.vault.fingerprint(request.actor.tenant, request.fingerprint)
        return replace(request, fingerprint=keyed)

    async def _revealed(self, request: Request, reply: Reply) -> Reply:
        """A reply to a command that reveals, in clear. What is kept of it never is."""
        kept = reply.record is not None and reply.status < 300 and REVEALED_OPENING in reply.body
        if reply.record is None or not kept or request.dry_run:
            return reply
        body: dict[str, Any] = json.loads(reply.body)
        held: dict[str, dict[str, str] | None] = body[REVEALED]
        digests = [value[PRIVATE] for value in held.values() if value is not None]
        opened = await self.vault.open(request.actor.tenant, request.entity, reply.record, digests)
        body[REVEALED] = {
            name: None if value is None else opened[value[PRIVATE]].told for name, value in held.items()
        }
        return replace(reply, body=json_bytes(body))

    async def _concealed(self, attempt: Attempt, write: Write) -> Write:
        """A write with the private values that it brings, encrypted."""
        tenant = attempt.tenant
        keys = await self.vault.keys(tenant, attempt.persons)
        write.disclosures = self.vault.rows(tenant, attempt.concealing, keys)
        return write

    async def refuse(self, request: Request, problem: Problem) -> Reply:
        """Refuse, under its key, what no record has to be looked at for; an answer that it has already stays.

        Raises Outrun where what it settles is no longer the caller's to settle.
        """
        answer = Answer(problem.status, self._render(problem, new_id()), request.entity, request.record)
        refusal = refusal_of(request, problem.code, problem.extra)
        write = Write(answer=answer, refusal=refusal, settles=request.settles)
        outcome = await self._transactions.commit(request.actor.tenant, key_of(request), write)
        if isinstance(outcome, Settled):
            raise Outrun
        return Reply(answer.status, answer.body, replayed=isinstance(outcome, Replay))

    async def _settle(self, attempt: Attempt) -> Reply:
        tenant, key = attempt.request.actor.tenant, attempt.key
        for _ in range(self._optimistic_attempts(attempt)):
            async with self._turns.of(attempt.turns()):
                try:
                    outcome = await self._decide_and_commit(attempt)
                except Retryable:
                    attempt.met_rivals = True
                    continue
            if isinstance(outcome, Done):
                return self._done(attempt)
            reply = await self._reply(attempt, outcome)
            if reply is not None:
                return reply
        if attempt.loaded is None:
            # Locks are taken in one order, so all of them have to be known before the first.
            attempt.decide(await self._transactions.load(attempt.plan.load, attempt.tenant, attempt.wanted))
        for tried in range(LOCKED_ATTEMPTS_MAX):
            keys = await self.vault.keys(tenant, attempt.persons) if attempt.concealing else {}
            decide_locked = partial(self._decide_locked, attempt, keys) if attempt.given else attempt.decide
            try:
                async with self._turns.of(attempt.turns()):
                    outcome = await self._transactions.decide_locked(
                        attempt.plan.load, attempt.wanted, attempt.locks(), tenant, key, decide_locked,
                        keep=not attempt.request.dry_run,
                    )  # fmt: skip
            except Retryable:
                attempt.met_rivals = True
                await asyncio.sleep(_pause(tried))
                continue
            except KeyMissing:  # the record is about somebody else by now
                continue
            reply = await self._reply(attempt, outcome)
            if reply is not None:
                return reply
        raise reject("contention")

    def _decide_locked(self, attempt: Attempt, keys: Mapping[str, Any], loaded: Loaded) -> Write:
        """Decide behind locks, and encrypt with keys that were fetched before."""
        write = attempt.decide(loaded)
        if attempt.concealing:
            write.disclosures = self.vault.rows(attempt.tenant, attempt.concealing, keys)
        return write

    async def _decide_and_commit(self, attempt: Attempt) -> Outcome:
        """Decide without locks, and commit that: one round trip on what is remembered, or else two."""
        tenant, key = attempt.request.actor.tenant, attempt.key
        recalled = self._recalled(attempt)
        write = None if recalled is None else attempt.decide_recalled(recalled)
        if write is not None:
            if attempt.concealing:
                write = await self._concealed(attempt, write)
            outcome = await self._transactions.commit(tenant, key, write)
            if not isinstance(outcome, Stale):
                return outcome
            self._memory.forget(tenant, (attempt.request.entity, attempt.record_id))
        loaded = await self._transactions.load(attempt.plan.load, tenant, attempt.wanted)
        write = attempt.decide(loaded)
        if attempt.concealing:
            write = await self._concealed(attempt, write)
        if attempt.request.dry_run:
            return await self._transactions.rehearse(tenant, write)
        return await self._transactions.commit(tenant, key, write)

    def _recalled(self, attempt: Attempt) -> Loaded | None:
        """What a load would bring, as far as is known here; None where it has to be loaded."""
        request = attempt.request
        if not attempt.plan.recallable or request.dry_run:
            return None
        if attempt.command.internal and not attempt.hears:
            return None
        now = self._transactions.clock.now(time.monotonic())
        if now is None:
            return None
        if request.record is None:
            return Loaded(now, None, {})
        record = self._memory.find(attempt.tenant, (request.entity, request.record))
        return None if record is None else Loaded(now, None, {(record.entity, record.id): record})

    def _optimistic_attempts(self, attempt: Attempt) -> int:
        """How often to decide without locks: not at all on a record that others are moving right now."""
        until = self._contended.get(attempt.record_id)
        contended = until is not None and until > asyncio.get_running_loop().time()
        return 0 if contended and not attempt.request.dry_run else OPTIMISTIC_ATTEMPTS_MAX

    def _remember_contended(self, record: UUID) -> None:
        self._contended.pop(record, None)  # so that the oldest stands first
        self._contended[record] = asyncio.get_running_loop().time() + CONTENDED_S
        if len(self._contended) > CONTENDED_MAX:
            del self._contended[next(iter(self._contended))]

    def _done(self, attempt: Attempt) -> Reply:
        """The reply to what is committed."""
        if attempt.successor is not None and not attempt.request.dry_run:
            self._memory.keep(attempt.tenant, attempt.successor)
        if attempt.plan.begins and attempt.begins_work():
            self.when_work()
        return attempt.reply()

    async def _reply(self, attempt: Attempt, outcome: Outcome) -> Reply | None:
        """The reply to an outcome; None where it has to be decided again."""
        match outcome:
            case Done():
                return self._done(attempt)
            case Settled():
                raise Outrun
            case Replay():
                return await self._known(attempt.request)
            case Broken(constraint):
                rejection = Rejection(constraint.code, constraint.message, {"rule": constraint.rule})
                write = attempt.refuse(rejection)
                again = await self._transactions.commit(attempt.request.actor.tenant, attempt.key, write)
                return await self._reply(attempt, again)
            case Stale():
                if attempt.concealing and self._vault is not None:
                    self._vault.forget(attempt.tenant, attempt.persons)
                if attempt.request.record is not None:
                    self._remember_contended(attempt.request.record)
                return None


def _nobody() -> None:
    """Nobody here does the work; others find it."""


def _pause(tried: int) -> float:
    """Seconds to wait before attempt `tried` + 2: doubling, with jitter."""
    return PAUSE_S * 2**tried * (0.5 + random.random())
