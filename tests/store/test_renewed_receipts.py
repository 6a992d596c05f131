"""A receipt that somebody holds is renewed: the same entry, with what the log says by now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from avow.engine.explain import Operator
from avow.engine.log.proving import Logs
from avow.engine.log.receipts import Asked, issue
from avow.engine.log.renewing import Held, renew
from avow.engine.log.tiles import WIDTH
from avow.errors import EnvironmentFault, ProblemError, UsageError
from avow.evidence.note import SecretKey, Signer
from avow.evidence.verifier import (
    parse_policy,
    parse_receipt,
    verify,
)
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.pool import Pool
from avow.store.reads import Reads
from examples.enrollment.system import app as enrollment
from tests.acting import acting
from tests.fix_database import MakeDatabase
from tests.store.deeds import app
from tests.store.notary import GIVEN, Notary, drop, entries_of, lent, opened, read, said
from tests.store.sealed import sealing
from tests.unit.evidence.receipts import WITNESS


@pytest.fixture
async def notary(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Notary]:
    async with opened(database(app), tmp_path) as made:
        yield made


async def test_a_receipt_is_renewed_with_what_the_log_says_by_now(notary: Notary) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.give("Deed.move", deed, home="York 2")
    await notary.log.seal()
    old = await notary.issue(deed, 1)
    same = await notary.renew(old)
    assert (same.text, same.erased) == (old.text, ()), "nothing has happened since"
    person = await notary.forget("bea")
    await notary.give("Deed.close", deed)
    await notary.log.seal()
    new = await notary.renew(old, current=notary.log.signer)
    assert (new.version, new.claim, new.index) == (1, old.claim, old.index)
    assert new.size > old.size
    assert said(new) == [(await notary.leaf(person, 2), ("home",))]
    head = read(new).head
    assert head is not None
    assert head.version == 3
    assert read(await notary.renew(new)).head is None, "it says no more than is asked for"


async def cosign(notary: Notary) -> int:
    """A witness stands for the newest checkpoint; its size."""
    newest = await notary.log.reads.newest_checkpoint(1)
    assert newest is not None
    line = WITNESS.cosign(newest.note.partition("\n\n")[0] + "\n", int(newest.at.timestamp()))
    await notary.logs().cosignatures.keep(1, newest.size, WITNESS.cosigner.text, line)
    return newest.size


async def test_who_asks_for_witnesses_believes_what_says_what_was_erased(notary: Notary) -> None:
    """It rests on a checkpoint that witnesses stand for, as soon as there is one over all that is said."""
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    await cosign(notary)
    old = await notary.issue(deed)
    await notary.forget("sam")
    await notary.log.seal()
    assert (await notary.issue(deed)).witnesses == (await notary.renew(old)).witnesses == ()
    assert len(said(await notary.renew(old))) == 1
    await notary.give("Deed.move", deed, home="York 2")
    await notary.log.seal()
    size = await cosign(notary)
    await notary.give("Deed.move", deed, home="York 3")
    await notary.log.seal()
    for issued in (await notary.issue(deed, 1), await notary.renew(old)):
        assert (issued.size, issued.witnesses, len(said(issued))) == (size, (WITNESS.name,), 1)
    policy = parse_policy(f"log {old.log}\nwitness w {WITNESS.cosigner.text}\nquorum w\n")
    assert verify((await notary.renew(old)).text.encode(), policy).erased is not None
    assert (await notary.renew(old, current=notary.log.signer)).size == size + 1


OTHER = Signer("other.example/w", SecretKey(b"o" * 32))
FORGED = {
    "of something else": OTHER.cosign("else\n", 7),
    "by another key": WITNESS.cosign("else\n", 7),
    "no line": "x",
    "two lines": OTHER.cosign("else\n", 7) * 2,
}


@pytest.mark.parametrize("line", FORGED.values(), ids=FORGED)
async def test_what_is_kept_as_a_witness_s_line_and_is_none_makes_no_receipt_invalid(
    notary: Notary, line: str
) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    size = await cosign(notary)
    await notary.logs().cosignatures.keep(1, size, OTHER.cosigner.text, line)
    issued = await notary.issue(deed)
    assert issued.witnesses == (WITNESS.name,)
    policy = parse_policy(
        f"log {issued.log}\nwitness w {WITNESS.cosigner.text}\nwitness o {OTHER.cosigner.text}\n"
        "group any 1 w o\nquorum any\n"
    )
    verify(issued.text.encode(), policy)


async def test_a_receipt_is_renewed_whose_entry_was_dropped(notary: Notary, tmp_path: Path) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    old = await notary.issue(deed)
    person = await notary.forget("sam")
    for _ in range(WIDTH):
        await notary.give("Deed.move", deed, home="York 2")
    await notary.log.seal()
    await drop(notary, tmp_path / "export")
    assert 1 not in await entries_of(notary, deed)
    with pytest.raises(ProblemError, match="dropped"):
        await notary.issue(deed, 1)
    new = await notary.renew(old)
    assert parse_receipt(new.text.encode()).header == parse_receipt(old.text.encode()).header
    assert said(new) == [(await notary.leaf(person, 2), ("iban",))]


async def test_what_is_no_receipt_of_this_database_is_not_renewed(
    notary: Notary, database: MakeDatabase, tmp_path: Path
) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    old = await notary.issue(deed)
    with pytest.raises(UsageError, match="of the tenant main"):
        await notary.renew(old, tenant="other")
    with pytest.raises(UsageError, match="INVALID: not a receipt"):
        await notary.renew("nothing")
    with pytest.raises(UsageError, match="INVALID: there is no such leaf"):
        await notary.renew(old.text.replace("\nindex 0\n", "\nindex 1\n"))
    (tmp_path / "other").mkdir()
    made = database(app)
    async with sealing(made, tmp_path / "other") as log:
        logs, held = Logs(lambda: lent(log.admin)), Held(old.text.encode())
        with pytest.raises(UsageError, match="which this database doesn't have"):
            await renew(app, Reads(app, notary.pool), logs, Operator("main"), held)


async def test_a_log_that_has_lost_or_changed_what_it_has_signed_renews_nothing(notary: Notary) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    await notary.give("Deed.move", deed, home="York 2")
    await notary.log.seal()
    old = await notary.issue(deed, 2)
    await notary.log.admin.execute("BEGIN")
    await notary.log.admin.execute("ALTER TABLE avow.checkpoint DISABLE TRIGGER ALL")
    await notary.log.admin.execute("ALTER TABLE avow.leaf DISABLE TRIGGER ALL")
    await notary.log.admin.execute("DELETE FROM avow.checkpoint WHERE size > 1")
    held, logs = Held(old.text.encode()), Logs(lambda: lent(notary.log.admin))
    with pytest.raises(EnvironmentFault, match="has 1 leaves here, and when it signed the receipt it had 2"):
        await renew(app, Reads(app, notary.pool), logs, Operator("main"), held)
    await notary.log.admin.execute("ROLLBACK")
    await notary.log.admin.execute("BEGIN")
    await notary.log.admin.execute("ALTER TABLE avow.leaf DISABLE TRIGGER ALL")
    await notary.log.admin.execute("UPDATE avow.leaf SET hash = sha256('x') WHERE index = 0")
    with pytest.raises(EnvironmentFault, match="aren't those that it signed"):
        await renew(app, Reads(app, notary.pool), logs, Operator("main"), held)
    await notary.log.admin.execute("ROLLBACK")


async def test_a_receipt_is_renewed_for_who_may_see_all_that_it_shows(notary: Notary) -> None:
    deed = await notary.give("Deed.draw", **GIVEN)
    await notary.log.seal()
    old = Held((await notary.issue(deed)).text.encode())
    for roles, found in [({"clerk"}, True), (set[str](), False)]:
        reader = Actor(Subject("eve"), "main", frozenset(roles), "key")
        renewed = await renew(app, Reads(app, notary.pool), notary.logs(), reader, old)
        assert (renewed is not None) is found


async def test_a_receipt_is_not_renewed_for_who_may_not_see_a_record_that_it_names(
    database: MakeDatabase, tmp_path: Path
) -> None:
    """Everybody reads the course; whose place was taken is the business of who may read that enrollment."""
    made = database(enrollment)
    (tmp_path / "log").mkdir()
    async with acting(made) as act, sealing(made, tmp_path / "log") as log:
        course = await act.do("Course", "announce", None, {"title": "Greek", "seats": 3}, "rita", "registrar")
        place = await act.do("Enrollment", "start", None, {"course": course}, "ana")
        await act.do("Enrollment", "submit", place, {"essay": "because"}, "ana")
        await act.do("Enrollment", "verify", place, {}, "rita", "registrar")
        await act.do("Enrollment", "approve", place, {}, "dora", "dean")
        await log.seal()
        pool = Pool(made.application_url)
        logs, asked = Logs(pool.borrow), Asked(enrollment.entities["Course"], course, "taken = 1")
        issued = await issue(enrollment, act.reads, logs, Operator("main"), asked)
        assert issued is not None
        held = Held(issued.text.encode())
        ana, zoe = (Actor(Subject(who), "main", frozenset(), "key") for who in ("ana", "zoe"))
        assert await renew(enrollment, act.reads, logs, ana, held) is not None
        with pytest.raises(ProblemError, match="you may not see one"):
            await renew(enrollment, act.reads, logs, zoe, held)
        await pool.close()
