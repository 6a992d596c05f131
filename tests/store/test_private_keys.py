"""Keys of keys that change beside what is written: no value is ever kept under a key that nobody has."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from avow.engine.execute import Engine
from avow.engine.privacy import FileKeyring, Keyring, MemoryKeyring, rewrap_all
from avow.errors import EnvironmentFault
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.subjects import SubjectKeys
from tests.acceptance.polling import PATIENCE_S, until
from tests.contract.systems.clinic import app
from tests.fix_database import Database, MakeDatabase
from tests.store.test_private import Clinic
from tests.waiting import WAITS

INSERT = "INSERT INTO avow.subject_key VALUES ('main', gen_random_uuid(), 'pia', '\\x01', $1)"
UNDER = "SELECT array_agg(DISTINCT kek) FROM avow.subject_key"
RULES = "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'retired%'"


@asynccontextmanager
async def serving(made: Database, keyring: Keyring) -> AsyncIterator[Clinic]:
    """One more process of a clinic, with a keyring of its own."""
    pool, admin = Pool(made.application_url), await connect(made.admin_url)
    try:
        engine = Engine(app, pool, lambda problem, _: problem.code.encode(), keyring=keyring)
        yield Clinic(made, engine, admin)
    finally:
        await pool.close()
        await admin.close()


@asynccontextmanager
async def looking_after(made: Database) -> AsyncIterator[SubjectKeys]:
    connection = await connect(made.admin_url)
    try:
        keys = SubjectKeys(connection, app)
        await keys.act_as_owner()
        yield keys
    finally:
        await connection.close()


async def test_a_process_whose_file_is_older_keeps_nothing_under_a_key_that_was_retired(
    database: MakeDatabase, tmp_path: Path
) -> None:
    """Nobody else could ever read it, nor this process after its next start."""
    made, ours = database(app), FileKeyring.made(tmp_path / "ours")
    (tmp_path / "theirs").write_bytes(ours.file.read_bytes())
    (tmp_path / "theirs").chmod(0o600)
    theirs, old = FileKeyring(tmp_path / "theirs"), ours.current
    async with serving(made, ours) as here, serving(made, theirs) as there, looking_after(made) as keys:
        first = await there.admit()
        ours.add()
        await rewrap_all(keys, ours)
        assert await keys.retire(old) == await keys.retire(old) == 0
        ours.drop(old)
        with pytest.raises(EnvironmentFault, match="was retired"):
            await there.admit(person="pia", passport="Z-12345")
        with pytest.raises(EnvironmentFault, match="has no key"):
            await rewrap_all(keys, theirs)
        assert await here.admin.fetchval(UNDER) == [ours.current]
        assert await here.passport(first) == "X-12345"
        await here.admit(person="pia", passport="Z-12345")


async def test_a_key_that_is_being_put_under_a_key_of_keys_keeps_it_from_being_retired(
    database: MakeDatabase,
) -> None:
    made = database(app)
    writer = await connect(made.admin_url)
    try:
        async with looking_after(made) as keys:
            async with writer.transaction():
                await writer.execute(INSERT, "old")
                retired = asyncio.create_task(keys.retire("old"))
                await until(lambda: _waits(writer), "it waits for who writes")
            assert await retired == 1
        assert await writer.fetchval(RULES) == 0
        await writer.execute("DELETE FROM avow.subject_key")
        await writer.execute(INSERT, "old")
    finally:
        await writer.close()


async def _waits(connection: Connection) -> bool | None:
    return await connection.fetchval(f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {WAITS}") or None


def test_of_keys_that_are_made_in_one_moment_none_is_lost(tmp_path: Path) -> None:
    """Persons' keys may be under any of them already."""
    file, made = FileKeyring.made(tmp_path / "keys").file, list[str]()
    together = threading.Barrier(8)

    def rotate() -> None:
        ring = FileKeyring(file)
        together.wait()
        made.extend(ring.add() for _ in range(5))

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {*made} < {*FileKeyring(file).names}
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes files of others")
def test_a_file_that_root_changes_stays_the_service_s(tmp_path: Path) -> None:
    ring = FileKeyring.made(tmp_path / "keys")
    os.chown(ring.file, 12_345, 23_456)
    ring.drop(ring.add())
    found = ring.file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12_345, 23_456, 0o600)


class Service:
    """An owner's keyring, which does what a test says."""

    current = "theirs"

    def __init__(self, wrap: Callable[..., Any] | None = None, unwrap: Callable[..., Any] | None = None):
        own = MemoryKeyring()
        self.wrap: Callable[..., Any] = wrap or own.wrap
        self.unwrap: Callable[..., Any] = unwrap or (lambda name, *given: own.unwrap(name, *given))


def failing(*_: Any) -> Any:
    raise ValueError("the key 0123456789abcdef")


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (Service(wrap=failing), "it failed: ValueError$"),
        (Service(unwrap=failing), "it failed: ValueError$"),
        (Service(wrap=lambda *_: None), "isn't a name and bytes"),
        (Service(wrap=lambda *_: ("", b"x")), "isn't a name and bytes"),
        (Service(wrap=lambda *_: ("name", "text")), "isn't a name and bytes"),
        (Service(unwrap=lambda *_: None), "isn't a key of 32 bytes"),
        (Service(unwrap=lambda *_: b"k" * 16), "isn't a key of 32 bytes"),
        (Service(unwrap=lambda *_: b"k" * 32), "isn't what it unwraps"),
    ],
)
async def test_a_keyring_that_fails_keeps_nothing_under_a_key_that_is_lost(
    database: MakeDatabase, service: Service, said: str
) -> None:
    """A value under it could never be read; a person with such a key could never be told anything again."""
    async with serving(database(app), service) as clinic:
        with pytest.raises(EnvironmentFault, match=said) as raised:
            await clinic.admit()
        assert "0123456789abcdef" not in f"{raised.value.__cause__}{raised.value.mend}"
        assert await clinic.admin.fetchval("SELECT count(*) FROM avow.subject_key") == 0
        service.wrap, service.unwrap = (good := MemoryKeyring()).wrap, good.unwrap
        assert await clinic.passport(await clinic.admit()) == "X-12345"


async def test_nothing_else_waits_for_a_keyring_that_is_slow(database: MakeDatabase) -> None:
    asked, answers, own = threading.Event(), threading.Event(), MemoryKeyring()

    def slow(key: bytes, context: bytes) -> tuple[str, bytes]:
        asked.set()
        answers.wait(PATIENCE_S)
        return own.wrap(key, context)

    async with serving(database(app), Service(slow, own.unwrap)) as clinic:
        waiting = asyncio.create_task(clinic.admit())
        try:
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            reply = await clinic.give("Erasure.ask", None, "olga", person="pat", reason="asked for it")
            assert reply.record is not None
            assert not waiting.done()
        finally:
            answers.set()
        assert await clinic.passport(await waiting) == "X-12345"


async def test_a_key_is_put_under_no_other_one_that_does_not_give_it_back(database: MakeDatabase) -> None:
    made, first = database(app), MemoryKeyring()
    async with serving(made, first) as clinic, looking_after(made) as keys:
        patient = await clinic.admit()
        broken = Service(wrap=lambda key, context: ("new", b"x" * 60), unwrap=_either(first, b"k" * 32))
        broken.current = "new"
        with pytest.raises(EnvironmentFault, match="isn't what it unwraps"):
            await rewrap_all(keys, broken)
        assert await clinic.admin.fetchval(UNDER) == ["memory"]
        assert await clinic.passport(patient) == "X-12345"


def _either(first: MemoryKeyring, other: bytes) -> Callable[..., bytes]:
    return lambda name, *given: first.unwrap(name, *given) if name == "memory" else other
