"""The inbox: what somebody is asked to do, and what they do about it other than doing it.

A task is shown to whom the policy of its command could permit it on this record, and with it no more of the
record than the declaration names. Claiming, releasing, delegating and putting off are commands of their own:
decided on one version of the record, committed together with the answer, and kept for ever. Doing a task is
the record's command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from avow.declare.loads import read_loads
from avow.engine.execute import Reply, again_when_lost
from avow.engine.identifier import id_of
from avow.engine.request import json_bytes
from avow.errors import reject
from avow.kernel.command import OpenTask, Record
from avow.kernel.draft import Pool as Scene
from avow.kernel.policy import may_read, readable_fields
from avow.kernel.tasks import CLAIM, DELEGATE, FOLLOW_UP, RELEASE, refusal_of_act, standing
from avow.kernel.view import represent
from avow.model.actor import Actor
from avow.model.entity import Entity, Transition
from avow.model.system import System
from avow.model.types import instant
from avow.store import driver
from avow.store.inbox import Act, Found, Place, Tasks, Wanted
from avow.store.loading import Loaded, Loads, plan_record
from avow.store.pool import Pool
from avow.store.transaction import IdempotencyKey

ATTEMPTS_MAX = 8
"""How often an act is decided again when something was done with its task or record meanwhile."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks are wanted: of one role or entity, only one's own, only overdue ones."""

    role: str | None = None
    entity: Entity | None = None
    mine: bool = False
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that somebody wants to do with a task.

    word: claim, release, delegate or follow-up. to: to whom it is delegated. at: when it is looked at again.
    """

    word: str
    task: UUID
    actor: Actor
    key: str
    fingerprint: bytes
    request_id: str
    reason: str = ""
    to: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page of an inbox. after: where the next one goes on; None: there is none.

    A task that the reader may not know of is left out of its page, which then is shorter.
    """

    items: list[dict[str, Any]]
    after: tuple[str, UUID] | None


class Inbox:
    """The tasks of one system on one database."""

    def __init__(self, system: System, pool: Pool) -> None:
        self._system, self._tasks, self._loads = system, Tasks(pool), Loads(pool)
        self._asking = {name: found for name, e in system.entities.items() if (found := _asking(e))}
        self._plans = {name: self._plan(system.entities[name]) for name in self._asking}

    @property
    def entities(self) -> Collection[Entity]:
        """The entities whose commands stand in inboxes."""
        return [self._system.entities[name] for name in self._asking]

    async def page(
        self, actor: Actor, wanted: Filter, after: tuple[str, UUID] | None, limit: int
    ) -> InboxPage:
        """The tasks of an actor's inboxes, the one due first coming first."""
        kinds = self._asking if wanted.entity is None else [wanted.entity.name]
        roles = actor.roles if wanted.role is None else actor.roles & {wanted.role}
        places = await self._tasks.page(
            actor, Wanted(list(kinds), wanted.mine, wanted.overdue, roles, after, limit)
        )
        loaded = await asyncio.gather(*(self._load(actor, p.kind, p.id) for p in places[:limit]))
        items = [self._item(actor, place, held) for place, held in zip(places, loaded, strict=False)]
        last = places[limit - 1] if len(places) > limit else None
        return InboxPage([i for i in items if i is not None], None if last is None else (last.due, last.task))

    async def task(self, actor: Actor, task: UUID) -> dict[str, Any] | None:
        """One task as the actor sees it; None where there is none for them."""
        found = await self._tasks.find(actor.tenant, task, task)
        if found.about is None:
            return None
        kind, record, step = found.about
        loaded = await self._load(actor, kind, record)
        return self._item(actor, Place(loaded.now, task, kind, record, step, ""), loaded)

    async def act(self, intent: Intent) -> Reply:
        """Do something with a task, or replay the answer.

        Raises ProblemError for what isn't kept under the key: that the task is unknown, somebody else's, or
        barred to this actor; that the key was used for another request; contention.
        """
        return await again_when_lost(partial(self._act, intent))

    async def _act(self, intent: Intent) -> Reply:
        tenant, key = intent.actor.tenant, _key(intent)
        for _ in range(ATTEMPTS_MAX):
            found = await self._tasks.find(tenant, key.id, intent.task)
            if found.answer is not None:
                return _replay(found, intent)
            if found.about is None:
                raise reject("not-found")
            kind, record_id, step = found.about
            loaded = await self._load(intent.actor, kind, record_id)
            record = loaded.records.get((kind, record_id))
            task = None if record is None else record.tasks.get(step)
            if record is None or task is None or task.id != intent.task:
                raise reject("not-found")
            act, body = self._decide(intent, record, task, loaded)
            try:
                outcome = await self._tasks.act(tenant, key, act, 200, body)
            except driver.Retryable:
                continue
            if outcome == "done":
                return Reply(200, body)
        raise reject("contention")

    def _decide(self, intent: Intent, record: Record, task: OpenTask, loaded: Loaded) -> tuple[Act, bytes]:
        """The act and its answer. Raises ProblemError where it is refused."""
        scene = Scene(self._system, intent.actor, loaded.now, dict(loaded.records), {})
        refused = refusal_of_act(scene, record, task, intent.word, intent.to)
        if refused is not None:
            raise reject(refused.code, refused.detail, **refused.extra)
        told = {} if intent.to is None else {"to": intent.to}
        told |= {} if intent.at is None else {"at": instant(intent.at)}
        act = Act(
            record.entity, record.id, record.version, task.step, task.acts, loaded.now,
            str(intent.actor.subject), intent.word, told, intent.reason, intent.request_id,
        )  # fmt: skip
        return act, json_bytes(_after(task, intent, loaded.now))

    def _plan(self, entity: Entity) -> Any:
        steps = self._asking[entity.name].values()
        paths = {*read_loads(entity, self._system.entities), *(path for t in steps for path in t.loads)}
        return plan_record(self._system, entity, tuple(sorted(paths, key=lambda path: (len(path), path))))

    async def _load(self, actor: Actor, kind: str, record: UUID) -> Loaded:
        plan = self._plans[kind]
        return await self._loads.load(plan, actor.tenant, plan.wanted(None, record, {}))

    def _item(self, actor: Actor, place: Place, loaded: Loaded) -> dict[str, Any] | None:
        """A task as the actor sees it; None where it is none of their business, or gone."""
        record = loaded.records.get((place.kind, place.id))
        task = None if record is None else record.tasks.get(place.step)
        if record is None or task is None or task.id != place.task:
            return None
        scene = Scene(self._system, actor, loaded.now, dict(loaded.records), {})
        stands = standing(scene, record, task.step)
        if stands is None:
            return None
        entity, asked = self._system.entities[place.kind], self._asking[place.kind][place.step]
        seen = readable_fields(entity, scene, record) if may_read(scene, record) else ()
        shown = [] if asked.task is None else [name for name in asked.task.shows if name in seen]
        told = represent(self._system, record, shown)
        holder = task.held_at(loaded.now)
        claimed = holder is not None and holder != str(actor.subject)
        why_not = {"claimed_by": holder} if claimed else None
        why_not = {"four_eyes": stands.barred} if stands.barred else why_not
        return {
            **_told(task, loaded.now),
            "entity": entity.name,
            "record": str(record.id),
            "command": asked.command,
            "path": f"/{entity.plural}/{record.id}/{asked.command}",
            "role": task.role,
            "asked_by": task.asked_by,
            "since": instant(task.since),
            "overdue": task.due is not None and task.due <= loaded.now,
            "may": why_not is None,
            "why_not": why_not,
            "shows": {name: told[name] for name in shown},
        }


def _asking(entity: Entity) -> dict[str, Transition]:
    return {t.step: t for t in entity.transitions.values() if t.task is not None}


def _told(task: OpenTask, now: datetime) -> dict[str, Any]:
    """What is told of a task itself."""
    holder = task.held_at(now)
    return {
        "id": str(task.id),
        "task": task.step,
        "due": _moment(task.due),
        "follow_up": _moment(task.follow_up),
        "escalated_at": _moment(task.escalated),
        "holder": holder,
        "held_until": None if holder is None else _moment(task.held_until),
    }


def _after(task: OpenTask, intent: Intent, now: datetime) -> dict[str, Any]:
    """The task as an act leaves it."""
    until = now + timedelta(milliseconds=task.claim_ms)
    held: dict[str, dict[str, Any]] = {
        CLAIM: {"holder": str(intent.actor.subject), "held_until": until},
        DELEGATE: {"holder": intent.to, "held_until": until},
        RELEASE: {"holder": None, "held_until": None},
        FOLLOW_UP: {"follow_up": intent.at},
    }
    task = task._replace(**held[intent.word])
    return _told(task, now)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _key(intent: Intent) -> IdempotencyKey:
    """A key belongs to one tenant, one subject and one kind of act."""
    scope: Sequence[str] = [
        intent.actor.tenant, str(intent.actor.subject), "tasks", intent.word, intent.key,
    ]  # fmt: skip
    return IdempotencyKey(id_of(scope), intent.fingerprint)


def _replay(found: Found, intent: Intent) -> Reply:
    known = found.answer
    if known is None or known.fingerprint != intent.fingerprint:
        raise reject("idempotency-key-reused")
    return Reply(known.status, known.body, replayed=True)
