"""The inbox: what somebody is asked to do, and what they do about it other than doing it.

A task is shown to whom the policy of its command could permit it on this record, and with it no more of the
record than the declaration names. What is stuck is shown to whom it asks, and to operators. Claiming,
releasing, delegating and putting off are commands of their own: decided on one version of the record,
committed together with the answer, and kept for ever. Doing a task is the record's command; what is owed is
done by operating.
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
from avow.engine.workers.owed import effect_of, inbox_name, record_of
from avow.engine.workers.owed import owed as owed_by
from avow.errors import ProblemError, reject
from avow.kernel.command import OpenTask, Record, Rejection
from avow.kernel.draft import Pool as Scene
from avow.kernel.policy import may_read, readable_fields
from avow.kernel.tasks import (
    CLAIM,
    DELEGATE,
    FOLLOW_UP,
    RELEASE,
    inboxes_of,
    owes,
    refusal_of_act,
    refusal_of_owed,
    standing,
)
from avow.kernel.view import represent
from avow.model.actor import Actor
from avow.model.entity import Entity, Transition
from avow.model.system import System, asking
from avow.model.task import Task
from avow.model.types import instant
from avow.store import driver
from avow.store.inbox import Act, Found, Owed, Place, Tasks, Wanted
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
        self._asking = {entity.name: _asking(entity) for entity in asking(system)}
        self._plans = {name: self._plan(system.entities[name]) for name in self._asking}

    @property
    def entities(self) -> Collection[Entity]:
        """The entities about whose records something may stand in inboxes."""
        return [self._system.entities[name] for name in self._asking]

    async def page(
        self, actor: Actor, wanted: Filter, after: tuple[str, UUID] | None, limit: int
    ) -> InboxPage:
        """The tasks of an actor's inboxes, the one due first coming first."""
        kinds = self._asking if wanted.entity is None else [wanted.entity.name]
        roles = {role for role in inboxes_of(self._system, actor) if wanted.role in (None, inbox_name(role))}
        places = await self._tasks.page(
            actor, Wanted(list(kinds), wanted.mine, wanted.overdue, roles, after, limit)
        )
        shown = places[:limit]
        owed = await self._tasks.owed(actor.tenant, [p.task for p in shown if p.work is not None])
        items = await asyncio.gather(*(self._shown(actor, place, owed.get(place.task)) for place in shown))
        last = places[limit - 1] if len(places) > limit else None
        return InboxPage([i for i in items if i is not None], None if last is None else (last.due, last.task))

    async def task(self, actor: Actor, task: UUID) -> dict[str, Any] | None:
        """One task as the actor sees it; None where there is none for them."""
        found = await self._tasks.find(actor.tenant, task, task)
        if found.about is None:
            return None
        kind, record, step, work = found.about
        if work is not None:
            owed = (await self._tasks.owed(actor.tenant, [task])).get(task)
            return None if owed is None else await self._owed_item(actor, owed)
        loaded = await self._load(actor, kind, record)
        return self._item(actor, Place(loaded.now, task, kind, record, step, None, ""), loaded)

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
            kind, record, step, work = found.about
            try:
                if work is None:
                    act, body = await self._act_on(intent, kind, record, step)
                else:
                    act, body = await self._act_on_owed(intent)
            except ProblemError:
                # Where the key has an answer by now, what a copy of this request did is what refuses it.
                found = await self._tasks.find(tenant, key.id, intent.task)
                if found.answer is None:
                    raise
                return _replay(found, intent)
            try:
                outcome = await self._tasks.act(tenant, key, act, 200, body)
            except driver.Retryable:
                continue
            if outcome == "done":
                return Reply(200, body)
        raise reject("contention")

    async def _act_on(self, intent: Intent, kind: str, record_id: UUID, step: str) -> tuple[Act, bytes]:
        """What is done with the task of a command, and its answer. Raises ProblemError if it is refused."""
        loaded = await self._load(intent.actor, kind, record_id)
        record = loaded.records.get((kind, record_id))
        task = None if record is None else record.tasks.get(step)
        if record is None or task is None or task.id != intent.task:
            raise reject("not-found")
        scene = Scene(self._system, intent.actor, loaded.now, dict(loaded.records), {})
        refused = refusal_of_act(scene, record, task, intent.word, intent.to)
        return _decided(intent, (kind, record_id, record.version), task, step, loaded.now, refused)

    async def _act_on_owed(self, intent: Intent) -> tuple[Act, bytes]:
        """The same with the task of what is stuck, which rests on no version of a record."""
        owed = (await self._tasks.owed(intent.actor.tenant, [intent.task])).get(intent.task)
        if owed is None:
            raise reject("not-found")
        where = f"{owed.item['kind']}.{owed.item['name']}"
        refused = refusal_of_owed(
            self._system, intent.actor, owed.now, owed.task, where, intent.word, intent.to
        )
        about = owed.item["kind"], owed.item["id"], None
        return _decided(intent, about, owed.task, owed.item["name"], owed.now, refused)

    def _plan(self, entity: Entity) -> Any:
        steps = self._asking[entity.name].values()
        paths = {*read_loads(entity, self._system.entities), *(path for t in steps for path in t.loads)}
        return plan_record(self._system, entity, tuple(sorted(paths, key=lambda path: (len(path), path))))

    async def _load(self, actor: Actor, kind: str, record: UUID) -> Loaded:
        plan = self._plans[kind]
        return await self._loads.load(plan, actor.tenant, plan.wanted(None, record, {}))

    async def _shown(self, actor: Actor, place: Place, owed: Owed | None) -> dict[str, Any] | None:
        if place.work is not None:
            return None if owed is None else await self._owed_item(actor, owed)
        return self._item(actor, place, await self._load(actor, place.kind, place.id))

    async def _owed_item(self, actor: Actor, found: Owed) -> dict[str, Any] | None:
        """What is owed, as the actor sees it; None where it is none of their business."""
        now, task, item = found
        if not owes(self._system, actor, task.role):
            return None
        effect, shows = effect_of(self._system, item), dict[str, Any]()
        if effect is not None and effect.task is not None and effect.task.shows:
            loaded = await self._load(actor, item["kind"], item["id"])
            record = loaded.records.get((item["kind"], item["id"]))
            shows = {} if record is None else self._shows(actor, record, loaded, effect.task)
        claimed = _claimed(actor, task, now)
        return {
            **_told(task, now, item["name"]),
            "entity": item["kind"],
            "record": record_of(item),
            "command": None,
            "path": f"/effects/{item['work']}",
            **_asked(task, now),
            "may": claimed is None,
            "why_not": claimed,
            "shows": shows,
            "owed": owed_by(self._system, item),
        }

    def _shows(self, actor: Actor, record: Record, loaded: Loaded, task: Task) -> dict[str, Any]:
        """Those fields of a record that a task shows and that the actor may see."""
        scene = Scene(self._system, actor, loaded.now, dict(loaded.records), {})
        entity = self._system.entities[record.entity]
        seen = readable_fields(entity, scene, record) if may_read(scene, record) else ()
        told = represent(self._system, record, [name for name in task.shows if name in seen])
        return {name: told[name] for name in task.shows if name in seen}

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
        claimed = _claimed(actor, task, loaded.now)
        why_not = {"four_eyes": stands.barred} if stands.barred else claimed
        return {
            **_told(task, loaded.now, task.step),
            "entity": entity.name,
            "record": str(record.id),
            "command": asked.command,
            "path": f"/{entity.plural}/{record.id}/{asked.command}",
            **_asked(task, loaded.now),
            "may": why_not is None,
            "why_not": why_not,
            "shows": {} if asked.task is None else self._shows(actor, record, loaded, asked.task),
            "owed": None,
        }


def _asking(entity: Entity) -> dict[str, Transition]:
    return {t.step: t for t in entity.transitions.values() if t.task is not None}


def _decided(
    intent: Intent, about: tuple[str, UUID, int | None], task: OpenTask, name: str, now: datetime,
    refused: Rejection | None,
) -> tuple[Act, bytes]:  # fmt: skip
    """An act and its answer. Raises ProblemError where it is refused."""
    if refused is not None:
        raise reject(refused.code, refused.detail, **refused.extra)
    told = {} if intent.to is None else {"to": intent.to}
    told |= {} if intent.at is None else {"at": instant(intent.at)}
    act = Act(
        *about, task.step, task.acts, now, str(intent.actor.subject), intent.word, told, intent.reason,
        intent.request_id,
    )  # fmt: skip
    return act, json_bytes(_after(task, intent, now, name))


def _claimed(actor: Actor, task: OpenTask, now: datetime) -> dict[str, Any] | None:
    """Who else has it alone."""
    holder = task.held_at(now)
    return None if holder is None or holder == str(actor.subject) else {"claimed_by": holder}


def _asked(task: OpenTask, now: datetime) -> dict[str, Any]:
    """Who is asked by whom, since when, and whether it is late."""
    return {
        "role": inbox_name(task.role),
        "asked_by": task.asked_by,
        "since": instant(task.since),
        "overdue": task.due is not None and task.due <= now,
    }


def _told(task: OpenTask, now: datetime, name: str) -> dict[str, Any]:
    """What is told of a task itself. name: what is asked for."""
    holder = task.held_at(now)
    return {
        "id": str(task.id),
        "task": name,
        "due": _moment(task.due),
        "follow_up": _moment(task.follow_up),
        "escalated_at": _moment(task.escalated),
        "holder": holder,
        "held_until": None if holder is None else _moment(task.held_until),
    }


def _after(task: OpenTask, intent: Intent, now: datetime, name: str) -> dict[str, Any]:
    """The task as an act leaves it."""
    until = now + timedelta(milliseconds=task.claim_ms)
    held: dict[str, dict[str, Any]] = {
        CLAIM: {"holder": str(intent.actor.subject), "held_until": until},
        DELEGATE: {"holder": intent.to, "held_until": until},
        RELEASE: {"holder": None, "held_until": None},
        FOLLOW_UP: {"follow_up": intent.at},
    }
    task = task._replace(**held[intent.word])
    return _told(task, now, name)


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
