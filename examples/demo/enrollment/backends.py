"""The two enrollment backends, and what an attack on them has to know of their insides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from avow.store.driver import Connection
from examples.demo.backend import AttackError, Server, database_of, until, until_waiting
from examples.demo.by_hand import ByHand
from examples.demo.declared import Declared


class Backend(Server, Protocol):
    """An enrollment backend. courses, enrollments: the names of its tables."""

    courses: str
    enrollments: str

    async def entries(self, database: Connection, record: str, step: str) -> int:
        """How many audit entries say that the record took this step."""
        ...

    async def die_after_the_work(self, send: Callable[[], Awaitable[object]], title: str, key: str) -> None:
        """Have it killed when a new course is in the database and its answer isn't sent."""
        ...

    async def notices(self, record: str) -> str | None:
        """What it says about a record that was edited by hand, if it has anything to say."""
        ...


@dataclass
class DeclaredEnrollment(Declared):
    """`examples/enrollment`, or a copy of it."""

    courses: str = "enrollment.courses"
    enrollments: str = "enrollment.enrollments"

    async def entries(self, database: Connection, record: str, step: str) -> int:
        """How many audit entries say that the record took this step."""
        query = (
            "SELECT count(*) FROM avow.audit WHERE id = $1"
            " AND convert_from(header, 'UTF8')::jsonb ->> 'transition' = $2"
        )
        return int(await database.fetchval(query, record, step))

    async def die_after_the_work(self, send: Callable[[], Awaitable[object]], title: str, key: str) -> None:
        """Work and answer are one statement: the server dies while PostgreSQL is at it, and that ends it."""
        async with database_of(self) as work, database_of(self) as watch:
            worked = "SELECT count(*) FROM enrollment.courses WHERE title = $1"
            async with work.transaction():
                await work.execute("LOCK TABLE enrollment.courses IN SHARE MODE")
                sent = asyncio.ensure_future(send())
                await until_waiting(watch, 1)
                await asyncio.to_thread(self.kill)
            await until(lambda: watch.fetchval(worked, title), "the declared one's work is committed")
        await sent

    async def notices(self, record: str) -> str | None:
        """The first difference that `avow verify` finds; None when it says that all holds."""
        said = await asyncio.to_thread(self.avow, "verify", "--json")
        if said.returncode == 0:
            return None
        if said.returncode != 1:
            raise AttackError(
                f"avow verify ended with {said.returncode}: {(said.stdout + said.stderr)[:300]}"
            )
        findings: list[dict[str, Any]] = json.loads(said.stdout)["findings"]
        mine = [finding for finding in findings if finding["id"] == record]
        return str(mine[0]["field"] or mine[0]["code"]) if mine else None


class EnrollmentByHand(ByHand):
    """`examples/twins/enrollment`."""

    name = "enrollment"
    courses, enrollments = "courses", "enrollments"

    async def entries(self, database: Connection, record: str, step: str) -> int:
        """How many audit entries say that the record took this step."""
        query = "SELECT count(*) FROM audit_entries WHERE record = $1 AND action = $2"
        return int(await database.fetchval(query, record, step))

    async def die_after_the_work(self, send: Callable[[], Awaitable[object]], title: str, key: str) -> None:
        """Two locks stop the server at its own seams: before its work, and before it stores the answer."""
        async with database_of(self) as work, database_of(self) as answer, database_of(self) as watch:
            claimed = "SELECT count(*) FROM idempotency_keys WHERE key = $1"
            worked = "SELECT count(*) FROM courses WHERE title = $1"
            async with answer.transaction():
                async with work.transaction():
                    await work.execute("LOCK TABLE courses IN SHARE MODE")
                    sent = asyncio.ensure_future(send())
                    await until(lambda: watch.fetchval(claimed, key), "the twin has noted the key")
                    await answer.execute("SELECT FROM idempotency_keys WHERE key = $1 FOR UPDATE", key)
                await until(lambda: watch.fetchval(worked, title), "the twin's work is committed")
                await asyncio.to_thread(self.kill)
        await sent

    async def notices(self, record: str) -> str | None:
        """Nothing: it has no command and no job that compares its rows with anything."""
        return None
