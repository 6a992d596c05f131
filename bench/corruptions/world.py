"""A small sealed world: enrollments with long values, a few hundred leaves, checkpoints that somebody has
saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine, Request
from avow.engine.identifier import new_id
from avow.engine.log.key import LogKey, log_key
from avow.engine.log.sealer import Steps
from avow.engine.verify import Outside
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.log_check import Saved
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.pool import Pool, connect
from avow.testing.databases import Database
from examples.enrollment.system import app

COURSES = 12
ENROLLMENTS = 69
"""An even last number: the newest enrollment isn't approved, so that nothing else was changed with it."""
SEAL_EVERY = 5
"""After so many enrollments a checkpoint is made: about 20 entries."""


@dataclass
class World:
    """A sealed database, a superuser's connection to it, what is known outside of it. served: seals it."""

    made: Database
    admin: Any
    key: LogKey
    engine: Engine
    outside: Outside
    served: Any


class Acting:
    """Gives commands as whoever is needed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def do(
        self, kind: str, command: str, record: UUID | None, given: Mapping[str, Any], role: str
    ) -> UUID:
        """One command that must be accepted; gives back the record's id."""
        actor = Actor(Subject(role), "main", frozenset({role}), f"key:{role}")
        fingerprint = hashlib.sha256(repr((kind, command, record, given)).encode()).digest()
        request = Request(
            kind, command, record, given, actor, str(new_id()), fingerprint, f"request-{command}"
        )
        reply = await self._engine.execute(request)
        if reply.status >= 300:
            raise ValueError(f"{kind}.{command} was answered with {reply.status}")
        return UUID(json.loads(reply.body)["id"])


@asynccontextmanager
async def sealed_world(made: Database, folder: Path) -> AsyncGenerator[World]:
    """Fill a fresh database by commands, and seal as it goes."""
    pool, admin, served = (
        Pool(made.application_url),
        await connect(made.admin_url),
        await connect(made.application_url),
    )
    engine, key = Engine(app, pool, lambda problem, _: problem.code.encode()), log_key(None, folder, app.name)
    steps, saved = Steps(app.name, served, key), list[Saved]()
    try:
        await steps.lead()
        await steps.take_over()
        signer = key.keys.signer()
        if signer is None:
            raise ValueError("the sealer has made no key")
        await admin.execute("CREATE TABLE public.stack_at AS SELECT size, stack FROM avow.log_state")
        act = Acting(engine)
        courses = [
            await act.do("Course", "announce", None, {"title": f"course {n}", "seats": 50}, "registrar")
            for n in range(COURSES)
        ]
        for number in range(ENROLLMENTS):
            await steps.step()
            await admin.execute("INSERT INTO public.stack_at SELECT size, stack FROM avow.log_state")
            given = {"course": courses[number % COURSES]}
            record = await act.do("Enrollment", "start", None, given, f"student-{number}")
            essay = f"because {number} " * (200 if number % 3 == 0 else 2)
            await act.do("Enrollment", "submit", record, {"essay": essay}, f"student-{number}")
            await act.do("Enrollment", "verify", record, {}, "registrar")
            if number % 2:
                await act.do("Enrollment", "approve", record, {}, "dean")
            if number % SEAL_EVERY == 0:
                await steps.step()
                note = key.newest() or b""
                saved.append(Saved(open_checkpoint(note, signer.verifier).checkpoint, f"saved-{len(saved)}"))
        await steps.step()
        saved.append(Saved(open_checkpoint(key.newest() or b"", signer.verifier).checkpoint, "newest"))
        yield World(made, admin, key, engine, Outside([signer.verifier], saved), served)
    finally:
        await served.close()
        await admin.close()
        await pool.close()
