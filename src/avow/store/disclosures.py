"""What is kept of private values, encrypted, and the wrapped keys of persons. Nothing here can decrypt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from avow.errors import EnvironmentFault
from avow.store import driver
from avow.store.pool import Pool
from avow.store.statements import text


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A person's key as it is stored: encrypted with the key of keys that is called `kek`."""

    id: UUID
    wrapped: bytes
    kek: str


@dataclass(frozen=True, slots=True)
class StoredDisclosure:
    """What stands behind one digest. key: None once it was erased, by the entry `erased_at`."""

    field: str
    digest: str
    nonce: bytes
    ciphertext: bytes
    subject: str
    key: WrappedKey | None
    erased_at: int | None


class Disclosures:
    """Reads what is behind digests, and keeps the keys of persons."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep_key(self, tenant: str, subject: str, fresh: WrappedKey) -> WrappedKey:
        """The key of a person: the one that there is, or else the fresh one, which is kept then.

        Raises EnvironmentFault where the key of keys that it is under was retired.
        """
        statement = text("disclosures.sql", "keep_key")
        async with self._pool.borrow() as connection:
            try:
                row = await connection.fetchrow(
                    statement, tenant, subject, fresh.id, fresh.wrapped, fresh.kek
                )
            except driver.IntegrityBroken:
                raise EnvironmentFault(
                    "private-key-retired",
                    f"the key {fresh.kek[:40]} of private values, which this process uses, was retired",
                    "Put the file of private keys in place that `avow keys rotate-private` has written.",
                ) from None
        return WrappedKey(row["key"], row["wrapped"], row["kek"])

    async def key_of(self, tenant: str, subject: str) -> WrappedKey | None:
        """The key of a person; None where there is none yet."""
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(text("disclosures.sql", "key_of"), tenant, subject)
        return None if row is None else WrappedKey(row["key"], row["wrapped"], row["kek"])

    async def key(self, tenant: str, key: UUID) -> WrappedKey | None:
        """A key that is there still."""
        async with self._pool.borrow() as connection:
            row = await connection.fetchrow(text("disclosures.sql", "key"), tenant, key)
        return None if row is None else WrappedKey(row["key"], row["wrapped"], row["kek"])

    async def read(
        self, tenant: str, kind: str, record: UUID, digests: Collection[str]
    ) -> list[StoredDisclosure]:
        """What stands behind these digests in the entries of one record."""
        async with self._pool.borrow() as connection:
            rows = await connection.fetch(
                text("disclosures.sql", "disclosures"), tenant, kind, record, list(digests)
            )
        return [stored_of(row) for row in rows]


def stored_of(row: Any) -> StoredDisclosure:
    """What stands behind a digest, from a row of it joined with its key."""
    key = None if row["key"] is None else WrappedKey(row["key"], row["wrapped"], row["kek"])
    return StoredDisclosure(
        field=row["field"], digest=row["digest"], nonce=row["nonce"] or b"",
        ciphertext=row["ciphertext"] or b"", subject=row["subject"] or "", key=key,
        erased_at=row["erased_at"],
    )  # fmt: skip
