"""Private values in PostgreSQL: nothing gets past what keeps them, and no race keeps one for good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from avow.engine.execute import Engine, Reply, Request
from avow.engine.privacy import FileKeyring, Keyring, rewrap_all
from avow.engine.verify import Verification, verify
from avow.errors import EnvironmentFault, ProblemError, UsageError
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import DatabaseError
from avow.store.pool import Pool, connect
from avow.store.subjects import SubjectKeys
from tests.acceptance.polling import until
from tests.contract.systems.clinic import app
from tests.fix_database import Database, MakeDatabase, with_login

PASSPORT = {"person": Subject("pat"), "passport": "X-12345"}
PLACE = "WHERE kind = 'Patient' AND field = 'passport'"


@dataclass
class Clinic:
    """A clinic on a database of its own."""

    made: Database
    engine: Engine
    admin: Any
    tenant: str = "main"

    async def give(
        self, command: str, record: UUID | None, who: str, key: str | None = None, **given: Any
    ) -> Reply:
        """A command of somebody who is everything."""
        kind, word = command.split(".")
        actor = Actor(Subject(who), self.tenant, frozenset({"desk", "doctor", "officer"}), "key")
        return await self.engine.execute(
            Request(kind, word, record, given, actor, key or str(uuid4()), b"print", "request")
        )

    async def admit(self, who: str = "dora", **given: Any) -> UUID:
        """A patient."""
        reply = await self.give("Patient.admit", None, who, **{**PASSPORT, **given})
        assert reply.record is not None, reply.body
        return reply.record

    async def forget(self, person: str) -> Reply:
        """Have a person forgotten."""
        asked = await self.give("Erasure.ask", None, "olga", person=Subject(person), reason="asked for it")
        return await self.give("Erasure.approve", asked.record, "otto")

    async def passport(self, record: UUID) -> Any:
        """What is revealed of a patient."""
        reply = await self.give("Patient.see_passport", record, "dora", purpose="to look")
        return json.loads(reply.body)["revealed"]["passport"]


@asynccontextmanager
async def opened(made: Database, keys: Path) -> AsyncIterator[Clinic]:
    pool, admin = Pool(made.application_url), await connect(made.admin_url)
    try:
        engine = Engine(app, pool, lambda problem, _: problem.code.encode(), keyring=FileKeyring.made(keys))
        yield Clinic(made, engine, admin)
    finally:
        await pool.close()
        await admin.close()


@pytest.fixture
async def clinic(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with opened(database(app), tmp_path / "keys") as made:
        yield made


async def check(clinic: Clinic, keyring: Keyring | None = None) -> Verification:
    return await verify(clinic.admin, app, keyring=keyring)


async def test_what_commands_and_erasures_leave_behind_holds(clinic: Clinic) -> None:
    patient = await clinic.admit()
    await clinic.give("Patient.correct", patient, "dora", passport="Y-12345")
    await clinic.admit(person=Subject("pia"), passport="Z-12345")
    await clinic.forget("pat")
    result = await check(clinic)
    assert (result.findings, result.private.kept, [*result.private.erased.values()]) == ([], 1, [2])


async def test_a_login_that_may_not_see_what_is_encrypted_is_told_so(clinic: Clinic) -> None:
    await clinic.admit()
    name, password = f"auditor_{uuid4().hex}", uuid4().hex
    await clinic.admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE clinic_reader")
    reader = await connect(with_login(clinic.made.admin_url, name, password))
    try:
        with pytest.raises(UsageError, match="may not see what stands behind private values"):
            await verify(reader, app, tenant="main")
    finally:
        await reader.close()
        await clinic.admin.execute(f"DROP ROLE {name}")


COPIED = "tenant, kind, id, version, 'born', digest, key, nonce, ciphertext"
EMPTIED = "key = NULL, nonce = NULL, ciphertext = NULL, erased_id = id, erased_version = 1"
EDITS = {
    "what is behind a value, away": (f"DELETE FROM avow.disclosure {PLACE}", "disclosure-missing"),
    "its digest": (f"UPDATE avow.disclosure SET digest = 'other' {PLACE}", "disclosure-edited"),
    "one that nobody gave": (
        f"INSERT INTO avow.disclosure SELECT {COPIED} FROM avow.disclosure", "disclosure-unknown",
    ),
    "an erasure that no entry speaks of": (
        f"UPDATE avow.disclosure SET {EMPTIED}, erased_kind = 'Erasure' {PLACE}", "erasure-unfounded",
    ),
    "an erasure by an entry that doesn't erase": (
        f"UPDATE avow.disclosure SET {EMPTIED}, erased_kind = kind {PLACE}", "erasure-unfounded",
    ),
    "the value in the row": ("UPDATE clinic.patients SET passport = 'other'", "value-edited"),
    "the keyed hash in the row": ("UPDATE clinic.patients SET blind_passport = 'other'", "value-edited"),
    "the keyed hash in the row, away": ("UPDATE clinic.patients SET blind_passport = NULL", "value-edited"),
    "both keyed hashes, away": (
        f"UPDATE clinic.patients SET blind_passport = NULL; UPDATE avow.disclosure SET blind = NULL {PLACE}",
        "disclosure-unreadable",
    ),
    "the key of all keyed hashes, away": (
        "SET session_replication_role = replica; DELETE FROM avow.subject_key WHERE subject = ''",
        "disclosure-unreadable",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_by_hand_is_found(clinic: Clinic, name: str) -> None:
    patient = await clinic.admit()
    sql, code = EDITS[name]
    await clinic.admin.execute(sql)
    findings = (await check(clinic)).findings
    assert {(finding.code, finding.id) for finding in findings} == {(code, str(patient))}


async def test_who_is_forgotten_takes_nothing_from_the_others_whom_a_record_is_about(clinic: Clinic) -> None:
    """They are found as before, and nobody else gets what is unique."""
    noted = await clinic.admit(person=Subject("pia"), passport="Z-12345", born=date(1980, 2, 3))
    assert (await clinic.give("Patient.note", noted, "dan", notes="well")).status == 200
    await clinic.forget("dan")
    again = await clinic.give("Patient.admit", None, "dora", person=Subject("pat"), passport="Z-12345")
    assert (again.status, again.body) == (409, b"unique-violated")
    assert (await check(clinic)).findings == []
    await clinic.forget("pia")
    assert (
        await clinic.give("Patient.admit", None, "dora", person=Subject("pat"), passport="Z-12345")
    ).status == 201
    assert (await check(clinic)).findings == []


DISCLOSURE = "UPDATE avow.disclosure d SET"
BY = """(erased_kind, erased_id, erased_version) = (
    SELECT o.erased_kind, o.erased_id, o.erased_version FROM avow.disclosure o
    WHERE o.field = '{0}' AND o.erased_id IS NOT NULL LIMIT 1)"""


async def test_an_erasure_by_an_entry_that_erases_somebody_else_is_unfounded(clinic: Clinic) -> None:
    """Whose data it was is said by the record, or by who gave it; neither is erased."""
    patient = await clinic.admit(born=None)
    await clinic.give("Patient.note", patient, "dan", notes="well")  # refused: nobody knows how old they are
    noted = await clinic.admit(person=Subject("pia"), passport="Z-12345", born=date(1980, 2, 3))
    assert (await clinic.give("Patient.note", noted, "dan", notes="well")).status == 200
    await clinic.admit(person=Subject("gone"), passport="G-12345")
    for person in ("gone", "dan"):
        await clinic.forget(person)
    assert (await check(clinic)).findings == []
    await clinic.admin.execute(f"{DISCLOSURE} {BY.format('passport')} WHERE field = 'notes'")
    emptied = "key = NULL, nonce = NULL, ciphertext = NULL, blind = NULL"
    await clinic.admin.execute(f"{DISCLOSURE} {BY.format('notes')}, {emptied} WHERE id = '{patient}'")
    await clinic.admin.execute("UPDATE clinic.patients SET blind_passport = NULL WHERE person = 'pat'")
    findings = (await check(clinic)).findings
    assert {(f.code, f.id, f.field) for f in findings} == {
        ("erasure-unfounded", str(patient), "passport"), ("erasure-unfounded", str(noted), "notes"),
    }  # fmt: skip


FLIPPED = "= set_byte({0}, 3, get_byte({0}, 3) # 1)"
OTHER = "(SELECT {0} FROM avow.disclosure o WHERE o.id <> d.id AND o.field = 'passport')"
KEY = "UPDATE avow.subject_key SET"
OF_RECORD, OF_PERSON = "WHERE id = '{record}'", "WHERE subject = 'pat'"
UNREADABLE = {
    "a bit of its ciphertext": f"{DISCLOSURE} ciphertext {FLIPPED.format('ciphertext')} {OF_RECORD}",
    "a bit of its nonce": f"{DISCLOSURE} nonce {FLIPPED.format('nonce')} {OF_RECORD}",
    "the ciphertext of another": (
        f"{DISCLOSURE} (nonce, ciphertext) = {OTHER.format('nonce, ciphertext')} {OF_RECORD}"
    ),
    "the key of another": f"{DISCLOSURE} key = {OTHER.format('key')} {OF_RECORD}",
    "a bit of its key": f"{KEY} wrapped {FLIPPED.format('wrapped')} {OF_PERSON}",
    "the name of the key of keys": f"{KEY} kek = 'other' {OF_PERSON}",
    "whose key it is": f"{KEY} subject = 'other' {OF_PERSON}",
    "both keyed hashes": (
        f"UPDATE clinic.patients SET blind_passport {FLIPPED.format('blind_passport')} {OF_RECORD};"
        f"{DISCLOSURE} blind {FLIPPED.format('blind')} {OF_RECORD}"
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_is_behind_a_value_is_opened_where_the_keys_of_keys_are(
    clinic: Clinic, tmp_path: Path, name: str
) -> None:
    """Nobody is named but those whose values can't be read any more, or aren't what they were."""
    keyring = FileKeyring(tmp_path / "keys")
    await clinic.admit(person=Subject("pia"), passport="Z-12345")
    patient = await clinic.admit()
    sound = await check(clinic, keyring)
    assert (sound.findings, sound.private.kept, sound.private.opened) == ([], 2, 2)
    await clinic.admin.execute(UNREADABLE[name].format(record=patient))
    findings = (await check(clinic, keyring)).findings
    assert {(f.code, f.id, f.field) for f in findings} == {
        ("disclosure-unreadable", str(patient), "passport")
    }
    assert (await check(clinic)).findings == []  # without the keys


async def test_a_key_that_was_destroyed_by_no_erasure_is_missed_without_any_key(clinic: Clinic) -> None:
    patient = await clinic.admit()
    await clinic.admin.execute(
        "SET session_replication_role = replica; DELETE FROM avow.subject_key WHERE subject = 'pat'"
    )
    findings = (await check(clinic)).findings
    assert {(f.code, f.id) for f in findings} == {("disclosure-unreadable", str(patient))}


async def test_a_value_that_was_moved_to_another_record_is_not_revealed_there(clinic: Clinic) -> None:
    """Whoever edits the tables, and may see their own record, still doesn't see somebody else's data."""
    patient, own = await clinic.admit(), await clinic.admit(person=Subject("eve"), passport="E-12345")
    await clinic.admin.execute(
        "UPDATE avow.disclosure e"
        " SET digest = p.digest, key = p.key, nonce = p.nonce, ciphertext = p.ciphertext"
        f" FROM avow.disclosure p WHERE p.id = '{patient}' AND e.id = '{own}'"
    )
    await clinic.admin.execute(
        f"UPDATE clinic.patients SET passport = (SELECT passport FROM clinic.patients WHERE id = '{patient}')"
        f" WHERE id = '{own}'"
    )
    with pytest.raises(ProblemError) as caught:
        await clinic.passport(own)
    assert "edited by hand" in caught.value.problem.detail


async def test_nothing_private_is_committed_without_what_is_behind_it(clinic: Clinic) -> None:
    patient = await clinic.admit()
    write = clinic.engine._transactions._call_alone  # pyright: ignore[reportPrivateUsage]

    async def without(connection: Any, tenant: Any, commit: Any) -> Any:
        commit.write.disclosures = ()
        return await write(connection, tenant, commit)

    async def given(connection: Any, tenant: Any, commit: Any) -> Any:
        commit.write.disclosures = [{**kept, "field": "born"} for kept in commit.write.disclosures]
        return await write(connection, tenant, commit)

    before = await clinic.admin.fetchval("SELECT count(*) FROM avow.audit")
    for forged in (without, given):
        clinic.engine._transactions._call_alone = forged  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
        clinic.engine._contended[patient] = float("inf")  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Exception, match="AV002"):
            await clinic.give("Patient.correct", patient, "dora", passport="Y-12345")
    assert await clinic.admin.fetchval("SELECT count(*) FROM avow.audit") == before


async def test_a_person_who_is_forgotten_while_others_write_is_forgotten(clinic: Clinic) -> None:
    """Whatever was written before is erased, whatever comes after is under another key; nothing is lost."""
    patients = [await clinic.admit(passport=f"X-{number:05}") for number in range(4)]
    key = await clinic.admin.fetchval("SELECT key FROM avow.subject_key WHERE subject = 'pat'")

    async def write(patient: UUID, number: int) -> Reply:
        return await clinic.give("Patient.correct", patient, "dora", passport=f"Y-{number:05}")

    writing = [
        write(patient, number + 10 * turn) for number, patient in enumerate(patients) for turn in range(5)
    ]
    results = await asyncio.gather(clinic.forget("pat"), *writing)
    assert {reply.status for reply in results} == {200}
    assert await clinic.admin.fetchval("SELECT count(*) FROM avow.disclosure WHERE key = $1", key) == 0
    held = await clinic.admin.fetchval("SELECT count(*) FROM avow.disclosure WHERE key IS NOT NULL")
    assert held == await clinic.admin.fetchval(
        "SELECT count(*) FROM avow.disclosure JOIN avow.subject_key USING (tenant, key)"
    )
    assert (await check(clinic)).findings == []
    assert all([await clinic.passport(patient) for patient in patients])


async def test_a_key_that_was_destroyed_elsewhere_is_not_used_any_more(
    clinic: Clinic, tmp_path: Path
) -> None:
    patient = await clinic.admit()
    async with opened(clinic.made, tmp_path / "keys") as elsewhere:
        assert (await elsewhere.forget("pat")).status == 200
    await clinic.give("Patient.correct", patient, "dora", passport="Y-12345")
    assert await clinic.passport(patient) == "Y-12345"


async def test_an_erasure_may_come_again_and_for_whoever_was_never_there(clinic: Clinic) -> None:
    patient = await clinic.admit()
    for person in ("pat", "pat", "nobody-knows"):
        assert (await clinic.forget(person)).status == 200
    assert {*await clinic.passport(patient)} == {"erased_at"}
    first = await clinic.admin.fetchval(
        "SELECT min(entry) FROM avow.audit WHERE kind = 'Erasure' AND version = 2"
    )
    assert (await clinic.passport(patient))["erased_at"] == first, "the first erasure is the one that did it"
    assert await clinic.admin.fetchval("SELECT count(*) FROM avow.subject_key WHERE subject = 'pat'") == 0
    result = await check(clinic)
    assert (result.findings, [*result.private.erased.values()]) == ([], [1])


async def test_whoever_is_forgotten_by_one_tenant_is_known_to_the_other(clinic: Clinic) -> None:
    patient = await clinic.admit()
    clinic.tenant = "other"
    other = await clinic.admit()
    assert (await clinic.forget("pat")).status == 200
    assert {*await clinic.passport(other)} == {"erased_at"}
    clinic.tenant = "main"
    assert await clinic.passport(patient) == "X-12345"
    assert (await check(clinic)).findings == []


async def test_an_erasure_that_was_cut_off_is_done_whole_or_not_at_all_and_may_be_sent_again(
    clinic: Clinic,
) -> None:
    """Its session ends before its transaction does; the same is sent again, and again when it is done."""
    patient = await clinic.admit()
    asked = await clinic.give("Erasure.ask", None, "olga", person=Subject("pat"), reason="asked for it")
    blocked = await connect(clinic.made.admin_url)
    await blocked.execute("BEGIN")
    await blocked.execute("SELECT FROM avow.disclosure WHERE kind = 'Patient' FOR UPDATE")
    erasing = asyncio.create_task(clinic.give("Erasure.approve", asked.record, "otto", key="once"))
    waits = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def waiting() -> int | None:
        return await clinic.admin.fetchval(waits)

    pid = await until(waiting, "the erasure waits in the middle")
    await clinic.admin.execute(f"SELECT pg_terminate_backend({pid})")  # as where its process is killed
    await blocked.execute("ROLLBACK")
    await blocked.close()
    assert (await erasing).status == 200  # sent again under its key, it was done once
    again = await clinic.give("Erasure.approve", asked.record, "otto", key="once")
    assert (again.status, again.replayed) == (200, True)
    assert {*await clinic.passport(patient)} == {"erased_at"}
    result = await check(clinic)
    assert (result.findings, [*result.private.erased.values()]) == ([], [1])


async def test_without_its_key_of_keys_nothing_private_is_read_or_written_and_nothing_is_lost(
    clinic: Clinic, tmp_path: Path
) -> None:
    patient = await clinic.admit()
    keys, away = tmp_path / "keys", tmp_path / "away"
    keys.rename(away)
    async with opened(clinic.made, tmp_path / "wrong") as elsewhere:  # another key of keys
        for give in (elsewhere.passport(patient), elsewhere.admit(person=Subject("pat"), passport="Y-12345")):
            with pytest.raises(EnvironmentFault, match="has no key"):
                await give
        assert (await elsewhere.forget("pia")).status == 200  # forgetting needs no key
    for give in (clinic.admit(person=Subject("new"), passport="N-12345"),):
        with pytest.raises(EnvironmentFault, match="keys"):
            await give
    away.rename(keys)
    assert await clinic.passport(patient) == "X-12345"
    assert (await check(clinic)).findings == []


async def test_keys_are_put_under_another_key_of_keys_while_commands_go_on_and_persons_are_forgotten(
    clinic: Clinic, tmp_path: Path
) -> None:
    patients = [await clinic.admit(person=Subject(f"p{n}"), passport=f"X-{n:05}") for n in range(6)]
    ring, admin = FileKeyring(tmp_path / "keys"), await connect(clinic.made.admin_url)
    keys, old = SubjectKeys(admin, app), ring.current
    await keys.act_as_owner()
    ended = asyncio.Event()

    async def load(number: int) -> int:
        done = 0
        while not ended.is_set():
            reply = await clinic.give(
                "Patient.correct", patients[number], "dora", passport=f"Y-{number}-{done:05}"
            )
            fresh = await clinic.admit(person=Subject(f"q{number}-{done}"), passport=f"Z-{number}-{done:05}")
            assert (reply.status, await clinic.passport(fresh)) == (200, f"Z-{number}-{done:05}")
            done += 1
        return done

    under_way = [asyncio.create_task(load(number)) for number in range(1, 4)]
    for _ in range(3):
        ring.add()
        await rewrap_all(keys, ring)
        await clinic.forget("p0")
    ended.set()
    assert all(await asyncio.gather(*under_way))
    await rewrap_all(keys, ring)
    assert {*await keys.counts()} == {ring.current}
    for name in ring.names[1:]:
        ring.drop(name)
    assert old not in ring.names
    async with opened(clinic.made, tmp_path / "keys") as elsewhere:  # remembers no key
        assert [{*await elsewhere.passport(patients[0])}, await elsewhere.passport(patients[5])] == [
            {"erased_at"}, "X-00005",
        ]  # fmt: skip
    await admin.close()
    assert (await check(clinic)).findings == []


async def test_a_body_can_not_move_a_private_value(clinic: Clinic) -> None:
    patient = await clinic.admit()
    with pytest.raises(Exception, match="takes only what its own command is given"):
        await clinic.give("Patient.mix_up", patient, "dora")


async def test_a_hold_stops_what_its_database_function_is_told_of(clinic: Clinic) -> None:
    patient = await clinic.admit()
    await clinic.admin.execute("SELECT avow.hold_subject('main', 'pat', true, 'lea', 'case 7/26')")
    refused = await clinic.forget("pat")
    assert (refused.status, refused.body) == (409, b"erasure-held")
    assert await clinic.passport(patient) == "X-12345"


async def test_the_application_can_neither_read_nor_write_what_is_not_its_own(clinic: Clinic) -> None:
    await clinic.admit()
    login = await connect(clinic.made.application_url)
    try:
        for sql in (
            "DELETE FROM avow.subject_key", "UPDATE avow.disclosure SET key = NULL",
            "SELECT * FROM avow.legal_hold", "SELECT avow.forget_private('main', 'pat', '', null, 1)",
            "SELECT avow.rewrap_key('main', null, '', '', '')",
            "SELECT avow.hold_subject('main', 'pat', false, 'eve', 'x')",
        ):  # fmt: skip
            with pytest.raises(DatabaseError, match="permission denied"):
                await login.execute(sql)
    finally:
        await login.close()


async def test_what_is_private_costs_no_round_trip_more(clinic: Clinic) -> None:
    """Where the key of the person is at hand: one round trip on what is remembered, or else two."""
    patient = await clinic.admit()
    pool = clinic.engine._transactions._pool  # pyright: ignore[reportPrivateUsage]
    borrowed, borrow = list[int](), pool.borrow

    def counted(*arguments: Any) -> Any:
        borrowed.append(1)
        return borrow(*arguments)

    pool.borrow = counted  # type: ignore[method-assign]
    await clinic.give("Patient.correct", patient, "dora", passport="Y-12345")
    with_private = len(borrowed)
    borrowed.clear()
    await clinic.give("Erasure.ask", None, "olga", person=Subject("pia"), reason="asked for it")
    assert (with_private, len(borrowed)) <= (2, 2)
