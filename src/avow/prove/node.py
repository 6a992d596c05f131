"""One process, as it would serve: an engine and a worker over connections of its own.

It remembers nothing of another one. What stands in the way of its statements is its gate.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine
from avow.engine.workers.breaker import Breaker
from avow.engine.workers.doing import OpenHttp
from avow.engine.workers.hearing import Hearing
from avow.engine.workers.worker import Worker
from avow.errors import Problem
from avow.model.system import System
from avow.prove.databases import Database, Way
from avow.store.driver import Connection
from avow.store.pool import Pool
from avow.store.queue import Queue
from avow.store.reads import Reads
from avow.store.trials.watched import Gate, Send, Statement, Watched


class Open:
    """A gate that lets everything through."""

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        return await send()


OPEN = Open()


class _LocksFirst(Engine):
    """An engine that treats every record as one that others are moving right now."""

    def _optimistic_attempts(self, attempt: Any) -> int:
        return 0


class _NeverOpen(Breaker):
    """Leaves no destination alone: how long that takes is measured by a clock that no execution sets."""

    def closed(self, destination: str) -> bool:
        return True

    def half_open(self, destination: str) -> bool:
        return False


class Node:
    """One process on a database.

    system: with its calls connected to the outside of executions. http: what its functions are given.
    locks_first: it locks what a decision may rest on before it loads that, as the engine does where it was
    overtaken before. way: by which its commands reach the database, where it isn't the usual one.
    """

    def __init__(
        self, system: System, database: Database, gate: Gate = OPEN, *, locks_first: bool = False,
        http: OpenHttp | None = None, way: Way | None = None,
    ) -> None:  # fmt: skip
        self.gate = gate
        self._way = way
        self.sessions = list[Watched]()
        self._database = database
        self.pool = Pool(database.url, opens=self._open)
        self.engine = (_LocksFirst if locks_first else Engine)(
            system, self.pool, _render, keyring=database.keyring
        )
        self.worker = Worker(
            system, self.engine, self.pool, database.url, http or _no_client, breaker=_NeverOpen()
        )
        self.hearing = Hearing(system, self.engine, Reads(system, self.pool), Queue(system, self.pool))

    async def _open(self) -> Connection:
        if self._way is None:
            session = await self._database.open(self.gate)
        else:
            session = await self._database.open_on(self._way, self.gate)
        self.sessions.append(session)
        return session

    async def close(self) -> None:
        """End it, as a process ends: its connections are gone, and what they had open is rolled back."""
        for session in self.sessions:
            if not session.is_closed():
                await session.roll_back()
        await self.pool.close()
        for session in self.sessions:
            session.terminate()


def _render(problem: Problem, command_id: UUID) -> bytes:
    return json.dumps({"code": problem.code, "detail": problem.detail}).encode()


def _no_client(*_: Any) -> None:
    """The outside of executions is in this process."""
