"""Databases for tests: a fresh one each time, cloned from a template that is made once for a declaration.

Those of `own_databases` are on a PostgreSQL of this process alone, which runs without fsync: what a crash
does to the disk isn't under test with them. Nothing of it is left when the process ends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from avow.model.system import System
from avow.store.pool import with_login
from avow.store.server.cluster import Cluster
from avow.store.trials import trial


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
            made = trial.make_template(self.cluster, system, trial.account_of(system))
            self._templates[system.fingerprint] = finish(made)
        name = f"test_{secrets.token_hex(6)}"
        finish(trial.clone(self.cluster, self._templates[system.fingerprint], name))
        admin_url = self.cluster.url(name)
        application_url = with_login(admin_url, *trial.account_of(system))
        return Database(system, name, admin_url, application_url)

    def drop(self, made: Database) -> None:
        """Remove a database, whoever uses it."""
        finish(trial.drop(self.cluster, made.name))


@cache
def own_databases() -> Databases:
    """Databases on a server of this process alone, started when it is first needed."""
    return Databases(trial.own_server())


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to its end, on a thread of its own: a test may have a loop running already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
