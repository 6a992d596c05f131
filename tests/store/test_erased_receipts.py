"""A receipt says what was erased of its entry, where the log can be heard to say so; it is never refused
for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from avow.engine.log.epochs import begin_epoch
from avow.engine.log.erasures import sign_what_is_gone
from avow.engine.log.key import KeyFile
from avow.engine.log.proving import Logs
from avow.engine.log.tiles import WIDTH
from avow.engine.verify import verify as verify_database
from avow.errors import EnvironmentFault
from avow.evidence.note import SecretKey, Signer
from avow.evidence.verifier import (
    leaf_hash,
)
from avow.model.values import Subject
from avow.store.log.reads import ErasedValue
from avow.store.pool import connect
from tests.acceptance.polling import PATIENCE_S, until
from tests.fix_database import MakeDatabase
from tests.store.deeds import app
from tests.store.notary import DRAWN, GIVEN, Notary, drop, entries_of, opened, read, said, told


@pytest.fixture
async def notary(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Notary]:
    async with opened(database(app), tmp_path) as made:
        yield made


async def test_a_receipt_says_which_entry_of_the_log_has_erased_what(notary: Notary) -> None:
    """One of the two persons of an entry is forgotten, then the other; the third value stays what it was."""
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    before = await notary.issue(deed)
    seller = await notary.forget("sam")
    await notary.log.seal()
    one = await notary.issue(deed)
    buyer = await notary.forget("bea")
    await notary.log.seal()
    both = await notary.issue(deed)
    first, second = await notary.leaf(seller, 2), await notary.leaf(buyer, 2)
    result = await verify_database(notary.log.admin, app)
    assert {result.private.leaves[entry] for entry in result.private.erased} == {(1, first), (1, second)}
    assert (said(before), told(before)) == ([], [])
    assert (said(one), told(one)) == ([(first, ("iban",))], [("iban", first, None)])
    assert said(both) == [(first, ("iban",)), (second, ("home",))]
    assert told(both) == [("home", second, None), ("iban", first, None)]
    assert f"erased at leaf {second}, as the log says: home\n" in read(both).statement
    leaves = await notary.log.admin.fetchval("SELECT avow.leaf_hashes(1, $1, $2)", first, first + 1)
    erasing = await notary.log.reads.entry("main", "Person", seller, 2)
    assert erasing is not None
    assert leaves == leaf_hash(erasing.header), "the leaf that is named is that of the entry that erased"
    assert read(before).claim == DRAWN, "an old receipt holds as before"


async def test_the_first_checkpoint_over_all_of_it_is_the_one_that_says_most_about_when(
    notary: Notary,
) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    await notary.forget("sam")
    await notary.log.seal()
    size = (await notary.issue(deed)).size
    await notary.give("Deed.draw", **{**GIVEN, "seller": Subject("sue")})
    await notary.log.seal()
    assert (await notary.issue(deed)).size == size
    current = await notary.issue(deed, current=notary.log.signer)
    assert current.size > size
    assert said(current) == said(await notary.issue(deed))
    assert read(current).head is not None


async def test_who_comes_back_is_erased_anew_and_the_first_erasure_stays_the_one_that_did_it(
    notary: Notary,
) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    person = await notary.forget("bea")
    await notary.give("Deed.move", deed, home="York 2")
    await notary.log.seal()
    first = await notary.leaf(person, 2)
    assert said(await notary.issue(deed, 1)) == [(first, ("home",))]
    assert told(await notary.issue(deed, 2)) == []
    await notary.give("Person.forget", person)
    await notary.log.seal()
    again = await notary.leaf(person, 3)
    assert said(await notary.issue(deed, 1)) == [(first, ("home",))]
    assert said(await notary.issue(deed, 2)) == [(again, ("home",))]


async def test_an_entry_that_erases_what_it_brings_says_so_of_itself(notary: Notary) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.give("Deed.sell_anonymously", deed, iban="DE-2")
    await notary.log.seal()
    own = await notary.leaf(deed, 2)
    assert said(await notary.issue(deed, 2)) == [(own, ("iban",))]
    assert said(await notary.issue(deed, 1)) == [(own, ("iban",))]


PATIENT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '250 ms'
"""
"""Who waits for longer than a commit does that is to be tried again."""


async def test_an_entry_may_be_erased_by_one_that_stands_before_it(notary: Notary) -> None:
    """Who erases draws the number of its entry first, and then waits for who writes about the person."""
    deed = await notary.give("Deed.draw", **GIVEN)
    person = await notary.give("Person.meet", who=Subject("bea"))
    gate = await connect(notary.log.made.admin_url)
    await gate.execute("BEGIN")
    await gate.execute("LOCK TABLE avow.legal_hold IN ACCESS EXCLUSIVE MODE")
    erasing = asyncio.create_task(notary.give("Person.forget", person))

    async def waits() -> bool:
        return bool(await notary.log.admin.fetchval(PATIENT))

    await until(waits, "the erasure waits, and has its number")
    await notary.give("Deed.move", deed, home="York 2")
    await gate.execute("ROLLBACK")
    await gate.close()
    await erasing
    await notary.log.seal()
    moved, erased = await notary.leaf(deed, 2), await notary.leaf(person, 2)
    assert erased < moved
    assert said(await notary.issue(deed, 2)) == [(erased, ("home",))]
    assert (await verify_database(notary.log.admin, app)).findings == []


async def test_an_erasure_that_is_not_sealed_yet_is_waited_for_and_told_beside_the_receipt(
    notary: Notary, monkeypatch: pytest.MonkeyPatch
) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    person = await notary.forget("sam")
    early = await notary.issue(deed)
    assert (said(early), told(early)) == ([], [("iban", None, "not-sealed")])
    logs, looked = notary.logs(), asyncio.Event()
    erased = logs.reads.erased

    async def look(*of: Any) -> Any:
        found = await erased(*of)
        looked.set()
        return found

    monkeypatch.setattr(logs.reads, "erased", look)
    asked = asyncio.create_task(notary.issue(deed, wait_s=PATIENCE_S, logs=logs))
    await looked.wait()
    await notary.log.seal()
    assert said(await asked) == [(await notary.leaf(person, 2), ("iban",))]


async def test_an_erasure_while_a_receipt_is_issued_is_in_it_or_beside_it(notary: Notary) -> None:
    """Whatever comes in between, the receipt is valid; what was erased before it was asked for is told."""
    deeds = [await notary.give("Deed.draw", **{**GIVEN, "seller": Subject(f"s{n}")}) for n in range(6)]
    await notary.log.seal()
    done = asyncio.Event()

    async def seal() -> None:
        while not done.is_set():
            await notary.log.seal()

    async def ask(number: int) -> None:
        erasing = asyncio.create_task(notary.forget(f"s{number}"))
        while not erasing.done():
            issued = await notary.issue(deeds[number], current=notary.log.signer)
            assert read(issued).claim == DRAWN
            assert len(said(issued)) == sum(one.unsigned is None for one in issued.erased)
        await erasing
        assert told(await notary.issue(deeds[number]))[0][0] == "iban"

    sealer = asyncio.create_task(seal())
    await asyncio.gather(*(ask(number) for number in range(6)))
    done.set()
    await sealer
    await notary.log.seal()
    assert all([len(said(await notary.issue(deed))) == 1 for deed in deeds])


class Away:
    """A key that can't be used now."""

    def signer(self) -> Signer | None:
        raise EnvironmentFault("log-key-program", "the service for keys is away", "Wait.")

    def make(self, name: str) -> Signer:
        raise NotImplementedError(name)


@dataclass
class Given:
    """A key that somebody else has."""

    made: Signer | None

    def signer(self) -> Signer | None:
        return self.made

    def make(self, name: str) -> Signer:
        raise NotImplementedError(name)


class Lying:
    """A service that has the key, and signs something else, or nothing at all."""

    def __init__(self, public: bytes, answer: bytes | None) -> None:
        self.public, self.answer = public, answer

    def sign(self, data: bytes) -> bytes:
        if self.answer is None:
            raise EnvironmentFault("log-key-program", "it failed", "Look at it.")
        return self.answer


async def test_without_a_key_that_signs_the_receipt_is_issued_and_what_is_gone_is_told_beside_it(
    notary: Notary, tmp_path: Path
) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    size = (await notary.issue(deed)).size
    person = await notary.forget("sam")
    await notary.log.seal()
    leaf, name, own = await notary.leaf(person, 2), notary.log.signer.name, notary.log.signer.key
    shared = tmp_path / "shared"
    shared.write_text((tmp_path / "log.key").read_text())
    shared.chmod(0o644)
    keys = [
        None, Away(), KeyFile(tmp_path / "nowhere"), KeyFile(shared), Given(None),
        Given(Signer(name, SecretKey(bytes(32)))), Given(Signer("other.avow/1", own)),
        Given(Signer(name, Lying(own.public, bytes(64)))), Given(Signer(name, Lying(own.public, b"x"))),
        Given(Signer(name, Lying(own.public, None))),
    ]  # fmt: skip
    for key in keys:
        issued = await notary.issue(deed, logs=Logs(notary.pool.borrow, key))
        assert (said(issued), told(issued)) == ([], [("iban", leaf, "no-key")]), key
    assert (await notary.issue(deed, logs=Logs(notary.pool.borrow))).size == size, "as without an erasure"
    assert said(await notary.issue(deed)) == [(leaf, ("iban",))]


async def test_an_erasure_in_a_later_log_is_told_beside_the_receipt(notary: Notary, tmp_path: Path) -> None:
    """The key of the log that has the entry is put aside; the new one doesn't sign for it."""
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.forget("bea")
    await notary.log.seal()
    old = await notary.issue(deed)
    assert said(old) != []
    await begin_epoch(notary.log.admin, app.name, notary.log.key, "the key was replaced")
    await notary.log.steps.take_over()
    await notary.forget("sam")
    await notary.log.seal()
    issued = await notary.issue(deed)
    assert told(issued) == [("home", said(old)[0][0], "no-key"), ("iban", None, "other-log")]
    assert read(issued).sealed.checkpoint.origin == read(old).sealed.checkpoint.origin
    assert told(await notary.renew(old)) == told(issued)
    late = await notary.give("Deed.draw", **{**GIVEN, "seller": Subject("sue")})
    person = await notary.forget("sue")
    await notary.log.seal()
    assert said(await notary.issue(late)) == [(await notary.leaf(person, 2), ("iban",))]
    assert read(await notary.renew(await notary.issue(late))).sealed.checkpoint.origin.endswith("/2")


async def test_what_is_not_private_is_not_asked_about(notary: Notary) -> None:
    """A receipt of an entry without private values reads nothing about any."""
    deed = await notary.give("Deed.draw", seller=Subject("sam"), buyer=Subject("bea"))
    await notary.log.seal()
    await notary.log.admin.execute("REVOKE SELECT ON avow.disclosure FROM deeds_application")
    assert told(await notary.issue(deed)) == []


async def test_a_row_that_was_put_in_by_hand_makes_no_receipt_invalid(notary: Notary) -> None:
    """It says that something was erased which the entry has no private value of; verification finds it."""
    deed = await notary.give("Deed.draw", **GIVEN)
    person = await notary.forget("sam")
    await notary.log.seal()
    copied = "tenant, kind, id, version, 'note', digest, erased_kind, erased_id, erased_version"
    await notary.log.admin.execute(
        "INSERT INTO avow.disclosure (tenant, kind, id, version, field, digest, erased_kind, erased_id,"
        f" erased_version) SELECT {copied} FROM avow.disclosure WHERE field = 'iban'"
    )
    issued = await notary.issue(deed)
    assert said(issued) == [(await notary.leaf(person, 2), ("iban",))]
    assert [one[0] for one in told(issued)] == ["iban"]


async def test_an_entry_that_has_erased_something_is_not_dropped(notary: Notary, tmp_path: Path) -> None:
    """What came before it goes; what it has erased is said for ever, and verification holds."""
    deed = await notary.give("Deed.draw", **GIVEN)
    person = await notary.give("Person.meet", who=Subject("sam"))
    await notary.give("Person.greet", person)
    await notary.give("Person.forget", person)
    nobody = await notary.forget("nobody-knows")
    for _ in range(WIDTH):
        await notary.give("Person.greet", person)
    await notary.give("Person.greet", nobody)
    await notary.give("Person.greet", nobody)
    await notary.log.seal()
    before = said(await notary.issue(deed))
    assert await drop(notary, tmp_path / "export") == WIDTH
    assert (await entries_of(notary, person))[:2] == [3, 4]
    assert await entries_of(notary, nobody) == [3, 4], "it erased nothing, so nothing needs it"
    assert said(await notary.issue(deed)) == before == [(await notary.leaf(person, 3), ("iban",))]
    result = await verify_database(notary.log.admin, app)
    assert (result.findings, [*result.private.erased.values()]) == ([], [1])


async def test_only_what_this_log_has_within_its_size_is_said_in_its_name(notary: Notary) -> None:
    """Leaves of another log have the same numbers."""
    deed = await notary.give("Deed.draw", **GIVEN)
    entry = await notary.log.reads.entry("main", "Deed", deed, 1)
    assert entry is not None
    entry = replace(entry, epoch=2, index=0)
    erased = [ErasedValue("home", 1, 3), ErasedValue("iban", 2, 4), ErasedValue("note", 2, 9)]
    note, gone = await sign_what_is_gone(notary.log.signer, entry, 9, erased)
    assert "\nerased 4 iban\n\n" in (note or "")
    assert [(one.field, one.unsigned) for one in gone] == [
        ("home", "other-log"), ("iban", None), ("note", "no-key"),
    ]  # fmt: skip
    assert (await sign_what_is_gone(notary.log.signer, entry, 9, erased[:1]))[0] is None
