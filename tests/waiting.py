"""Which statements wait for a lock, in SQL over pg_stat_activity."""

from __future__ import annotations

from avow.store.tables import SHARED_LOCK_WAIT_MS

WAITS = (
    "wait_event_type = 'Lock'"
    f" AND query_start < clock_timestamp() - interval '{2 * SHARED_LOCK_WAIT_MS} milliseconds'"
)
"""And will go on waiting: a shared commit would have given up by now, for each command to wait alone."""
