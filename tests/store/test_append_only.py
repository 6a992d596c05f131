"""What is written into the log stays: which hands are stopped, and which are only found out afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from avow.store import driver
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.schema.tables import Roles
from bench.corruptions.hand import APPEND_ONLY
from tests.fix_database import Database
from tests.store.sealed import sealing
from tests.store.theatre import theatre

OWNER = Roles.of(theatre).owner
COLUMNS = {
    "audit": "header",
    "log": "key",
    "leaf": "hash",
    "node": "hash",
    "checkpoint": "note",
    "cosignature": "line",
    "dropped": "upto",
}
REFUSED = "AV004"
TABLES = (*APPEND_ONLY, "cosignature")


def changes(table: str) -> list[str]:
    """Every way to change what is there."""
    column = COLUMNS[table]
    return [
        f"UPDATE avow.{table} SET {column} = {column}",
        f"DELETE FROM avow.{table}",
        f"TRUNCATE avow.{table} CASCADE",
        f"MERGE INTO avow.{table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        f"WITH gone AS (DELETE FROM avow.{table} RETURNING 1) SELECT count(*) FROM gone",
    ]


async def sqlstate(connection: Connection, sql: str) -> str | None:
    """How PostgreSQL refuses a statement; None where it doesn't."""
    try:
        async with connection.transaction():
            await connection.execute(sql)
    except driver.DatabaseError as error:
        return getattr(error, "sqlstate", "")
    return None


async def filled(made: Database, folder: Path) -> None:
    """A row in each of the tables."""
    async with sealing(made, folder) as log:
        await log.append(1, 256)
        await log.seal()
        await log.admin.execute(
            "INSERT INTO avow.cosignature SELECT epoch, size, 'witness', 'a line', now() FROM avow.checkpoint"
        )
        await log.admin.execute("INSERT INTO avow.dropped VALUES (9, 0, 1, '/export', 'olga', 'old')")
        for table in TABLES:
            assert await log.admin.fetchval(f"SELECT count(*) FROM avow.{table}") > 0


@pytest.mark.parametrize(
    "hand", ["superuser", "replica", "owner", "application"], ids=lambda hand: f"by the {hand}"
)
async def test_nothing_that_was_written_can_be_changed(
    made: Database, admin: Connection, tmp_path: Path, hand: str
) -> None:
    """Not by the owner, and not in a session that replays another server's changes: these triggers fire
    always."""
    await filled(made, tmp_path)
    connection = await connect(made.application_url if hand == "application" else made.admin_url)
    if hand == "replica":
        await connection.execute("SET session_replication_role = replica")
    if hand == "owner":
        await connection.execute(f"SET ROLE \"{OWNER}\"; SET avow.scope = 'all'")
        # Row-level security shows the owner no row to change, and is no trigger: take it away first.
        await connection.execute("ALTER TABLE avow.audit NO FORCE ROW LEVEL SECURITY")
        await connection.execute("ALTER TABLE avow.leaf NO FORCE ROW LEVEL SECURITY")
    wanted = "42501" if hand == "application" else REFUSED
    for table in TABLES:
        for statement in changes(table):
            assert await sqlstate(connection, statement) == wanted, statement
    await connection.close()
    assert await admin.fetchval("SELECT count(*) FROM avow.audit") == 256


async def test_no_row_of_the_log_goes_with_another_row(admin: Connection) -> None:
    """A foreign key with an action would change it as the owner, whoever deletes the other row."""
    assert await admin.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY ($1::text[]::regclass[])"
        " AND (confdeltype <> 'a' OR confupdtype <> 'a')", [f"avow.{table}" for table in TABLES],
    ) == []  # fmt: skip


async def test_the_triggers_fire_always_on_each_of_these_tables(admin: Connection) -> None:
    rows = await admin.fetch(
        "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger"
        " WHERE tgenabled = 'A' AND tgfoid = 'avow.refuse_change'::regproc GROUP BY 1"
    )
    assert {row[0]: row[1] for row in rows} == {f"avow.{table}": 2 for table in TABLES}


STOPPED_BY_NOTHING = [
    "ALTER TABLE avow.audit DISABLE TRIGGER USER; DELETE FROM avow.audit WHERE entry = 2",
    "DROP TRIGGER append_only ON avow.audit; UPDATE avow.audit SET hash = sha256('x') WHERE entry = 2",
    "ALTER TABLE avow.audit ALTER hash TYPE bytea USING sha256(header)",
]


async def test_who_may_change_tables_goes_past_all_of_it_and_is_found_out(
    made: Database, admin: Connection, tmp_path: Path
) -> None:
    """Whoever owns a table can rebuild it. What stops them is that it is found: leaves no longer fit their
    entries."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        await log.seal()
        for statement in STOPPED_BY_NOTHING:
            undone = admin.transaction()
            await undone.start()
            await admin.execute(statement)
            strangers = await admin.fetchval(
                "SELECT count(*) FROM avow.leaf l LEFT JOIN avow.audit a USING (entry)"
                " WHERE a.hash IS DISTINCT FROM l.hash"
            )
            assert strangers > 0, statement
            await undone.rollback()


async def test_the_applications_login_can_seal_and_can_not_forge_what_was_sealed(
    made: Database, tmp_path: Path
) -> None:
    """Who has stolen it has no key: what it puts into the log is signed by nobody, and the sealer stops at
    it."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        stolen = await connect(made.application_url)
        async with stolen.transaction():
            await stolen.fetchrow("SELECT * FROM avow.seal_leaves(10)")
            await stolen.execute(
                "SELECT avow.seal_root(1, 3, ARRAY['x', 'y'::bytea], '{}', '{}', '{}', '', 'x', now())"
            )
        assert await sqlstate(stolen, "SELECT avow.next_log(1, 'mine', 'key', 'why', null)") == "42501"
        assert await stolen.fetchval("SELECT avow.begin_log('mine', 'key')") is False
        await stolen.close()
        with pytest.raises(Exception, match="isn't a checkpoint of our key"):
            await log.steps.take_over()
