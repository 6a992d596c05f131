"""Subscriptions as they are kept: who is told of what, and what exactly is told of an audit entry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from avow.canonical import INTEGER_MAX
from avow.store.pool import Pool
from avow.store.queue import DELIVERIES, Work
from avow.store.statements import text

ACTIVE, PAUSED, DISABLED = "active", "paused", "disabled"
SUBSCRIPTIONS_MAX = 1_000
"""How many subscriptions of one tenant are listed."""
REPLAYS = "replay/"
"""What stands before the id of a subscription whose replay can go on."""
REPLAYED_AT_ONCE = 250
"""How many entries of the log one step of a replay looks at; commands that publish wait that long."""
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who is told of some transitions.

    types: of which, as entity and transition. state: active, paused or disabled, for a reason.
    generation: of its secret; the one before it signs as well until previous_until.
    replaying_since: since when it is being told of everything again; None: no replay is under way.
    """

    id: UUID
    tenant: str
    subject: str
    url: str
    types: Sequence[str]
    state: str
    reason: str
    generation: int
    previous_until: datetime | None
    created_at: datetime
    replaying_since: datetime | None


class Acted(NamedTuple):
    """What came of a request about a subscription.

    fingerprint: of the request that the key was used for first. replayed: it had been used. left: the
    subscription as that request left it; as it was, where that has ended it.
    """

    fingerprint: bytes
    replayed: bool
    left: Subscription


class Subscriptions:
    """The subscriptions of one system."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(
        self, tenant: str, which: UUID, subject: str, url: str, types: Sequence[str]
    ) -> Subscription:
        """Make a subscription; one that is there under this id already is given back as it is."""
        found = await self._one("put_subscription", tenant, which, subject, url, list(types))
        if found is None:
            raise ValueError("a subscription was neither made nor found")
        return found

    async def find(self, tenant: str, which: UUID) -> Subscription | None:
        """The subscription of a tenant with this id."""
        return await self._one("one_subscription", tenant, which)

    async def all(self, tenant: str) -> list[Subscription]:
        """The subscriptions of a tenant, oldest first."""
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(text("telling.sql", "all_subscriptions"), tenant, SUBSCRIPTIONS_MAX)
        return [Subscription(*row) for row in rows]

    async def act(
        self, tenant: str, which: UUID, key: UUID, fingerprint: bytes, word: str, told: Mapping[str, Any]
    ) -> Acted | None:
        """Put, turn, rotate, replay or drop one, once for a key; None, and nothing kept: it isn't there."""
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(
                text("telling.sql", "act_on_subscription"), tenant, which, key, fingerprint, word,
                json.dumps(told),
            )  # fmt: skip
        return None if row is None else Acted(row[0], row[1], Subscription(*(row[i] for i in range(2, 13))))

    async def left(self, tenant: str, key: UUID) -> Subscription | None:
        """The subscription as a request under this key left it; None: there was none."""
        return await self._one("kept_subscription", tenant, key)

    async def turn(self, tenant: str, which: UUID, state: str, reason: str = "") -> Subscription | None:
        """Make it active, paused or disabled; what waits for a disabled one is dropped."""
        return await self._one("turn_subscription", tenant, which, state, reason)

    async def rotate(self, tenant: str, which: UUID, request: UUID, both_s: float) -> Subscription | None:
        """Give it its next secret, once for a request; the one before it signs as well for a time."""
        return await self._one("rotate_subscription", tenant, which, request, round(both_s * 1_000))

    async def drop(self, tenant: str, which: UUID) -> bool:
        """End it. False: it wasn't there."""
        return await self._value("drop_subscription", tenant, which)

    async def replay(self, tenant: str, which: UUID, request: UUID, since: datetime) -> Subscription | None:
        """Begin to tell again of everything since then, once for a request; `go_on` does it."""
        return await self._one("replay_subscription", tenant, which, request, since)

    async def go_on(self, which: UUID) -> bool:
        """One step of a replay, in a transaction of its own; whether there is more of it."""
        return await self._value("go_on_replaying", which, REPLAYED_AT_ONCE)

    async def deliverable(self) -> list[str]:
        """The destinations, of all tenants, to which something can be told now, and after REPLAYS the
        subscriptions whose replay can go on."""
        async with self._pool.borrow() as connection:
            return [row[0] for row in await connection.fetch(text("telling.sql", "deliverable"))]

    async def addressee(self, work: Work) -> tuple[Subscription, bool] | None:
        """Whom a delivery that was taken is for, and whether a replay tells it in its place."""
        which = UUID(work.destination.removeprefix(DELIVERIES))
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(
                text("telling.sql", "addressee"), work.tenant, which, work.work, work.fence
            )
        return None if row is None else (Subscription(*row[:-1]), row[-1])

    async def entry(self, tenant: str, kind: str, record: UUID, version: int) -> dict[str, Any]:
        """The header of the audit entry of one version."""
        (row,) = await self._entries(tenant, kind, record, version, 1)
        return json.loads(row["header"])

    async def values(
        self, tenant: str, kind: str, record: UUID, version: int, fields: Sequence[str]
    ) -> dict[str, Any]:
        """Those of some fields that an entry up to one version has set, in their form in JSON."""
        wanted, found = set(fields), dict[str, Any]()
        while version > 0 and wanted:
            rows = await self._entries(tenant, kind, record, version, _PAGE)
            for row in rows:
                changed = await self._changed(tenant, json.loads(row["header"]), wanted)
                found |= changed
                wanted -= changed.keys()
            version -= len(rows) or version
        return found

    async def changed_after(self, tenant: str, kind: str, record: UUID, version: int) -> set[str]:
        """The fields that were set after one version."""
        changed, upto = set[str](), INTEGER_MAX
        while rows := await self._entries(tenant, kind, record, upto, _PAGE):
            headers = [json.loads(row["header"]) for row in rows if row["version"] > version]
            changed.update(*(header["changes"] for header in headers))
            changed.update(*(header.get("changes_sha256", {}) for header in headers))
            if len(headers) < _PAGE:
                break
            upto = rows[-1]["version"] - 1
        return changed

    async def _changed(self, tenant: str, header: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
        """The wanted fields that an entry changed; long values stand beside it, by their hash."""
        found = {name: header["changes"][name] for name in wanted & header["changes"].keys()}
        long: dict[str, str] = header.get("changes_sha256", {})
        for name in wanted & long.keys():
            data = await self._value("told_payload", tenant, bytes.fromhex(long[name]))
            found[name] = None if data is None else json.loads(data)
        return found

    async def _entries(self, tenant: str, kind: str, record: UUID, version: int, most: int) -> list[Any]:
        async with self._pool.borrow() as connection:
            return await connection.fetch(
                text("telling.sql", "told_entries"), tenant, kind, record, version, most
            )

    async def _one(self, name: str, *parameters: Any) -> Subscription | None:
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(text("telling.sql", name), *parameters)
        return None if row is None else Subscription(*row)

    async def _value(self, name: str, *parameters: Any) -> Any:
        async with self._pool.borrow() as connection:
            return await connection.fetchval(text("telling.sql", name), *parameters)
