"""What most tests of the store begin with: the theatre, and somebody who may do anything there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from avow.store.driver import Connection
from avow.store.pool import connect
from tests.fix_database import Database, MakeDatabase
from tests.store.theatre import theatre


@pytest.fixture
def made(database: MakeDatabase) -> Database:
    """A database with the tables of the theatre, and nothing in them."""
    return database(theatre)


@pytest.fixture
async def admin(made: Database) -> AsyncIterator[Connection]:
    """A superuser's connection to it."""
    connection = await connect(made.admin_url)
    yield connection
    await connection.close()
