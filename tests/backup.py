"""The tables of one small database as they are now, to be brought back after each edit by hand."""

from __future__ import annotations

from typing import Any

from tests.editing import APPEND_ONLY, UNLOCK


class Backup:
    """A copy of the tables of Avow that edits change, and of an application's own. For a superuser's
    connection."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema
        self._tables = list[str]()

    async def take(self) -> None:
        """Copy everything, and let this session change it from now on."""
        named = await self._connection.fetch(
            "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'",
            self._schema,
        )
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
