"""Engines over one database, as several processes would have them, for tests that let them compete."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine, Reply, Request
from avow.engine.identifier import new_id
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.store.pool import Pool
from tests.acting import TENANT


def request(
    kind: str, command: str, record: UUID | None, given: Mapping[str, Any], *, key: str = "",
    who: str = "ann", tenant: str = TENANT,
) -> Request:  # fmt: skip
    """One command under a key; a fresh key where none is named."""
    fingerprint = hashlib.sha256(repr((kind, command, record, given)).encode()).digest()
    actor = Actor(Subject(who), tenant, frozenset(), f"key:{who}")
    return Request(kind, command, record, given, actor, key or str(new_id()), fingerprint, "request")


@asynccontextmanager
async def engine(system: System, url: str, size: int = 8) -> AsyncGenerator[Engine]:
    """One process: an engine on a pool of its own."""
    pool = Pool(url, size)
    try:
        yield Engine(
            system, pool, lambda problem, _: f"{problem.code} {problem.extra.get('rule', '')}".encode()
        )
    finally:
        await pool.close()


def tally(replies: list[Reply]) -> Counter[str]:
    """How often which answer was given: `done`, or code and rule of a refusal."""
    return Counter("done" if reply.status < 300 else reply.body.decode() for reply in replies)
