"""What is to be done later, as its operators see it, and what they do about it: never without who and why.

Who may is decided before; here it is done once for a key, under the taking that was seen, and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from avow.store.loading import KnownAnswer
from avow.store.pool import Pool
from avow.store.statements import text
from avow.store.transaction import IdempotencyKey, call_writing

LISTED_MAX = 1_000
WAITING, UNDER_WAY, UNCLEAR, STUCK, PAUSED = "waiting", "under-way", "unclear", "stuck", "paused"
STATES = (WAITING, UNDER_WAY, UNCLEAR, STUCK, PAUSED)
OF_ALL = "*"
"""Where the owner's sets of the work of all tenants are kept: row-level security asks for a name."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which work is meant; None: any. tenant: None for all, which only the owner sees. state: one of STATES.
    stuck: the reason.
    """

    tenant: str | None = None
    destination: str | None = None
    entity: str | None = None
    state: str | None = None
    stuck: str | None = None
    work: int | None = None


@dataclass(frozen=True, slots=True)
class By:
    """Who intervenes, and why."""

    subject: str
    reason: str
    evidence: str = ""


class Bulk(NamedTuple):
    """A set of work, as it was begun: which, each with its taking; and of which request."""

    works: Sequence[int]
    fences: Sequence[int]
    fingerprint: bytes


class Kept(NamedTuple):
    """What is known of a key: its answer, and the set that was begun under it."""

    answer: KnownAnswer | None
    bulk: Bulk | None


class Operations:
    """The work of one database, as far as the login of the pool may see and do it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, wanted: Filter, most: int = LISTED_MAX, after: int = 0) -> list[dict[str, Any]]:
        """What fits, oldest first, at most `most` of it, after the work of this number."""
        return await self._seen(
            "list", wanted.tenant, wanted.destination, wanted.entity, wanted.state, wanted.stuck,
            wanted.work, most, after,
        )  # fmt: skip

    async def attempts(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """How its last attempts ended."""
        return await self._seen("attempts", *_named(item))

    async def interventions(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """What operators did about it last."""
        return await self._seen("interventions", *_named(item))

    async def destinations(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Of these destinations, why each is paused; None: it isn't."""
        return await self._seen("destinations", list(names))

    async def kept(self, tenant: str, key: UUID) -> Kept:
        """What is known of a key."""
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(text("effects.sql", "operator_answer"), tenant, key)
        answer = None if row[0] is None else KnownAnswer(*(row[i] for i in range(6)))
        return Kept(answer, None if row["works"] is None else Bulk(*(row[i] for i in range(6, 9))))

    async def operate(
        self, item: dict[str, Any], action: str, by: By, key: IdempotencyKey, body: bytes
    ) -> str:
        """Retry, compensate or skip what isn't a call: done; replay, where the key has an answer; or moved,
        where it is under way or isn't any more what was seen.
        """
        return await self._do(
            "operate", item["tenant"], action, item["work"], item["fence"], by.subject, by.reason, key.id,
            key.fingerprint, body,
        )  # fmt: skip

    async def begin_bulk(
        self, tenant: str, action: str, by: By, key: IdempotencyKey, items: Sequence[dict[str, Any]]
    ) -> Bulk:
        """Say of which work a set consists; what was said first under this key counts."""
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(
                text("effects.sql", "begin_bulk"), tenant, key.id, key.fingerprint, action, by.subject,
                by.reason, [item["work"] for item in items], [item["fence"] for item in items],
            )  # fmt: skip
        return Bulk(*row)

    async def end_bulk(self, tenant: str, key: IdempotencyKey, body: bytes) -> bool:
        """Say what came of a set; False where that was said already."""
        return await self._do("end_bulk", tenant, key.id, key.fingerprint, body)

    async def pause(
        self, tenant: str, destination: str, paused: bool, by: By, key: IdempotencyKey, body: bytes
    ) -> str:
        """Pause a destination, or resume it: done, replay, or same where it was so or isn't known."""
        return await self._do(
            "pause", tenant, destination, paused, by.subject, by.reason, key.id, key.fingerprint, body
        )

    async def _seen(self, name: str, *given: Any) -> list[dict[str, Any]]:
        async with self._pool.borrow() as connection:
            return [dict(row) for row in await connection.fetch(text("effects.sql", name), *given)]

    async def _do(self, name: str, *given: Any) -> Any:
        async with self._pool.borrow() as connection:
            return await call_writing(connection, text("effects.sql", name), *given, overtaken="moved")


def _named(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["tenant"], item["kind"], item["id"], item["name"], item["key"]
