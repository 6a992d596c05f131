"""What somebody does who owns the database and doesn't want to be stopped, and how it is undone."""

from __future__ import annotations

from typing import Any, Final

APPEND_ONLY: Final = ("audit", "log", "leaf", "node", "checkpoint", "cosignature", "dropped")
"""The tables that refuse to be changed."""

UNLOCK: Final = "SET session_replication_role = replica; " + "; ".join(
    f"ALTER TABLE avow.{table} DISABLE TRIGGER USER" for table in APPEND_ONLY
)
"""Lets a superuser's session change them, as if nothing refused."""

_TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'"


class Backup:
    """A copy of what edits by hand change: tables of Avow, and an application's own. Needs a superuser."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema
        self._tables = list[str]()

    async def take(self) -> None:
        """Copy everything, and let this session change it from now on."""
        named = await self._connection.fetch(_TABLES, self._schema)
        self._tables = [f'"{self._schema}"."{row[0]}"' for row in named]
        self._tables += [f"avow.{table}" for table in (*APPEND_ONLY, "log_state", "payload", "edge")]
        await self._connection.execute(UNLOCK)
        for place, table in enumerate(self._tables):
            await self._connection.execute(f"CREATE TABLE public.backup_{place} AS TABLE {table}")

    async def restore(self) -> None:
        """Bring everything back."""
        statements = [
            f"DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE public.backup_{place}"
            for place, table in enumerate(self._tables)
        ]
        await self._connection.execute("BEGIN; " + "; ".join(statements) + "; COMMIT")


class Joined:
    """A connection on which a verification reads in the transaction that is open, and doesn't end it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, sql: str) -> Any:
        """Do it, but for beginning and ending."""
        return None if sql.startswith(("BEGIN", "ROLLBACK")) else await self._connection.execute(sql)
