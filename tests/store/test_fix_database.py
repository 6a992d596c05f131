"""The databases that tests get: real, separate, and with the rights that serving has."""

from __future__ import annotations

from avow.store.pool import connect
from avow.store.schema.rights import demand_application_rights, demand_boundary
from examples.enrollment.system import app
from tests.fix_database import MakeDatabase


async def test_the_application_url_has_exactly_the_rights_that_serving_demands(
    database: MakeDatabase,
) -> None:
    connection = await connect(database(app).application_url)
    try:
        await demand_application_rights(connection, app)
        await demand_boundary(connection, app)
    finally:
        await connection.close()


async def test_two_databases_of_one_test_share_no_record(database: MakeDatabase) -> None:
    one, other = database(app), database(app)
    assert one.name != other.name
    connection = await connect(one.admin_url)
    try:
        await connection.execute("INSERT INTO avow.clock VALUES ('2026-11-21T00:00:00Z')")
    finally:
        await connection.close()
    connection = await connect(other.admin_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM avow.clock") == 0
    finally:
        await connection.close()
