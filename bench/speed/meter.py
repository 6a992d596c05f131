"""What a round cost beside its time: CPU of the application and of PostgreSQL, write-ahead log."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from avow.store.driver import Connection
from bench.speed import processes
from bench.speed.database import entries_after, last_entry, quiet, wal_position
from bench.speed.sample import Sample


class UnaccountedFor(Exception):
    """The audit log holds fewer or more entries than commands were acknowledged."""


@dataclasses.dataclass(frozen=True)
class Meter:
    """Measures rounds of one application. `application`: the process at the head of its tree."""

    database: Connection
    postmaster: int
    application: int

    async def measure(self, round_of: Callable[[], Awaitable[Sample]]) -> Sample:
        """Run a round and add its costs to what it says."""
        wal = await wal_position(self.database)
        postgres, python = processes.cpu_s(self.postmaster), processes.cpu_s(self.application)
        sample = await round_of()
        python = processes.cpu_s(self.application) - python
        postgres = processes.cpu_s(self.postmaster) - postgres
        wal = await wal_position(self.database) - wal
        return dataclasses.replace(
            sample,
            python_us=1e6 * python / sample.commands,
            postgres_us=1e6 * postgres / sample.commands,
            wal_bytes=wal / sample.commands,
        )


async def accounted(
    database: Connection, under_way_max: int, round_of: Callable[[], Awaitable[Sample]]
) -> Sample:
    """Run a round of commands and settle the account: one audit entry for each acknowledged command.

    under_way_max: requests that may have been committed without their answer being counted, because the
    load generator had stopped. Raises UnaccountedFor.
    """
    await quiet(database)
    before = await last_entry(database)
    sample = await round_of()
    await quiet(database)
    entries = await entries_after(database, before)
    if not 0 <= entries - sample.commands <= under_way_max:
        raise UnaccountedFor(f"{sample.commands} commands were acknowledged, {entries} entries written")
    return sample
