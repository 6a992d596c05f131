"""What most tests of the store begin with: the theatre, and somebody who may do anything there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from tests.fix_database import Database, MakeDatabase
from tests.receiver import receiving
from tests.store.invoice import invoices
from tests.store.office import MakeOffice, Office
from tests.store.payment import Outside, payments
from tests.store.shop import MakeShop, Shop
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


@pytest.fixture
def outside() -> Outside:
    """What stands in for the payments' provider."""
    return Outside()


@pytest.fixture
def shop(database: MakeDatabase, outside: Outside) -> MakeShop:
    """Makes a database of payments, with the options of its effect."""

    @asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[Shop]:
        system = payments(outside, **options)
        made = database(system)
        admin = await connect(made.admin_url)
        shop = Shop(system, made.application_url, admin, Pool(made.admin_url, 4))
        try:
            yield shop
        finally:
            await shop.pool.close()
            await shop.owners.close()
            await admin.close()

    return make


@pytest.fixture
def office(database: MakeDatabase) -> MakeOffice:
    @asynccontextmanager
    async def make(*, private: bool = True, **options: Any) -> AsyncIterator[Office]:
        system = invoices(**options)
        made = database(system)
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving())
            admin = await connect(made.admin_url)
            office = Office(system, made, admin, receiver, private)
            try:
                yield office
            finally:
                await office.pool.close()
                await admin.close()

    return make
