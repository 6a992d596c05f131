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

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from avow.model.system import System
from avow.store import cluster as clusters
from avow.store.cluster import Cluster
from avow.store.install import create_database, install, login
from avow.store.pool import connect

SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}
PASSWORD = "of a test"


@dataclass(frozen=True, slots=True)
class Database:
    """One database with the tables of `system`. The urls hold passwords."""

    system: System
    name: str
    admin_url: str
    application_url: str


MakeDatabase: TypeAlias = Callable[[System], Database]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of this test session alone."""
    folder = Path(tempfile.mkdtemp(prefix="avow-test-"))
    folder.chmod(0o755)  # as root, the server runs under another account
    home = folder / ".avow"
    try:
        with clusters.start(home, settings=SETTINGS) as lease:
            yield lease.cluster
    finally:
        clusters.destroy(home)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _templates() -> dict[bytes, str]:
    """The databases that are cloned, by the fingerprint of their declaration."""
    return {}


@pytest.fixture
def database(cluster: Cluster, _templates: dict[bytes, str]) -> Iterator[MakeDatabase]:
    """Makes databases with the tables of a declaration; they are dropped after the test."""
    made = list[str]()

    def make(system: System) -> Database:
        if system.fingerprint not in _templates:
            _templates[system.fingerprint] = _finish(_make_template(cluster, system))
        name = f"test_{secrets.token_hex(6)}"
        template = _templates[system.fingerprint]
        _finish(_execute(cluster, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        made.append(name)
        admin_url = cluster.url(name)
        return Database(system, name, admin_url, with_login(admin_url, _login_of(system), PASSWORD))

    yield make
    for name in made:
        _finish(_execute(cluster, f'DROP DATABASE "{name}" WITH (FORCE)'))


def with_login(url: str, name: str, password: str) -> str:
    """The same address with another login."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(name)}:{quote(password)}@{where}"))


def _login_of(system: System) -> str:
    return f"{system.name}_test"


async def _make_template(cluster: Cluster, system: System) -> str:
    name = f"template_{system.fingerprint.hex()[:16]}"
    server = await connect(cluster.url())
    try:
        await create_database(server, name)
    finally:
        await server.close()
    connection = await connect(cluster.url(name))
    try:
        await install(connection, system)
        await login(connection, system, _login_of(system), PASSWORD)
    finally:
        await connection.close()
    return name


async def _execute(cluster: Cluster, statement: str) -> None:
    connection = await connect(cluster.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to its end, on a thread of its own: a test may have a loop running already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
