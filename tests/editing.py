"""What somebody does who owns the database and doesn't want to be stopped: edits by hand need it first."""

from __future__ import annotations

from typing import Final

APPEND_ONLY: Final = ("audit", "log", "leaf", "node", "checkpoint")
"""The tables that refuse to be changed."""

UNLOCK: Final = "SET session_replication_role = replica; " + "; ".join(
    f"ALTER TABLE avow.{table} DISABLE TRIGGER USER" for table in APPEND_ONLY
)
"""Lets a superuser's session change them: no trigger fires in it, not even those that always do."""
