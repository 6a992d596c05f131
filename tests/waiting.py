"""Which sessions wait for a lock, in SQL over pg_stat_activity."""

from __future__ import annotations

from avow.store.schema.functions import SHARED_LOCK_WAIT_MS

WAITS = (
    "pid IN (SELECT pid FROM pg_locks WHERE NOT granted"
    f" AND waitstart < clock_timestamp() - interval '{3 * SHARED_LOCK_WAIT_MS} milliseconds')"
)
"""And will go on waiting: a shared commit gives a wait up sooner than that, for each command to wait alone.
Counted from when it began to wait for this lock, however long its statement has been under way by then."""
