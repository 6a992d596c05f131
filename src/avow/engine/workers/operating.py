"""Operating what happens by itself: looking at it, and doing what only a person can.

Whatever is done is done once for a key, under the taking that the operator has seen, and kept with who and
why. How a call ended is a command like any other (`by_hand`); the rest is the queue's own. Who may is settled
before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from avow import canonical
from avow.engine.execute import Engine, Outrun, Reply, again_when_lost
from avow.engine.identifier import id_of
from avow.engine.request import json_bytes
from avow.engine.workers.by_hand import settle_done, settle_failed
from avow.engine.workers.doing import provider_key
from avow.engine.workers.owed import COMPENSATE, SETTLE, SKIP, effect_of, inbox_name, may_fail
from avow.errors import ProblemError, reject
from avow.kernel.tasks import owes
from avow.model.actor import Actor
from avow.model.effect import Effect
from avow.model.entity import State
from avow.model.system import System
from avow.model.types import instant
from avow.store.operate import OF_ALL, UNDER_WAY, Bulk, By, Filter, Operations
from avow.store.pool import Pool
from avow.store.transaction import IdempotencyKey

SKIPPED, COMPENSATED = "skipped", "compensated"
BULK_MAX = 1_000
"""How much work a set consists of at most; what fits beyond that is another set."""
AT_ONCE = 8
"""About how many of a set something is done at the same time."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that an operator wants to do, once for `key`; or somebody whom what is stuck asks.

    fingerprint: of everything that makes it the same request. everything: they reach the database, and so
    may do it about all work; otherwise the declaration says whether they may.
    """

    action: str
    actor: Actor
    reason: str
    key: str
    fingerprint: bytes = b""
    everything: bool = False

    @property
    def by(self) -> By:
        return By(str(self.actor.subject), self.reason)

    def kept(self, tenant: str) -> IdempotencyKey:
        """A key belongs to one tenant, one subject and one kind of act."""
        scope = [tenant, str(self.actor.subject), "effects", self.action, self.key]
        return IdempotencyKey(id_of(scope), self.fingerprint)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call ended, as an operator knows it: done with `result`, plain JSON; or failed with `code`."""

    done: bool
    result: Any = None
    code: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What something would be done about. fingerprint: names the set; more: there may be more that fits."""

    items: Sequence[dict[str, Any]]
    fingerprint: str
    more: bool


class Operating:
    """The work of one system, as its operators see it. tenant: None for all, which only the owner sees."""

    def __init__(self, system: System, pool: Pool, engine: Engine) -> None:
        self._system, self._engine, self._kept = system, engine, Operations(pool)
        effects = [effect for entity in system.entities.values() for effect in entity.effects.values()]
        self._destinations = sorted({effect.destination for effect in effects})

    async def page(self, wanted: Filter, after: int, limit: int) -> list[dict[str, Any]]:
        """What fits, oldest first; one more than `limit` where there is more."""
        return await self._kept.list(wanted, limit + 1, after)

    async def one(self, tenant: str | None, work: int, reader: Actor | None = None) -> dict[str, Any]:
        """One work, with how its attempts ended and what was done about it. reader: None: who sees all.

        Raises `not-found`, also for what is none of the reader's business.
        """
        item = await self._demand(tenant, work, reader)
        attempts, interventions = await self._kept.attempts(item), await self._kept.interventions(item)
        return {
            **shown(item),
            "attempts": [_plain(row) for row in attempts],
            "interventions": [_plain(row) for row in interventions],
        }

    async def destinations(self) -> list[dict[str, Any]]:
        """Where the declared calls go, and why a destination is paused."""
        return await self._kept.destinations(self._destinations)

    async def preview(self, wanted: Filter) -> Preview:
        """What something would be done about: whatever fits and isn't under way, at most BULK_MAX of it."""
        listed = await self._kept.list(wanted, BULK_MAX + 1)
        items = [item for item in listed if item["state"] != UNDER_WAY][:BULK_MAX]
        told = [[item["work"], item["fence"]] for item in items]
        return Preview(items, canonical.digest(canonical.encode_trusted(told)).hex(), len(listed) > BULK_MAX)

    async def act(
        self, intent: Intent, tenant: str | None, work: int, settlement: Settlement | None = None
    ) -> Reply:
        """Do something about one work, or replay the answer.

        Raises ProblemError for what isn't kept under the key: that the work is gone or has moved on, that
        nothing is owed, what the record's rules refuse, contention.
        """

        async def do() -> Reply:
            actor = None if intent.everything else intent.actor
            return await self._act(intent, await self._demand(tenant, work, actor), settlement)

        return await again_when_lost(lambda: self._once(intent, tenant, work, do))

    async def act_on_all(self, intent: Intent, wanted: Filter, fingerprint: str) -> Reply:
        """Do something about every work of a set that was previewed, or go on with it, or replay the answer.

        What has moved on since, or is refused, is left out, and named. Raises ProblemError `set-changed`
        where what fits isn't what was previewed; nothing is done then.
        """
        tenant = OF_ALL if wanted.tenant is None else wanted.tenant
        known = await self._known(intent, tenant)
        if known is not None:
            return known
        key = intent.kept(tenant)
        bulk = (await self._kept.kept(tenant, key.id)).bulk
        if bulk is None:
            bulk = await self._begin_bulk(intent, wanted, fingerprint, tenant)
        if bulk.fingerprint != key.fingerprint:
            raise reject("idempotency-key-reused")
        left = await self._act_on_each(intent, wanted.tenant, bulk.works, bulk.fences)
        done = len(bulk.works) - len(left)
        body = json_bytes({"action": intent.action, "set": fingerprint, "done": done, "left": left})
        if await self._kept.end_bulk(tenant, key, body):
            return Reply(200, body)
        return await self._replayed(intent, tenant)

    async def pause(self, intent: Intent, tenant: str, destination: str, *, paused: bool) -> Reply:
        """Let no call to a destination begin, or let them begin again. Raises `destination-unchanged`."""
        body = json_bytes({"destination": destination, "paused": paused})
        key = intent.kept(tenant)
        outcome = await self._kept.pause(tenant, destination, paused, intent.by, key, body)
        if outcome == "same":
            raise reject("destination-unchanged")
        return Reply(200, body) if outcome == "done" else await self._replayed(intent, tenant)

    async def _begin_bulk(self, intent: Intent, wanted: Filter, fingerprint: str, tenant: str) -> Bulk:
        """Say of which work a set consists, if it is what was previewed. Raises `set-changed`."""
        key, preview = intent.kept(tenant), await self.preview(wanted)
        if preview.fingerprint == fingerprint:
            return await self._kept.begin_bulk(tenant, intent.action, intent.by, key, preview.items)
        # A copy of this request that is at it is what makes less of the set fit.
        begun = (await self._kept.kept(tenant, key.id)).bulk
        if begun is None:
            raise reject("set-changed", f"{len(preview.items)} fit now.", count=len(preview.items))
        return begun

    async def _act_on_each(
        self, intent: Intent, tenant: str | None, works: Sequence[int], fences: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Do it about each, each under a key of its own; what was left out, and why."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(work: int, fence: int) -> dict[str, Any] | None:
            own = replace(intent, key=f"{intent.key}\n{work}")

            async def do() -> Reply:
                item = await self._demand(tenant, work)
                if item["fence"] != fence:
                    raise reject("work-moved")
                return await self._act(own, item, None)

            async with places:
                try:
                    await self._once(own, tenant, work, do)
                except ProblemError as error:
                    if error.problem.status >= 500:
                        raise
                    return {"work": work, "code": error.problem.code}
            return None

        each = [one(*of) for of in zip(works, fences, strict=True)]
        ended = await asyncio.gather(*each, return_exceptions=True)
        for fault in ended:
            if isinstance(fault, BaseException):
                raise fault
        return [left for left in ended if isinstance(left, dict)]

    async def _once(
        self, intent: Intent, tenant: str | None, work: int, do: Callable[[], Awaitable[Reply]]
    ) -> Reply:
        """What `do` answers, or the answer that the key has. It is looked for again where `do` is refused:
        what refuses it may be what a copy of this request did meanwhile.
        """
        known = None if tenant is None else await self._known(intent, tenant, work)
        if known is not None:
            return known
        try:
            return await do()
        except ProblemError:
            known = None if tenant is None else await self._known(intent, tenant, work)
            if known is None:
                raise
            return known

    async def _act(self, intent: Intent, item: dict[str, Any], settlement: Settlement | None) -> Reply:
        if item["state"] == UNDER_WAY:
            raise reject("work-moved", "A worker is doing it now.")
        where, holder = f"{item['kind']}.{item['name']}", item["holder"]
        if holder is not None and holder != str(intent.actor.subject) and item["held_until"] > item["now"]:
            raise reject("task-claimed", f"Somebody else has claimed {where}.", rule=where)
        effect = effect_of(self._system, item)
        if intent.action == SETTLE and settlement is not None:
            return await self._settle(intent, item, effect, settlement)
        if intent.action == SKIP and effect is not None:
            if item["unclear"]:
                raise reject("call-unclear")
            return await self._settle(intent, item, effect, Settlement(False, code=SKIPPED))
        if intent.action == COMPENSATE:
            return await self._compensate(intent, item, effect)
        return await self._operate(intent, item)

    async def _operate(self, intent: Intent, item: dict[str, Any]) -> Reply:
        """What is no command of the record: another attempt, or none."""
        body = _answer(item, intent.action, None)
        outcome = await self._kept.operate(item, intent.action, intent.by, intent.kept(item["tenant"]), body)
        if outcome == "moved":
            raise reject("work-moved")
        return Reply(200, body) if outcome == "done" else await self._replayed(intent, item["tenant"])

    async def _settle(
        self, intent: Intent, item: dict[str, Any], effect: Effect | None, settlement: Settlement
    ) -> Reply:
        """How a call ended, with the transition that follows."""
        if effect is None:
            raise reject("not-a-call", f"{item['name']} has no outcome.")
        if item["unclear"] and not settlement.evidence.strip():
            raise reject("evidence-missing")
        if not settlement.done and not may_fail(self._system, item, effect):
            raise reject("call-owed")
        by, key = replace(intent.by, evidence=settlement.evidence), intent.kept(item["tenant"])
        try:
            if settlement.done:
                reply = await settle_done(self._engine, item, effect, settlement.result, by, key)
            else:
                action = f"{SETTLE}-failed" if intent.action == SETTLE else intent.action
                reply = await settle_failed(self._engine, item, effect, settlement.code, by, action, key)
        except Outrun:
            known = await self._known(intent, item["tenant"], item["work"])
            if known is None:
                raise reject("work-moved") from None
            return known
        if reply.problem is not None:
            raise ProblemError(reply.problem)
        return Reply(200, _answer(item, intent.action, reply.body), replayed=reply.replayed)

    async def _compensate(self, intent: Intent, item: dict[str, Any], effect: Effect | None) -> Reply:
        """Undo now what is owed: the undo itself, or what a call that certainly wasn't done leads back to."""
        if effect is None:
            raise reject("not-a-call", f"{item['name']} has no outcome.")
        entity = self._system.entities[item["kind"]]
        if _undoes(entity.states.values(), effect.name):
            return await self._operate(intent, item)
        if item["unclear"]:
            raise reject("call-unclear")
        if not may_fail(self._system, item, effect):
            raise reject("nothing-owed")
        tried = await settle_failed(
            self._engine, item, effect, COMPENSATED, intent.by, intent.action, dry_run=True
        )
        if tried.problem is not None or entity.states[json.loads(tried.body)["state"]].undoes is None:
            raise reject("nothing-owed")
        return await self._settle(intent, item, effect, Settlement(False, code=COMPENSATED))

    async def _known(self, intent: Intent, tenant: str, work: int = 0) -> Reply | None:
        """The answer that the key has already; one that a record's command was given, as that about a work.

        Raises `idempotency-key-reused`.
        """
        key = intent.kept(tenant)
        known = (await self._kept.kept(tenant, key.id)).answer
        if known is None:
            return None
        if known.fingerprint != key.fingerprint:
            raise reject("idempotency-key-reused")
        item = {"work": work, "kind": known.kind, "id": known.record}
        body = _answer(item, intent.action, known.body) if known.kind else known.body
        return Reply(200, body, replayed=True)

    async def _replayed(self, intent: Intent, tenant: str) -> Reply:
        known = await self._known(intent, tenant)
        if known is None:
            raise reject("contention")
        return known

    async def _demand(self, tenant: str | None, work: int, actor: Actor | None = None) -> dict[str, Any]:
        """One work. actor: whose business it has to be; None: anybody's."""
        found = await self._kept.list(Filter(tenant=tenant, work=work))
        if not found or (actor is not None and not owes(self._system, actor, found[0]["role"])):
            raise reject("not-found", "It was settled, or never was.")
        return found[0]


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """A work as operators are shown it. key: under which the other side knows the call."""
    return {
        "work": item["work"],
        "tenant": item["tenant"],
        "entity": item["kind"],
        "record": str(item["id"]),
        "name": item["name"],
        "destination": item["destination"],
        "state": item["state"],
        "key": provider_key(item["key"], item["generation"]),
        "attempt": item["attempt"],
        "unclear": item["unclear"],
        "stuck": item["stuck"],
        "detail": item["detail"],
        "inbox": None if item["role"] is None else inbox_name(item["role"]),
        "task": None if item["task"] is None else str(item["task"]),
        "paused": item["paused"],
        "since": instant(item["since"]),
        "due": instant(item["due"]),
    }


def _undoes(states: Any, effect: str) -> bool:
    """Whether a call is an undo wherever it is made."""
    invoking: list[State] = [state for state in states if effect in state.invoke]
    return all(state.undoes is not None for state in invoking)


def _answer(item: dict[str, Any], action: str, body: bytes | None) -> bytes:
    """What an operator is answered. body: of the command that followed, where one did."""
    state = None if body is None else json.loads(body)["state"]
    told = {"work": item["work"], "action": action, "entity": item["kind"], "record": str(item["id"])}
    return json_bytes({**told, "state": state})


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: instant(held) if name == "at" else held for name, held in row.items()}
