"""Several processes find what one finds, in one snapshot; one that is killed ends it without a verdict."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import AsyncIterator
from multiprocessing import active_children
from multiprocessing.synchronize import SemLock
from typing import Any

import pytest

from avow.engine.verify import Beside, verify
from avow.engine.verify.records import Against
from avow.engine.verify.workers import Given, workers
from avow.errors import EnvironmentFault
from avow.evidence.boundaries import read_boundaries, shape_of
from avow.store.log.audit_scan import row_forms, scan
from avow.store.pool import connect
from bench.corruptions.hand import UNLOCK
from examples.enrollment.system import app
from tests.acting import acting
from tests.fix_database import Database, MakeDatabase

COURSES = 12


@pytest.fixture
async def made(
    database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Database, Any]]:
    """Some records in several spans, one of which was edited by hand."""
    monkeypatch.setattr("avow.store.log.audit_scan.SPAN_ENTRIES", 3)
    monkeypatch.setattr("avow.engine.verify.verification.ENTRIES_A_PROCESS_MIN", 1)
    made = database(app)
    async with acting(made) as people:
        for number in range(COURSES):
            given = {"title": f"course {number}", "seats": 9}
            await people.do("Course", "announce", None, given, "rita", "registrar")
    admin = await connect(made.admin_url)
    await admin.execute(f"{UNLOCK}; ANALYZE; UPDATE enrollment.courses SET seats = 99 WHERE title LIKE '%7'")
    yield made, admin
    await admin.close()


async def test_two_processes_find_and_count_what_one_does(made: tuple[Database, Any]) -> None:
    """In the snapshot of the first connection: what is committed after it isn't seen."""
    database, admin = made
    async with scan(admin, app, None) as snapshot:
        assert len(await snapshot.spans(None, COURSES)) > 1
    alone = await verify(admin, app)
    steps = list[tuple[int, int]]()
    shared = await verify(
        admin, app, beside=Beside(database.admin_url, 2), progress=lambda *step: steps.append(step)
    )
    assert [finding.code for finding in alone.findings] == ["value-edited"]
    assert shared.findings == alone.findings
    counts = (shared.entries, shared.records, shared.rows, shared.tenants, shared.complete)
    assert counts == (alone.entries, alone.records, alone.rows, alone.tenants, True)
    assert counts == (COURSES, COURSES, COURSES, 1, True)
    assert steps[-1] == (COURSES, COURSES)


async def test_where_processes_share_no_memory_one_does_it_all(
    made: tuple[Database, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container without a writable /dev/shm."""
    monkeypatch.setattr(SemLock, "__init__", _denied)
    found = await verify(made[1], app, beside=Beside(made[0].admin_url, 2))
    assert (found.complete, found.entries, [one.code for one in found.findings]) == (
        True,
        COURSES,
        ["value-edited"],
    )


def _denied(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


async def test_a_process_that_is_killed_ends_it_without_a_verdict(made: tuple[Database, Any]) -> None:
    database, admin = made
    async with scan(admin, app, None) as snapshot:
        boundaries = read_boundaries([(app.fingerprint, app.description)])
        shapes = {e.name: shape_of(e, (), boundaries) for e in app.entities.values()}
        given = Given(
            database.admin_url, await snapshot.export(), row_forms(app), Against(boundaries, shapes)
        )
        spans = await snapshot.spans(None, COURSES)
        async with workers(given, 1) as shared:
            assert (await shared.piece(spans[0], None)).complete
            (process,) = active_children()
            os.kill(process.pid or 0, signal.SIGKILL)
            with pytest.raises(EnvironmentFault, match="ended before it was done"):
                await shared.piece(spans[1], None)
