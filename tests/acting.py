"""Commands in tests, executed by the engine on a real database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine, Reply, Request
from avow.engine.identifier import new_id
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.pool import Pool
from avow.store.reads import Reads
from tests.fix_database import Database

TENANT = "main"


class Acting:
    """Gives commands to one database."""

    def __init__(self, made: Database, pool: Pool) -> None:
        self.system = made.system
        self.reads = Reads(made.system, pool)
        self.engine = Engine(made.system, pool, lambda problem, _: problem.code.encode())

    async def attempt(
        self, kind: str, command: str, record: UUID | None, given: Mapping[str, Any], who: str, *roles: str,
        tenant: str = TENANT,
    ) -> Reply:  # fmt: skip
        """Send one command, whatever is answered."""
        actor = Actor(Subject(who), tenant, frozenset(roles), f"key:{who}")
        fingerprint = hashlib.sha256(repr((kind, command, record, given)).encode()).digest()
        request = Request(
            kind, command, record, given, actor, str(new_id()), fingerprint, f"request-{command}"
        )
        return await self.engine.execute(request)

    async def do(
        self, kind: str, command: str, record: UUID | None, given: Mapping[str, Any], who: str, *roles: str,
        tenant: str = TENANT,
    ) -> UUID:  # fmt: skip
        """Send one command that must be accepted; gives back the record's id."""
        reply = await self.attempt(kind, command, record, given, who, *roles, tenant=tenant)
        assert reply.status < 300, (command, reply.status, reply.body, reply.problem)
        return UUID(json.loads(reply.body)["id"])


@asynccontextmanager
async def acting(made: Database) -> AsyncIterator[Acting]:
    """An engine with the application's rights."""
    pool = Pool(made.application_url)
    try:
        yield Acting(made, pool)
    finally:
        await pool.close()
