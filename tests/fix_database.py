"""Databases for tests: one real PostgreSQL per session, one fresh database per test that asks for one.

    def test_something(database: MakeDatabase) -> None:
        made = database(app)             # tables of the declaration, made once and cloned
        made.admin_url                   # a superuser: may do what nobody may, such as edit rows by hand
        made.application_url             # a member of the application role and of nothing else

`database` may be called in a plain test and in an async one, and several times in one test. `cluster` is the
server itself, for tests that need a database without tables. The server runs without fsync: what a crash does
to the disk isn't under test with these. Nothing of it is left afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from avow.model.system import System
from avow.store.pool import with_login
from avow.store.server.cluster import Cluster
from avow.testing.databases import Database, Databases, own_databases

__all__ = ["Database", "MakeDatabase", "with_login"]

MakeDatabase: TypeAlias = Callable[[System], Database]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture(scope="session")
def databases() -> Databases:
    """The databases of this test session alone."""
    return own_databases()


@pytest.fixture(scope="session")
def cluster(databases: Databases) -> Cluster:
    """The server that they are on."""
    return databases.cluster


@pytest.fixture
def database(databases: Databases) -> Iterator[MakeDatabase]:
    """Makes databases with the tables of a declaration; they are dropped after the test."""
    made = list[Database]()

    def make(system: System) -> Database:
        made.append(databases.make(system))
        return made[-1]

    yield make
    for one in made:
        databases.drop(one)
