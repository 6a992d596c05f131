"""The table of API keys, for its owner: make, list, replace, revoke.

It must never see a secret: a keyed hash comes in, and no hash ever goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from avow.store.driver import Connection
from avow.store.statements import named


@dataclass(frozen=True, slots=True)
class ListedKey:
    """What is known of a key. state: live, ending (replaced, in its overlap), expired or revoked."""

    id: str
    tenant: str
    subject: str
    roles: tuple[str, ...]
    state: str
    created_at: datetime
    expires_at: datetime
    replaced_by: str | None


@dataclass(frozen=True, slots=True)
class Replacement:
    """A key in the place of another: whose it is, until when it is valid, and until when the old one is."""

    tenant: str
    subject: str
    roles: tuple[str, ...]
    expires_at: datetime
    old_expires_at: datetime


class ApiKeys:
    """The keys of one database, on a connection of its owner or of a superuser."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def _fetch(self, name: str, *parameters: Any) -> list[Any]:
        return await self._connection.fetch(named("api_keys.sql")[name].template, *parameters)

    async def add(
        self, key_id: str, digest: bytes, tenant: str, subject: str, roles: Sequence[str], valid_days: int
    ) -> datetime:
        """Keep a new key; gives back when it expires."""
        rows = await self._fetch("insert_api_key", key_id, tenant, subject, list(roles), digest, valid_days)
        return rows[0]["expires_at"]

    async def all(self, tenant: str | None = None) -> list[ListedKey]:
        """The keys of one tenant, or of all (None), oldest first."""
        return [
            ListedKey(
                row["id"], row["tenant"], row["subject"], tuple(row["roles"]), row["state"],
                row["created_at"], row["expires_at"], row["replaced_by"],
            )
            for row in await self._fetch("list_api_keys", tenant)
        ]  # fmt: skip

    async def replace(
        self, key_id: str, new_id: str, digest: bytes, valid_days: int, overlap_hours: int
    ) -> Replacement | None:
        """Put a new key in the place of a live one; None where there is no live key of that id."""
        rows = await self._fetch("replace_api_key", key_id, new_id, digest, valid_days, overlap_hours)
        if not rows:
            return None
        row = rows[0]
        return Replacement(
            row["tenant"], row["subject"], tuple(row["roles"]), row["expires_at"], row["old_expires_at"]
        )

    async def revoke(self, key_id: str) -> str | None:
        """End a key now; gives back whose it was, None for an unknown one. Revoking twice changes nothing."""
        rows = await self._fetch("revoke_api_key", key_id)
        return rows[0]["subject"] if rows else None
