"""Tasks as they are kept: found by name, listed as an inbox, claimed and delegated, and moved on by time.

Who may is decided before; here nobody takes what somebody else has. Doing a task is no business of this
module: that is the record's own command.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from avow.kernel.command import OpenTask
from avow.model.actor import Actor
from avow.store.columns import open_task
from avow.store.loading import KnownAnswer
from avow.store.pool import Pool
from avow.store.statements import text
from avow.store.transaction import IdempotencyKey, call_writing

ADVANCED_MAX = 100
"""How many tasks one statement moves on."""
ACTS_MAX = 1_000
"""How many acts of a record one read gives back."""

_FIND, _PAGE, _OWED, _ACT, _ADVANCE, _ACTS = (
    text("tasks.sql", name)
    for name in ("find_task", "inbox_page", "owed", "act_on_task", "advance_tasks", "acts_of_record")
)


class Place(NamedTuple):
    """Where a task stands in an inbox: which task of which record, when it is due, and when it was read.

    work: the number of what is stuck; None: it is a command.
    """

    now: datetime
    task: UUID
    kind: str
    id: UUID
    step: str
    work: int | None
    due: str


class Found(NamedTuple):
    """The answer that a key has already, and what a task is about: kind, record, step, and the number of
    what is stuck, if it isn't a command; None: no such task.
    """

    answer: KnownAnswer | None
    about: tuple[str, UUID, str, int | None] | None


class Owed(NamedTuple):
    """The task of a work that is stuck, with that work as its table has it, and when it was read."""

    now: datetime
    task: OpenTask
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks of an inbox are wanted.

    kinds: of which entities. mine: only those that the actor holds. overdue: only those past their due time.
    after: the due time and the id of the last task of the page before. limit: at most so many.
    """

    kinds: Collection[str]
    mine: bool
    overdue: bool
    roles: Collection[str]
    after: tuple[str, UUID] | None
    limit: int


@dataclass(frozen=True, slots=True)
class Act:
    """Something done with a task, decided on a version of its record, if on any, and a number of acts.

    word: claim, release, delegate or follow-up. told: what goes with it, as plain data.
    """

    kind: str
    id: UUID
    version: int | None
    step: str
    acts: int
    at: datetime
    subject: str
    word: str
    told: Mapping[str, Any]
    reason: str
    request: str


class Tasks:
    """The tasks of one system."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, tenant: str, key: UUID, task: UUID) -> Found:
        """What a task is about, and whether the key has an answer already."""
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(_FIND, tenant, key, task)
        answer = None if row[0] is None else KnownAnswer(*(row[i] for i in range(6)))
        return Found(answer, None if row["task_kind"] is None else (row[6], row[7], row[8], row[9]))

    async def owed(self, tenant: str, tasks: Collection[UUID]) -> dict[UUID, Owed]:
        """What is owed by these tasks, as far as they are there and about what is stuck."""
        if not tasks:
            return {}
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(_OWED, tenant, list(tasks))
        found = [Owed(row["now"], open_task(json.loads(row["asked"])), dict(row)) for row in rows]
        return {one.task.id: one for one in found}

    async def page(self, actor: Actor, wanted: Wanted) -> list[Place]:
        """The next tasks of an actor's inboxes, the one due first coming first; one more than `limit`."""
        due, task = (None, None) if wanted.after is None else wanted.after
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(
                _PAGE, actor.tenant, str(actor.subject), list(wanted.roles), wanted.mine, list(wanted.kinds),
                wanted.overdue, due, task, wanted.limit + 1,
            )  # fmt: skip
        return [Place(*row) for row in rows]

    async def act(self, tenant: str, key: IdempotencyKey, act: Act, status: int, body: bytes) -> str:
        """Do it and keep the answer: done; stale, where it has to be decided again; or replay."""
        async with self._pool.borrow() as connection:
            return await call_writing(
                connection, _ACT, tenant, act.kind, act.id, act.version, act.step, act.acts, act.at, key.id,
                key.fingerprint, status, body, act.subject, act.word, json.dumps(act.told), act.reason,
                act.request, overtaken="stale",
            )  # fmt: skip

    async def acts(self, tenant: str, kind: str, record: UUID) -> list[dict[str, Any]]:
        """What was done with the tasks of a record, oldest first, at most ACTS_MAX acts."""
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(_ACTS, tenant, kind, record, ACTS_MAX)
        return [{**row, "told": json.loads(row["told"])} for row in map(dict, rows)]


async def advance(pool: Pool) -> int:
    """Let happen what about tasks happens by itself and is due; how much that was."""
    async with pool.borrow() as connection:
        return await connection.fetchval(_ADVANCE, ADVANCED_MAX)
