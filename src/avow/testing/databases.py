"""Databases for tests: a fresh one each time, cloned from a template that is made once for a declaration.

Those of `own_databases` are on a PostgreSQL of this process alone, which runs without fsync: what a crash
does to the disk isn't under test with them. Nothing of it is left when the process ends.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from avow.model.system import System
from avow.store import cluster as clusters
from avow.store import trial
from avow.store.cluster import Cluster
from avow.store.pool import with_login

SETTINGS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_compression": "off",
    "max_wal_size": "256MB",
    "max_connections": "100",
}
MEMORY: Final = Path("/dev/shm")
"""Where Linux keeps files in memory: a database of its many small files is made there many times quicker."""
MEMORY_BYTES_MIN: Final = 2**30


@dataclass(frozen=True, slots=True)
class Database:
    """One database with the tables of `system`. The urls hold passwords.

    admin_url: a superuser's, who may do what nobody may, such as edit rows by hand.
    application_url: of a member of the application role and of nothing else.
    """

    system: System
    name: str
    admin_url: str
    application_url: str


class Databases:
    """Makes databases on one server. May be used in a plain function and in a coroutine."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._templates = dict[bytes, str]()

    def make(self, system: System) -> Database:
        """A fresh database for a declaration; `drop` removes it."""
        if system.fingerprint not in self._templates:
            self._templates[system.fingerprint] = finish(trial.make_template(self.cluster, system))
        name = f"test_{secrets.token_hex(6)}"
        finish(trial.clone(self.cluster, self._templates[system.fingerprint], name))
        admin_url = self.cluster.url(name)
        application_url = with_login(admin_url, trial.login_of(system), trial.PASSWORD)
        return Database(system, name, admin_url, application_url)

    def drop(self, made: Database) -> None:
        """Remove a database, whoever uses it."""
        finish(trial.drop(self.cluster, made.name))


@cache
def own_databases() -> Databases:
    """Databases on a server of this process alone, started when it is first needed."""
    folder = Path(tempfile.mkdtemp(prefix="avow-test-", dir=_in_memory()))
    folder.chmod(0o755)  # as root, the server runs under another account
    home = folder / ".avow"
    lease = clusters.start(home, settings=SETTINGS)

    def end() -> None:
        lease.release()
        clusters.destroy(home)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return Databases(lease.cluster)


def _in_memory() -> Path | None:
    """A folder in memory with room enough; None where the usual one for temporary files has to do."""
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        return None
    return MEMORY if free >= MEMORY_BYTES_MIN and os.access(MEMORY, os.W_OK | os.X_OK) else None


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to its end, on a thread of its own: a test may have a loop running already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
