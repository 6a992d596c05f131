"""Does one piece of work: makes its call to the outside, lets its time come, hears its event or tells of it.

Whatever comes of it is a command like any other, decided by the kernel and committed by the one write path,
which at the same time settles the work: under the fencing number of this taking, so that the answer of a
worker that was thought dead changes nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from avow.engine.entries import told_of
from avow.engine.execute import Engine, Outrun, Reply, Request
from avow.engine.privacy import hidden, holds_any
from avow.engine.workers.breaker import Breaker
from avow.engine.workers.calls import Call, Caller, DontKnow, Ending, No, NotYet, Result, Superseded
from avow.engine.workers.checkpoints import Checkpoints
from avow.engine.workers.hearing import Hearing
from avow.engine.workers.leases import Leases
from avow.engine.workers.publishing import TIMEOUT_S, Publishing
from avow.errors import EnvironmentFault, Problem, ProblemError
from avow.kernel.command import Record
from avow.kernel.tasks import begun_of_stuck
from avow.kernel.view import reading_handle
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.effect import DONE, FAILED, UNKNOWN, Effect
from avow.model.entity import Entity, State
from avow.model.outcome import DECLINED, REQUEST_TOO_LARGE
from avow.model.system import System
from avow.model.trigger import EVENTS, OnOutcome, OnTime
from avow.model.types import Misfit, Reference, Value
from avow.model.values import Subject
from avow.store import driver
from avow.store.loading import Loaded, LoadPlan, Loads, plan_record
from avow.store.pool import Pool
from avow.store.queue import DELIVERIES, Queue, Work
from avow.store.reads import Reads

GRACE_S = 5.0
"""How much longer than its timeout a call's lease is held: for its outcome to be committed."""

ENGINE = Subject("avow")
"""Who acts where no actor does: a time has come, or a call has ended."""

NOTHING_PRIVATE = SimpleNamespace()

_log = logging.getLogger("avow.engine")

OpenHttp = Callable[[Effect, Callable[..., Any], Work, str], Any]
"""Makes the HTTP client for one run of an effect's function or lookup, for a key."""


class Doing:
    """How the work of one system is done in one process. `counts` tells how often what happened.

    breaker: is told which destinations fail. publishing: tells subscribers; None: others do.
    """

    def __init__(
        self, system: System, engine: Engine, pool: Pool, queue: Queue, leases: Leases, http: OpenHttp,
        breaker: Breaker, publishing: Publishing | None, counts: Counter[str],
    ) -> None:  # fmt: skip
        self.counts = counts
        self._system, self._engine, self._http = system, engine, http
        self._queue, self._loads, self._leases = queue, Loads(pool), leases
        self._hearing = Hearing(system, engine, Reads(system, pool), queue)
        self._publishing, self._caller, self._breaker = publishing, Caller(), breaker
        self._plans = {
            entity.name: plan_record(system, entity, _references(entity))
            for entity in system.entities.values()
            if entity.effects
        }

    async def do(self, work: Work) -> None:
        """The one edge of a work: whatever goes wrong, its lease ends and somebody takes it again."""
        try:
            entity = self._system.entities.get(work.kind)
            if entity is None:
                await self._stick(work, "unknown-entity", "This process doesn't know the entity.")
            elif (effect := entity.effects.get(work.name)) is not None:
                await self._call(work, entity, effect)
            elif self._publishing is not None and work.destination.startswith(DELIVERIES):
                await self._deliver(work, self._publishing)
            elif work.destination == EVENTS and entity.of_command(work.name):
                self.counts[await self._hearing.again(work)] += 1
            elif work.name in entity.transitions:
                await self._let_time_come(work)
            else:
                await self._stick(work, "unknown-work", f"The declaration has no {work.name}.")
        except (Outrun, Superseded):
            self.counts["stale"] += 1
        except EnvironmentFault as fault:  # as a service for keys that is away
            self.counts["interrupted"] += 1
            _log.error("%s.%s was interrupted: %s: %s", work.kind, work.name, fault, fault.mend)
        except (ProblemError, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
            self.counts["interrupted"] += 1
            _log.warning("%s.%s was interrupted: %s", work.kind, work.name, type(error).__name__)
        except Exception:  # noqa: BLE001 - a worker goes on, whatever one piece of work does
            self.counts["failed"] += 1
            _log.exception("%s.%s failed", work.kind, work.name)
            await self._stick(work, "internal-error", "The worker failed; its log says more.")

    async def _deliver(self, work: Work, publishing: Publishing) -> None:
        self._leases.hold(work, TIMEOUT_S + GRACE_S)
        try:
            outcome = await publishing.deliver(work)
        finally:
            self._leases.let_go(work)
        self._breaker.note(work.destination, failed=outcome == "not-delivered")
        self.counts[outcome] += 1

    async def _let_time_come(self, work: Work) -> None:
        """What a guard doesn't let happen passes; what comes again and again may be refused, too."""
        reply = await self._settle(work, work.name, {})
        trigger = self._system.entities[work.kind].transitions[work.name].trigger
        again = trigger.delay if isinstance(trigger, OnTime) and trigger.again else None
        if reply.problem is None:
            self.counts["time"] += 1
        elif again is not None or reply.problem.code == "guard-failed":
            # Counted from now: days of a calendar aren't all as long as the one before its first time.
            now = work.taken_at
            pause_s = None if again is None else (again.due(now) - now).total_seconds()
            await self._queue.give_back(work, "passed", reply.problem.code, pause_s=pause_s)
            self.counts["passed"] += 1
        else:
            await self._stick(work, reply.problem.code, reply.problem.detail)

    async def _call(self, work: Work, entity: Entity, effect: Effect) -> None:
        loaded, record = await self._load(work)
        if record is None or effect.name not in (state := entity.states[record.state]).invoke:
            self.counts["stale"] += 1  # the record has gone on, and with it this work
            return
        if state.withdraw and not work.unclear and work.progress is None:
            await self._conclude(work, effect, state, No("withdrawn", "It was withdrawn before it was made."))
            return
        actor = Actor(ENGINE, work.tenant)
        handle = reading_handle(self._system, record, actor, loaded.now, loaded.records)
        self._leases.hold(work, 2 * effect.timeout_s + GRACE_S)
        try:
            undone = None if state.undoes is None else record.values[state.undoes]
            private = await self._revealed(work, entity, state, record)
            if private is None:
                ending: Ending = No("erased", "What the call needs was erased.")
            else:
                undoes = None if undone is None else str(undone)
                ending = _without(private, await self._attempt(work, effect, handle, undoes, private))
            await self._conclude(work, effect, state, ending)
        finally:
            self._leases.let_go(work)

    async def _load(self, work: Work) -> tuple[Loaded, Record | None]:
        plan: LoadPlan = self._plans[work.kind]
        loaded = await self._loads.load(plan, work.tenant, plan.wanted(None, work.id, {}))
        return loaded, loaded.records.get((work.kind, work.id))

    async def _revealed(
        self, work: Work, entity: Entity, state: State, record: Record
    ) -> SimpleNamespace | None:
        """The private values that the state's calls are told, in clear; None where one was erased."""
        if not state.reveals:
            return NOTHING_PRIVATE
        opened = await self._engine.vault.open_fields(work.tenant, entity, record, state.reveals)
        return None if opened is None else SimpleNamespace(**opened)

    async def _attempt(
        self, work: Work, effect: Effect, handle: Any, undoes: str | None, private: SimpleNamespace
    ) -> Ending:
        """One attempt, and what a lookup says of it where it ended unclear and isn't sent again."""
        key = call_key(work)
        http = self._http(effect, effect.function, work, key)
        kept = Checkpoints(self._queue, work, private)
        keep = (
            kept.keep
            if inspect.iscoroutinefunction(effect.function)
            else kept.blocking(asyncio.get_running_loop())
        )
        call = Call(key, work.attempt, work.tenant, undoes, http, private, kept.progress, keep)
        if work.unclear and not effect.keyed:
            ending: Ending = DontKnow("an earlier attempt ended without an answer")
        else:
            self.counts["called"] += 1
            ending = await self._caller.attempt(effect, handle, call)
            self._breaker.note(effect.destination, failed=isinstance(ending, NotYet | DontKnow))
            ending = _doubted(work, ending)
        if (
            isinstance(ending, DontKnow)
            and effect.lookup is not None
            and not self._sent_again(work, effect, ending)
        ):
            self.counts["looked-up"] += 1
            # With a client of its own: that of the call has no time left, if the call took all of it.
            http = self._http(effect, effect.lookup, work, key)
            return await self._caller.look_up(effect, handle, replace(call, http=http))
        return ending

    def _sent_again(self, work: Work, effect: Effect, ending: Ending) -> bool:
        """Whether an unclear call goes out once more, under the same key."""
        kept = effect.keeps_faults and isinstance(ending, DontKnow) and ending.answered
        final = isinstance(ending, DontKnow) and ending.final
        return effect.keyed and not kept and not final and _attempts_left(work, effect)

    async def _conclude(self, work: Work, effect: Effect, state: State, ending: Ending) -> None:
        """What is done about how an attempt ended."""
        match ending:
            case Result(value):
                given: dict[str, Value] = {"key": UUID(call_key(work))}
                given |= {} if effect.result is None else {"result": value}
                await self._hear(work, effect, DONE, given)
            case No(code, reason) if state.owed:
                await self._stick(work, code[:100], reason)
                self.counts[FAILED] += 1
            case No(code, reason):
                told = {"code": code[:100], "reason": reason[:1_000]}
                await self._hear(work, effect, FAILED, told)
            case NotYet(reason, retry_after_s):
                if _attempts_left(work, effect):
                    await self._try_again(work, effect, ending, reason, retry_after_s or 0.0)
                else:
                    await self._conclude(work, effect, state, No("attempts-exhausted", reason))
            case DontKnow(reason):
                if self._sent_again(work, effect, ending) or _seen_again(work, effect, ending):
                    await self._try_again(work, effect, ending, reason, ending.retry_after_s or 0.0)
                else:
                    await self._leave_unknown(work, effect, state, reason)

    async def _try_again(
        self, work: Work, effect: Effect, ending: Ending, reason: str, least_s: float
    ) -> None:
        unclear = isinstance(ending, DontKnow)
        pause_s = max(least_s, effect.retry.pause_s(work.attempt, random.random()))
        # What the other side has kept under this key it would only say again; it was never done, so the next
        # attempt is another request.
        again = effect.keeps_faults and not unclear
        await self._queue.give_back(
            work, "unclear" if unclear else "not-done", reason, pause_s=pause_s, unclear=unclear, again=again
        )
        self.counts["again"] += 1

    async def _leave_unknown(self, work: Work, effect: Effect, state: State, reason: str) -> None:
        """Nobody can tell. That is what the declared transition is told, or else a person."""
        declared = self._system.entities[work.kind].transitions.values()
        trigger = OnOutcome(effect.name, UNKNOWN)
        if any(t.trigger == trigger and state.name in t.sources for t in declared):
            await self._hear(work, effect, UNKNOWN, {"code": UNKNOWN, "reason": reason[:1_000]})
        else:
            await self._stick(work, UNKNOWN, reason, unclear=True)
            self.counts[UNKNOWN] += 1

    async def _hear(self, work: Work, effect: Effect, outcome: str, given: Mapping[str, Value]) -> None:
        """Let the record hear how its call ended. Where that is refused, a person has to see to it."""
        problem = (await self._settle(work, f"{effect.name}.{outcome}", given)).problem
        if problem is not None:
            await self._stick(work, problem.code, problem.detail)
        self.counts[outcome] += 1

    async def _settle(self, work: Work, command: str, given: Mapping[str, Value]) -> Reply:
        """Give the command that settles the work."""
        request = Request(
            entity=work.kind, command=command, record=work.id, input=given,
            actor=Actor(ENGINE, work.tenant), key=None, fingerprint=b"", request_id=work.request,
            settles=(work.work, work.fence),
        )  # fmt: skip
        try:
            return await self._engine.execute(request)
        except (BodyFault, Misfit) as fault:
            return Reply(500, problem=Problem("internal-error", str(fault)))
        except ProblemError as error:
            if error.problem.status >= 500:
                raise
            return Reply(error.problem.status, problem=error.problem)  # it would be refused again and again

    async def _stick(self, work: Work, stuck: str, detail: str, *, unclear: bool = False) -> None:
        """Let it wait for a person: the one whom its declaration asks, or else the operators."""
        given_back = await self._queue.give_back(
            work, "stuck", detail, stuck=stuck, unclear=unclear or work.unclear, task=self._asked(work)
        )
        if given_back:
            self.counts["stuck"] += 1
            _log.warning("%s %s: %s is stuck: %s", work.kind, work.id, work.name, stuck)
        else:
            self.counts["stale"] += 1

    def _asked(self, work: Work) -> str | None:
        """Whom a work asks that is stuck, as JSON; None: the operators."""
        entity = self._system.entities.get(work.kind)
        effect = None if entity is None else entity.effects.get(work.name)
        if effect is None or effect.task is None:
            return None
        return json.dumps(told_of(begun_of_stuck(effect.task, work.taken_at)))


def call_key(work: Work) -> str:
    """The idempotency key of all attempts of a call, until what was answered under it uses it up."""
    return provider_key(work.key, work.generation)


def provider_key(key: UUID, generation: int) -> str:
    """The same, of a call by its first key and how many were used up."""
    return str(key if generation == 0 else uuid5(key, str(generation)))


def _doubted(work: Work, ending: Ending) -> Ending:
    """What this attempt says of itself, where an earlier one may have done more."""
    if isinstance(ending, NotYet) and work.unclear:
        said = f"{ending.reason}, and an earlier attempt ended without an answer"
        return DontKnow(said, retry_after_s=ending.retry_after_s)
    begun = work.unclear or work.progress is not None
    if isinstance(ending, No) and ending.code == REQUEST_TOO_LARGE and begun:
        return DontKnow(f"{ending.reason}, and an earlier attempt may have done a part of it", final=True)
    return ending


def _seen_again(work: Work, effect: Effect, ending: DontKnow) -> bool:
    """Whether a call that isn't sent again is looked up once more, as that couldn't be done now."""
    return ending.unseen and not effect.keyed and _attempts_left(work, effect)


def _attempts_left(work: Work, effect: Effect) -> bool:
    return effect.retry.attempts is None or work.attempt < effect.retry.attempts


def _without(private: SimpleNamespace, ending: Ending) -> Ending:
    """How a call ended, told without the private values that it was told: reasons are kept and logged."""
    if isinstance(ending, Result):
        return ending
    told = [*vars(private).values()]
    ending = replace(ending, reason=hidden(ending.reason, told))
    if isinstance(ending, No) and holds_any(ending.code, told):
        return replace(ending, code=DECLINED)
    return ending


def _references(entity: Entity) -> tuple[tuple[str], ...]:
    """What an effect sees besides its record: whatever that refers to directly."""
    return tuple((f.name,) for f in entity.fields.values() if isinstance(f.type, Reference))
