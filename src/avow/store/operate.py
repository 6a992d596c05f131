"""What is to be done later, as its operators see it, and what they do about it: never without who and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from avow.store.driver import Connection
from avow.store.statements import text

LISTED_MAX = 1_000
STATES = ("waiting", "under-way", "unclear", "stuck", "paused")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which work is meant; None: any. state: one of STATES. stuck: the reason."""

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


class Operations:
    """The work of one database, on a connection of its owner or of a superuser."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, wanted: Filter, most: int = LISTED_MAX) -> list[dict[str, Any]]:
        """What fits, oldest first, at most `most` of it."""
        return await self._seen(
            "list", wanted.tenant, wanted.destination, wanted.entity, wanted.state, wanted.stuck,
            wanted.work, most,
        )  # fmt: skip

    async def attempts(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """How its attempts ended."""
        return await self._seen("attempts", *_named(item))

    async def interventions(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """What operators did about it."""
        return await self._seen("interventions", *_named(item))

    async def retry(self, item: dict[str, Any], by: By) -> bool:
        """Let a worker try once more; False where it isn't any more what was seen, or is under way."""
        return await self._do("retry", item["work"], item["fence"], by.subject, by.reason)

    async def skip_time(self, item: dict[str, Any], by: By) -> bool:
        """Let a time pass without its transition; False as for `retry`, and for every call."""
        return await self._do("skip_time", item["work"], item["fence"], by.subject, by.reason)

    async def pause(self, destination: str, paused: bool, by: By) -> bool:
        """Pause a destination, or resume it; False where it was so already, or isn't known."""
        return await self._do("pause", destination, paused, by.subject, by.reason)

    async def _seen(self, name: str, *given: Any) -> list[dict[str, Any]]:
        async with self._connection.transaction():
            await self._connection.execute(text("effects.sql", "see_all"))
            return [dict(row) for row in await self._connection.fetch(text("effects.sql", name), *given)]

    async def _do(self, name: str, *given: Any) -> bool:
        return await self._connection.fetchval(text("effects.sql", name), *given)


def _named(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["tenant"], item["kind"], item["id"], item["name"], item["key"]
