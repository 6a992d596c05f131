"""What each of the three roles can do beside avow.commit: nothing that writes, nothing of another tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from avow.errors import EnvironmentFault
from avow.store import driver
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.schema.rights import demand_application_rights, demand_running_clock
from avow.store.schema.tables import Roles
from tests.acting import acting
from tests.fix_database import Database, MakeDatabase, with_login
from tests.store.theatre import theatre

ROLES = Roles.of(theatre)
TABLES = (
    "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname IN ('avow', 'theatre') AND c.relkind = 'r' ORDER BY 1"
)
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"


@pytest.fixture
async def made(database: MakeDatabase) -> Database:
    """One hall in each of two tenants, and one refusal."""
    made = database(theatre)
    async with acting(made) as people:
        for tenant in ("main", "other"):
            hall = await people.do("Hall", "found", None, {"name": tenant, "places": 0}, "ann", tenant=tenant)
            refused = await people.attempt("Hall", "sell_one", hall, {}, "ann", tenant=tenant)
            assert refused.body == b"invariant-violated"
    return made


@pytest.fixture
async def served(made: Database) -> AsyncIterator[Connection]:
    """The application's login."""
    connection = await connect(made.application_url)
    yield connection
    await connection.close()


async def refused(connection: Connection, sql: str) -> bool:
    """Whether PostgreSQL denies the right to a statement."""
    try:
        async with connection.transaction():
            await connection.execute(sql)
    except driver.InsufficientPrivilege:
        return True
    return False


def writes(table: str, columns: list[str]) -> list[str]:
    """Every way to write a table, or one column of it."""
    named = [f'UPDATE {table} SET "{column}" = DEFAULT' for column in columns]
    inserted = [f'INSERT INTO {table} ("{column}") VALUES (DEFAULT)' for column in columns]
    return [
        f"DELETE FROM {table}", f"TRUNCATE {table}", f"INSERT INTO {table} DEFAULT VALUES", *named, *inserted,
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"DROP TABLE {table}", f"CREATE POLICY all_rows ON {table} USING (true)",
        f"LOCK TABLE {table} IN EXCLUSIVE MODE",
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["application", "reader"])
async def test_no_table_or_column_can_be_written_changed_or_locked(
    made: Database, admin: Connection, role: str
) -> None:
    tables = [row[0] for row in await admin.fetch(TABLES)]
    assert {"theatre.halls", "avow.audit", "avow.clock", "avow.api_key"} <= set(tables)
    connection = await connect(made.application_url) if role == "application" else await _reader(made, admin)
    allowed = list[str]()
    for table in tables:
        columns = [row[0] for row in await admin.fetch(COLUMNS, table)]
        allowed += [sql for sql in writes(table, columns) if not await refused(connection, sql)]
    await connection.close()
    assert allowed == []


async def _reader(made: Database, admin: Connection) -> Connection:
    await admin.execute("DROP ROLE IF EXISTS theatre_bi")
    await admin.execute(f"CREATE ROLE theatre_bi LOGIN PASSWORD 'of a test' IN ROLE {ROLES.reader}")
    return await connect(with_login(made.admin_url, "theatre_bi", "of a test"))


FORBIDDEN = [
    f"SET ROLE {ROLES.owner}", f"SET ROLE {ROLES.reader}", f"SET SESSION AUTHORIZATION {ROLES.owner}",
    "SET session_replication_role = replica", "CREATE ROLE mine", "CREATE SCHEMA mine",
    "CREATE TABLE theatre.mine (a int)", "CREATE TABLE avow.mine (a int)",
    f"ALTER ROLE {ROLES.application} BYPASSRLS", f"GRANT {ROLES.owner} TO {ROLES.application}",
    "ALTER FUNCTION avow.commit SECURITY INVOKER", "DROP FUNCTION avow.tenant() CASCADE",
    "SELECT avow.apply_entries('main', '{}', '{}', '{}', true, true)",
    "SELECT avow.append_entries('main', '{}', '{}', '{}', '{}', '{}', now(), NULL)",
    "SELECT avow.keep_answers('main', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', now())",
    "SELECT avow.demand_quotas('main', null)",
    "SELECT avow.keep_disclosures('main', '{}', '[]')", "SELECT avow.erase_subjects('main', '{}')",
    "SELECT avow.forget_private('main', 'ann', 'Hall', gen_random_uuid(), 1)",
    "SELECT avow.rewrap_key('main', gen_random_uuid(), '', '', '')",
    "SELECT avow.hold_subject('main', 'ann', false, 'eve', 'x')", "SELECT * FROM avow.legal_hold",
    "SELECT avow.lock_versions('main', '{}', '{}', '{}', '{}', '{}')",
    "SELECT nextval('avow.audit_entry_seq')", "SELECT setval('avow.audit_entry_seq', 1)",
    "SELECT * FROM avow.api_key", "SELECT * FROM avow.refusal", "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT * FROM theatre.halls FOR UPDATE",
]  # fmt: skip


async def test_the_application_can_become_nobody_else_and_change_nothing(served: Connection) -> None:
    assert [sql for sql in FORBIDDEN if not await refused(served, sql)] == []


async def test_whoever_names_no_tenant_sees_no_row(
    made: Database, served: Connection, admin: Connection
) -> None:
    reader = await _reader(made, admin)
    for connection in (served, reader):
        for table in ("theatre.halls", "avow.audit", "avow.payload"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        await connection.execute("SET avow.scope = 'all'")
        assert await connection.fetchval("SELECT count(*) FROM theatre.halls") == 0
    await reader.close()


async def test_the_reader_reads_the_rows_of_the_tenant_that_it_names(
    made: Database, admin: Connection
) -> None:
    reader = await _reader(made, admin)
    await reader.execute("SET avow.tenant = 'other'")
    assert await reader.fetchval("SELECT array_agg(name) FROM theatre.halls") == ["other"]
    assert await reader.fetchval("SELECT array_agg(tenant) FROM avow.refusal") == ["other"]
    assert await refused(reader, "SELECT * FROM avow.idempotency")
    assert await refused(reader, "SELECT avow.lock_records('other', '{}', '{}', '{}')")
    await reader.close()


async def test_the_owner_is_under_row_level_security_too(admin: Connection) -> None:
    """Forced: a forgotten WHERE in maintenance touches no other tenant."""
    async with admin.transaction():
        await admin.execute(f"SET LOCAL ROLE {ROLES.owner}")
        assert await admin.fetchval("SELECT count(*) FROM theatre.halls") == 0
        await admin.execute("SET LOCAL avow.tenant = 'main'")
        assert await admin.execute("UPDATE theatre.halls SET places = 7") == "UPDATE 1"
        await admin.execute("SET LOCAL avow.scope = 'all'")
        assert await admin.fetchval("SELECT count(*) FROM theatre.halls") == 2
        assert await admin.execute("UPDATE theatre.halls SET places = 8") == "UPDATE 1"


async def test_every_table_of_a_tenant_has_forced_row_level_security(admin: Connection) -> None:
    bare = await admin.fetch(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'"
        " WHERE n.nspname IN ('avow', 'theatre') AND c.relkind = 'r'"
        " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
    )  # fmt: skip
    assert [row[0] for row in bare] == ["avow.api_key"]  # which nobody but the owner has any right to


LOGIN = "theatre_test"
SURPLUS = {
    f"ALTER ROLE {LOGIN} SUPERUSER": "is a superuser",
    f"ALTER ROLE {LOGIN} BYPASSRLS": "bypasses row-level security",
    f"ALTER ROLE {LOGIN} CREATEROLE": "may create roles",
    f"ALTER ROLE {LOGIN} CREATEDB": "may create databases",
    f"ALTER ROLE {LOGIN} REPLICATION": "may replicate",
    f"GRANT {ROLES.owner} TO {LOGIN}": "is a member of the owner role",
    f"GRANT pg_execute_server_program TO {LOGIN}": "may reach the server's files",
    f"GRANT pg_write_all_data TO {LOGIN}": "predefined role",
    f"GRANT INSERT ON theatre.halls TO {LOGIN}": "may write tables directly",
    f"GRANT UPDATE (places) ON theatre.halls TO {LOGIN}": "may write tables directly",
    f"GRANT TRIGGER ON avow.audit TO {ROLES.application}": "may write tables directly",
    "GRANT DELETE ON avow.idempotency TO PUBLIC": "may write tables directly",
    f"GRANT UPDATE ON SEQUENCE avow.audit_entry_seq TO {LOGIN}": "may write tables directly",
    f"ALTER TABLE theatre.halls OWNER TO {LOGIN}": "owns tables",
    f"GRANT CREATE ON SCHEMA theatre TO {LOGIN}": "may create objects",
    f"GRANT SELECT (digest) ON avow.api_key TO {LOGIN}": "may read the API keys",
}


@pytest.mark.parametrize("grant", SURPLUS)
async def test_a_login_with_one_right_too_many_is_refused_by_name(
    made: Database, admin: Connection, grant: str
) -> None:
    connection = await connect(made.application_url)
    transaction = admin.transaction()
    try:
        await demand_application_rights(connection, theatre)
        # Roles belong to the whole server: a right that is never committed can't reach another test.
        await transaction.__aenter__()
        await admin.execute(f"{grant}; SET LOCAL SESSION AUTHORIZATION {LOGIN}")
        with pytest.raises(EnvironmentFault, match=SURPLUS[grant]) as fault:
            await demand_application_rights(admin, theatre)
        assert fault.value.code == "rights-too-wide"
    finally:
        await admin.execute("ROLLBACK")
        await connection.close()


async def test_the_owner_of_the_database_is_refused(made: Database, admin: Connection) -> None:
    async with admin.transaction():
        await admin.execute(
            f'ALTER DATABASE "{made.name}" OWNER TO {LOGIN}; SET LOCAL SESSION AUTHORIZATION {LOGIN}'
        )
        with pytest.raises(EnvironmentFault, match="owns the database"):
            await demand_application_rights(admin, theatre)
        await admin.execute("RESET SESSION AUTHORIZATION")
        await admin.execute(f'ALTER DATABASE "{made.name}" OWNER TO CURRENT_USER')


async def test_a_login_that_is_no_member_is_told_which_grant_it_needs(
    made: Database, admin: Connection
) -> None:
    async with admin.transaction():
        await admin.execute(
            "CREATE ROLE theatre_stranger LOGIN; SET LOCAL SESSION AUTHORIZATION theatre_stranger"
        )
        with pytest.raises(EnvironmentFault) as fault:
            await demand_application_rights(admin, theatre)
        await admin.execute("RESET SESSION AUTHORIZATION; DROP ROLE theatre_stranger")
    assert (fault.value.code, fault.value.mend) == (
        "rights-missing", f"GRANT {ROLES.application} TO theatre_stranger;",
    )  # fmt: skip


async def test_a_fixed_clock_is_refused_for_serving(served: Connection, admin: Connection) -> None:
    """Also where it is fixed to this very moment."""
    await demand_running_clock(served)
    await admin.execute("INSERT INTO avow.clock VALUES (clock_timestamp())")
    with pytest.raises(EnvironmentFault, match="fixed"):
        await demand_running_clock(served)
