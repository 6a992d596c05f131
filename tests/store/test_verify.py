"""Whatever a superuser edits, removes, swaps or adds in the log or in the rows is found, by record and field.

Each case is one SQL statement by hand on a real database; `verify` then says what it says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from avow.engine.verify import Verification, verify
from avow.errors import UsageError
from avow.store.pool import connect
from bench.corruptions.hand import UNLOCK
from examples.enrollment.system import app
from tests.acting import acting
from tests.fix_database import Database, MakeDatabase, with_login

ESSAY = "because " * 400
"""Long enough to stand outside of its entry."""

PLACE = "WHERE kind = 'Enrollment' AND version = {version}"
EDIT = f"UPDATE avow.audit SET header = convert_to({{text}}, 'UTF8') {PLACE}"
HEADER = "convert_from(header, 'UTF8')"
FORGED_LINK = f"UPDATE avow.audit SET hash = sha256('\\x00'::bytea || header) {PLACE}"


@dataclass(frozen=True)
class Edit:
    """One edit by hand, and a finding that it must lead to: code, kind, version, field."""

    sql: str
    code: str
    kind: str = "Enrollment"
    version: int = 4
    field: str = ""


def header_edit(version: int, old: str, new: str) -> str:
    return EDIT.format(text=f"replace({HEADER}, '{old}', '{new}')", version=version)


EDITS = {
    "a value": Edit("UPDATE enrollment.courses SET title = 'Latin'", "value-edited", "Course", 2, "title"),
    "a number": Edit("UPDATE enrollment.courses SET seats = 99", "value-edited", "Course", 2, "seats"),
    "a long value": Edit(
        "UPDATE enrollment.enrollments SET essay = essay || '!'", "value-edited", field="essay"
    ),
    "the state": Edit("UPDATE enrollment.enrollments SET state = 'rejected'", "state-edited", field="state"),
    "the version": Edit(
        "UPDATE enrollment.enrollments SET version = 7", "version-edited", field="version"
    ),
    "the version, back": Edit(
        "UPDATE enrollment.enrollments SET version = 2", "version-edited", field="version"
    ),
    "the head": Edit("UPDATE enrollment.enrollments SET head = sha256('x')", "head-edited", field="head"),
    "the time of change": Edit(
        "UPDATE enrollment.enrollments SET changed_at = changed_at - interval '1 microsecond'", "time-edited",
        field="changed_at",
    ),
    "the time of change, to never": Edit(
        "UPDATE enrollment.enrollments SET changed_at = 'infinity'", "time-edited", field="changed_at"
    ),
    "the boundary": Edit(
        "UPDATE enrollment.enrollments SET boundary = sha256('x')", "boundary-edited", field="boundary"
    ),
    "a performer": Edit(
        "UPDATE enrollment.enrollments SET by_verify = '{dean}'", "performers-edited", field="by_verify"
    ),
    "a performer, away": Edit(
        "UPDATE enrollment.enrollments SET by_verify = NULL", "performers-edited", field="by_verify"
    ),
    "a row, away": Edit("DELETE FROM enrollment.enrollments", "row-missing"),
    "a row without history": Edit(
        """INSERT INTO enrollment.courses SELECT tenant, '00000000-0000-7000-8000-000000000001', state,
           version, head, boundary, changed_at, title, seats, taken FROM enrollment.courses""",
        "history-missing", "Course", 2,
    ),
    "a header": Edit(header_edit(3, '"registrar"', '"president"'), "entry-altered", version=3),
    "a header's spaces": Edit(EDIT.format(text=f"{HEADER} || ' '", version=3), "entry-altered", version=3),
    "a header, to nonsense": Edit(EDIT.format(text="'no header'", version=3), "entry-unreadable", version=3),
    "a header, to an array": Edit(EDIT.format(text="'[]'", version=3), "entry-unreadable", version=3),
    "a hash": Edit(
        "UPDATE avow.audit SET hash = sha256('x') WHERE kind = 'Enrollment' AND version = 3", "entry-altered",
        version=3,
    ),
    "a header with its hash": Edit(
        f"{header_edit(3, 'registrar', 'president')}; {FORGED_LINK.format(version=3)}", "link-broken"
    ),
    "the newest header with its hash": Edit(
        f"{header_edit(4, 'dean', 'duke')}; {FORGED_LINK.format(version=4)}", "head-edited", field="head"
    ),
    "an entry in the middle, away": Edit(
        "DELETE FROM avow.audit WHERE kind = 'Enrollment' AND version = 2", "entry-missing", version=2
    ),
    "the first entry, away": Edit(
        "DELETE FROM avow.audit WHERE kind = 'Enrollment' AND version = 1", "entry-missing", version=1
    ),
    "the newest entry, away": Edit(
        "DELETE FROM avow.audit WHERE kind = 'Enrollment' AND version = 4", "entry-missing"
    ),
    "all entries of a record, away": Edit(
        "DELETE FROM avow.audit WHERE kind = 'Enrollment'", "history-missing"
    ),
    "two entries, swapped": Edit(
        """UPDATE avow.audit a SET header = b.header, hash = b.hash FROM avow.audit b
           WHERE a.kind = 'Enrollment' AND b.kind = 'Enrollment' AND a.version + b.version = 5
             AND a.version IN (2, 3)""",
        "entries-swapped", version=2,
    ),
    "two entries' numbers, swapped": Edit(
        """CREATE TEMP TABLE n AS SELECT max(entry) AS high, min(entry) AS low FROM avow.audit
               WHERE kind = 'Enrollment' AND version IN (2, 3);
           ALTER TABLE avow.audit ALTER entry DROP IDENTITY;
           UPDATE avow.audit SET entry = -1 FROM n WHERE entry = low;
           UPDATE avow.audit SET entry = low FROM n WHERE entry = high;
           UPDATE avow.audit SET entry = high FROM n WHERE entry = -1""",
        "entry-reordered", version=3,
    ),
    "an entry, to another record": Edit(
        """UPDATE avow.audit a SET header = b.header, hash = b.hash FROM avow.audit b
           WHERE a.kind = 'Enrollment' AND a.version = 1 AND b.kind = 'Course' AND b.version = 1""",
        "entry-misplaced", version=1,
    ),
    "a record's id, in its row and in all its entries": Edit(
        """UPDATE avow.audit SET id = '00000000-0000-7000-8000-000000000001' WHERE kind = 'Enrollment';
           UPDATE enrollment.enrollments SET id = '00000000-0000-7000-8000-000000000001'""",
        "entry-misplaced", version=1,
    ),
    "a record's tenant, in its row and in all its entries": Edit(
        """UPDATE avow.audit SET tenant = 'other' WHERE kind = 'Course';
           UPDATE enrollment.courses SET tenant = 'other'""",
        "entry-misplaced", "Course", 1,
    ),
    "an entry of an unknown kind": Edit(
        """INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
           SELECT tenant, 'Ghost', id, version, header, hash FROM avow.audit WHERE kind = 'Course'""",
        "kind-unknown", "Ghost", 0,
    ),
    "an entry's time": Edit(
        "UPDATE avow.audit SET at = at + interval '1 hour' WHERE kind = 'Enrollment' AND version = 2",
        "entry-time", version=2, field="at",
    ),
    "a long value kept aside": Edit(
        "UPDATE avow.payload SET data = data || '!'", "payload-altered", version=2, field="essay"
    ),
    "a long value kept aside, away": Edit(
        "DELETE FROM avow.payload", "payload-missing", version=2, field="essay"
    ),
    "a boundary's description": Edit(
        """ALTER TABLE avow.boundary DROP CONSTRAINT boundary_check;
           UPDATE avow.boundary SET description = description || ' '""",
        "boundary-altered", "", 0,
    ),
    "the transitions that commits are checked against": Edit(
        "INSERT INTO avow.edge SELECT boundary, kind, 'skip', 'draft', 'approved' FROM avow.edge LIMIT 1",
        "edges-edited", "", 0,
    ),
    "a table beside the entities'": Edit(
        "CREATE TABLE enrollment.shadows (id uuid)", "table-unknown", "", 0
    ),
    "a table that is read as a part of an entity's": Edit(
        """CREATE TABLE public.shadow () INHERITS (enrollment.courses);
           INSERT INTO public.shadow SELECT * FROM ONLY enrollment.courses;
           UPDATE public.shadow SET title = 'Latin'""",
        "table-unknown", "", 0,
    ),
    "a boundary that describes nothing": Edit(
        "INSERT INTO avow.boundary (fingerprint, description) VALUES (sha256('{}'), '{}')",
        "boundary-altered", "", 0,
    ),
    "a boundary that describes something else": Edit(
        """INSERT INTO avow.boundary (fingerprint, description) SELECT sha256(d), d FROM convert_to(
           '{"entities":{"Course":{"fields":["title"],"transitions":{}}}}', 'UTF8') AS d (d)""",
        "boundary-altered", "", 0,
    ),
}  # fmt: skip


@pytest.fixture
async def made(database: MakeDatabase) -> AsyncIterator[tuple[Database, Any]]:
    """One approved enrollment (four entries) and its course (two), and a superuser's connection."""
    made = database(app)
    async with acting(made) as act:
        course = await act.do("Course", "announce", None, {"title": "Greek", "seats": 3}, "rita", "registrar")
        enrollment = await act.do("Enrollment", "start", None, {"course": course}, "ana")
        await act.do("Enrollment", "submit", enrollment, {"essay": ESSAY}, "ana")
        await act.do("Enrollment", "verify", enrollment, {}, "rita", "registrar")
        await act.do("Enrollment", "approve", enrollment, {}, "dora", "dean")
    connection = await connect(made.admin_url)
    yield made, connection
    await connection.close()


async def check(connection: Any, **options: Any) -> Verification:
    result = await verify(connection, app, **options)
    assert result.found == len(result.findings)
    return result


async def test_what_commands_alone_have_written_holds(made: tuple[Database, Any]) -> None:
    result = await check(made[1])
    assert result.findings == []
    assert (result.entries, result.records, result.rows, result.tenants) == (6, 2, 2, 1)
    assert result.complete


@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_by_hand_is_found(made: tuple[Database, Any], name: str) -> None:
    edit, connection = EDITS[name], made[1]
    await connection.execute(UNLOCK)
    await connection.execute(edit.sql)
    result = await check(connection)
    found = [(f.code, f.kind, f.version, f.field) for f in result.findings]
    assert (edit.code, edit.kind, edit.version, edit.field) in found


async def test_a_forged_entry_at_the_end_is_found(made: tuple[Database, Any]) -> None:
    """It is linked and hashed as it must be, but its record's row doesn't know of it."""
    connection = made[1]
    await connection.execute(
        """INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
           SELECT tenant, kind, id, 5, forged, sha256('\\x00'::bytea || forged)
           FROM avow.audit, LATERAL (SELECT convert_to(replace(replace(replace(replace(
               convert_from(header, 'UTF8'), '"ver":4', '"ver":5'), '"from":"verified"', '"from":"approved"'),
               '"to":"approved"', '"to":"left"'), '"transition":"approve"', '"transition":"leave"'),
               'UTF8')) f(t),
               LATERAL (SELECT convert_to(regexp_replace(convert_from(t, 'UTF8'), '"prev":"[0-9a-f]*"',
               '"prev":"' || encode(hash, 'hex') || '"'), 'UTF8')) g(forged)
           WHERE kind = 'Enrollment' AND version = 4"""
    )
    result = await check(connection)
    assert [(f.code, f.kind, f.version) for f in result.findings] == [("row-behind", "Enrollment", 5)]


async def test_a_consistent_cut_at_the_end_is_not_found(made: tuple[Database, Any]) -> None:
    """What the documentation says isn't found: without a sealed log nothing remembers the newest entry."""
    connection = made[1]
    await connection.execute(UNLOCK)
    await connection.execute(
        """DELETE FROM avow.audit WHERE kind = 'Enrollment' AND version = 4;
           UPDATE enrollment.enrollments r SET state = 'verified', version = 3, head = a.hash,
               changed_at = (convert_from(a.header, 'UTF8')::jsonb ->> 'at')::timestamptz
           FROM avow.audit a WHERE a.kind = 'Enrollment' AND a.version = 3 AND a.id = r.id"""
    )
    assert (await check(connection)).findings == []


async def test_a_command_in_between_does_not_disturb_the_snapshot(made: tuple[Database, Any]) -> None:
    """Entries and rows are read at different moments, and agree: all of them are of one snapshot."""
    written = list[UUID]()

    async with acting(made[0]) as act:
        connection = made[1]
        original = connection.fetch

        class Slow:
            """The same connection; before each read a command is committed elsewhere."""

            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            async def fetch(self, *arguments: Any, **options: Any) -> Any:
                given = {"title": "new", "seats": 1}
                written.append(await act.do("Course", "announce", None, given, "rita", "registrar"))
                return await original(*arguments, **options)

        result = await check(Slow())
    assert result.findings == []
    assert len(written) > 3
    assert result.records < 2 + len(written)


async def test_a_login_of_one_tenant_must_name_it_and_sees_no_other(
    made: tuple[Database, Any],
) -> None:
    async with acting(made[0]) as act:
        given = {"title": "Norse", "seats": 1}
        await act.do("Course", "announce", None, given, "olga", "registrar", tenant="other")
    assert (await check(made[1])).tenants == 2
    connection = await connect(made[0].application_url)
    try:
        with pytest.raises(UsageError, match="all tenants"):
            await verify(connection, app)
        one = await check(connection, tenant="other")
        assert (one.entries, one.records, one.findings, one.complete) == (1, 1, [], True)
        assert (await check(connection, tenant="nobody")).entries == 0
    finally:
        await connection.close()


async def test_the_owner_role_sees_all_tenants_without_being_a_superuser(made: tuple[Database, Any]) -> None:
    await made[1].execute("CREATE ROLE auditor_of_test LOGIN PASSWORD 'x' IN ROLE enrollment_owner")
    connection = await connect(with_login(made[0].admin_url, "auditor_of_test", "x"))
    try:
        result = await check(connection)
        assert (result.entries, result.findings) == (6, [])
    finally:
        await connection.close()
        await made[1].execute("DROP ROLE auditor_of_test")


async def test_verification_leaves_nothing_behind_on_its_connection(made: tuple[Database, Any]) -> None:
    await check(made[1])
    assert await made[1].fetchval("SELECT current_setting('avow.scope', true)") in (None, "")
    assert not made[1].is_in_transaction()


async def test_a_time_limit_ends_without_a_verdict(made: tuple[Database, Any]) -> None:
    result = await check(made[1], limit_s=0.0)
    assert not result.complete


async def test_a_stopped_verification_is_gone_on_with_and_finds_and_counts_the_same(
    made: tuple[Database, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts of four entries: the first ends within the second record, which is then read again."""
    await made[1].execute(UNLOCK)
    await made[1].execute(
        "UPDATE enrollment.enrollments SET essay = 'x'; UPDATE enrollment.courses SET seats = 99;"
        "CREATE TABLE enrollment.shadows (id uuid)"
    )
    whole = await check(made[1])
    monkeypatch.setattr("avow.store.log.audit_scan.BATCH_ENTRIES", 4)
    part = await check(made[1], limit_s=0.0)
    assert (part.complete, part.records, part.entries, part.found) == (False, 1, 2, 2)
    result = await check(made[1], earlier=part)
    assert result.complete
    assert sorted(result.findings) == sorted(whole.findings)
    assert (result.entries, result.records, result.rows, result.tenants) == (6, 2, 2, 1)
