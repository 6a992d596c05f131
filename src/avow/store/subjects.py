"""All that is held about one person, and the keys of all persons, on a connection of the owner's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from avow.errors import EnvironmentFault
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import SubjectType
from avow.store import driver
from avow.store.disclosures import WrappedKey
from avow.store.driver import Connection
from avow.store.schema.tables import Roles, table_of
from avow.store.statements import named, quote, text

KEYS_AT_ONCE = 500
_FIRST = UUID(int=0)


class Subjects:
    """The persons of one tenant."""

    def __init__(self, connection: Connection, system: System, tenant: str) -> None:
        self._connection, self._system, self._tenant = connection, system, tenant

    async def act_as_owner(self) -> None:
        """Act as the owner, and see this tenant alone."""
        await self._connection.execute(f"SET ROLE {quote(Roles.of(self._system).owner)}")
        await self._connection.execute(_see_tenant(), self._tenant)

    async def held(self, subject: str) -> list[dict[str, Any]]:
        """How many private values there are about a person, by kind and field."""
        return await self._fetch("held_of", subject)

    async def holds(self, subject: str) -> list[dict[str, Any]]:
        """Who holds them against erasing."""
        return await self._fetch("holds_of", subject)

    async def told(self, name: str, subject: str) -> list[dict[str, Any]]:
        """What else there is: private_of, acts_of, refusals_of, tasks_of, api_keys_of or subscriptions_of."""
        return await self._fetch(name, subject)

    async def records(self, entity: Entity, subject: str) -> list[UUID]:
        """The records of an entity that name a person."""
        fields = [quote(f.name) for f in entity.fields.values() if isinstance(f.type, SubjectType)]
        if not fields:
            return []
        sql = named("disclosures.sql")["records_of"].substitute(
            table=table_of(self._system, entity), columns=", ".join(fields)
        )
        return [row["id"] for row in await self._connection.fetch(sql, self._tenant, subject)]

    async def open_erasure(
        self, entity: Entity, person: str, subject: str, states: Collection[str]
    ) -> UUID | None:
        """The erasure of a person that waits in one of these states."""
        sql = named("disclosures.sql")["erasures_open"].substitute(
            table=table_of(self._system, entity), person=quote(person)
        )
        return await self._connection.fetchval(sql, self._tenant, subject, list(states))

    async def note_export(self, by: str, reason: str) -> None:
        """Keep that somebody was given all of it, and why."""
        await self._connection.execute(text("disclosures.sql", "note_export"), self._tenant, by, reason)

    async def hold(self, subject: str, held: bool, by: str, reason: str) -> bool:
        """Hold a person's data, or let go of it; False: it was so already."""
        statement = text("disclosures.sql", "hold")
        return await self._connection.fetchval(statement, self._tenant, subject, held, by, reason)

    async def _fetch(self, name: str, subject: str) -> list[dict[str, Any]]:
        statement = text("disclosures.sql", name)
        return [dict(row) for row in await self._connection.fetch(statement, self._tenant, subject)]


def _see_tenant() -> str:
    return text("disclosures.sql", "see_tenant")


class SubjectKeys:
    """The keys of all persons of all tenants, as they are wrapped."""

    def __init__(self, connection: Connection, system: System) -> None:
        self._connection, self._system = connection, system

    async def act_as_owner(self) -> None:
        """Act as the owner, and see all tenants."""
        await self._connection.execute(f"SET ROLE {quote(Roles.of(self._system).owner)}")
        await self._connection.execute(text("disclosures.sql", "see_all_keys"))

    async def counts(self) -> dict[str, int]:
        """How many keys each key of keys wraps, by its name."""
        rows = await self._connection.fetch(text("disclosures.sql", "keks"))
        return {row["kek"]: row["number"] for row in rows}

    async def retire(self, kek: str) -> int:
        """Let no key be put under this key of keys any more, whoever is doing so in this moment. How many are
        under it: with any, nothing is forbidden. Raises EnvironmentFault where somebody reads them for long.
        """
        await self._connection.execute(text("disclosures.sql", "name_kek"), kek)
        try:
            await self._connection.execute(text("disclosures.sql", "forbid_kek"))
        except driver.LockNotAvailable:
            raise EnvironmentFault(
                "private-keys-in-use",
                "avow.subject_key is being read for long, as by a backup or a verification",
                "Wait until that has ended, and repeat it. Nothing was destroyed.",
            ) from None
        under = (await self.counts()).get(kek, 0)
        if under:
            await self._connection.execute(text("disclosures.sql", "allow_kek"))
        return under

    async def others(self, kek: str, after: UUID | None) -> list[tuple[str, str, WrappedKey]]:
        """The next keys that aren't wrapped with this key of keys: tenant, subject, key."""
        rows = await self._connection.fetch(
            text("disclosures.sql", "keys_under"), kek, after or _FIRST, KEYS_AT_ONCE
        )
        return [(r["tenant"], r["subject"], WrappedKey(r["key"], r["wrapped"], r["kek"])) for r in rows]

    async def rewrap(self, tenant: str, was: WrappedKey, kek: str, wrapped: bytes) -> bool:
        """Put a key under another key of keys; False where it was destroyed, or put elsewhere, meanwhile."""
        statement = text("disclosures.sql", "rewrap")
        return await self._connection.fetchval(statement, tenant, was.id, was.kek, wrapped, kek)
