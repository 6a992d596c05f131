"""docs/reference/tables.md says what a fresh database has: tables, columns, functions, rights."""

from __future__ import annotations

import re
from pathlib import Path

from avow.store.driver import Connection
from avow.store.schema.tables import Roles
from tests.store.theatre import theatre

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "tables.md").read_text()
GLOSSARY = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+?) \|", re.MULTILINE)
COLUMNS = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def test_every_table_of_avow_is_described_with_all_its_columns(admin: Connection) -> None:
    parts = re.split(r"^### (avow\.\w+)\n", PAGE, flags=re.MULTILINE)
    described = {
        name: ROW.findall(text.split("\n## ")[0]) for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    tables = await admin.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'avow'::regnamespace AND relkind = 'r'"
    )
    assert described == {t[0]: [tuple(row) for row in await admin.fetch(COLUMNS, t[0])] for t in tables}


async def test_the_columns_of_every_entity_are_described(admin: Connection) -> None:
    section = PAGE.split("## An entity's table")[1].split("| Field |")[0]
    held = [tuple(row) for row in await admin.fetch(COLUMNS, "theatre.halls")]
    assert ROW.findall(section) == held[: len(held) - len(theatre.entities["Hall"].fields)]
    assert [row[0] for row in await admin.fetch(COLUMNS, "theatre.tickets")][-1] == "by_check"


async def test_the_functions_that_each_role_may_execute_are_described(admin: Connection) -> None:
    described = {
        name: set(roles.split(", "))
        for name, roles in re.findall(r"^\| `avow\.(\w+)\([^`]*\)` \| ([^|]+) \|", PAGE, re.MULTILINE)
    }
    roles = {"application": Roles.of(theatre).application, "reader": Roles.of(theatre).reader}
    held: dict[str, set[str]] = {}
    for short, role in roles.items():
        for row in await admin.fetch(
            "SELECT proname::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
            " WHERE pronamespace = 'avow'::regnamespace AND l.lanname IN ('sql', 'plpgsql')"
            " AND has_function_privilege($1, p.oid, 'EXECUTE')", role,
        ):  # fmt: skip
            held.setdefault(row[0], set()).add(short)
    assert described == held


async def test_the_tables_that_each_role_may_read_are_described(admin: Connection) -> None:
    for short in ("application", "reader"):
        row = re.search(rf"^\| `NAME_{short}` \| ([^|]+) \|", PAGE, re.MULTILINE)
        assert row is not None
        held = await admin.fetch(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'avow'::regnamespace AND relkind = 'r'"
            " AND has_table_privilege($1, oid, 'SELECT')", f"theatre_{short}",
        )  # fmt: skip
        assert set(re.findall(r"`([a-z_]+)`", row[1])) == {r[0] for r in held}


async def test_every_table_of_avow_stands_in_the_glossary(admin: Connection) -> None:
    """One noun for each thing: the table's name belongs to one of its entries."""
    names = await admin.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'avow'::regnamespace"
    )
    assert {name for (name,) in names if f"`avow.{name}`" not in GLOSSARY} == set()
