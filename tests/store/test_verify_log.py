"""Whatever a superuser changes in the log, its leaves and its checkpoints is found, by name of the record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow.engine.log.sealer import Steps
from avow.engine.verify import Outside, Verification, verify
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.log_check import Saved
from avow.evidence.note import SecretKey, Signer
from avow.evidence.verifier import parse_note
from avow.store.log.scan import LogScan
from bench.corruptions.hand import UNLOCK, Backup
from tests.acting import acting
from tests.fix_database import Database
from tests.store.sealed import Log, sealing
from tests.store.theatre import theatre

OTHER_KEY = Signer("x", SecretKey(b"k" * 32)).verifier.text
HALLS = 4
NEWEST = 2 * HALLS
"""The last entry, by its number."""


@dataclass
class Sealed:
    """Halls with two entries each under three checkpoints, which somebody outside has saved.

    before: the log's state before the last entry, size and stack.
    """

    log: Log
    halls: list[UUID]
    saved: list[Saved]
    before: Any = None

    async def check(self, saved: Sequence[Saved] = (), **options: Any) -> Verification:
        keys = (self.log.signer.verifier,)
        return await verify(self.log.admin, theatre, outside=Outside(keys, tuple(saved)), **options)

    async def keep(self) -> None:
        await self.log.seal()
        note = self.log.key.newest()
        assert note is not None
        checkpoint = open_checkpoint(note, self.log.signer.verifier).checkpoint
        self.saved.append(Saved(checkpoint, f"saved-{len(self.saved)}"))

    async def cut(self) -> None:
        """Make everything as it was before the last entry: the database alone can't tell."""
        await self.log.admin.execute(UNLOCK)
        await self.log.admin.execute(CUT + CUT_LOG)
        await self.log.admin.execute(
            "UPDATE avow.log_state SET size = $1, stack = $2, reached = $1", *self.before
        )


@pytest.fixture
async def sealed(made: Database, tmp_path: Path) -> AsyncIterator[Sealed]:
    async with sealing(made, tmp_path) as log, acting(made) as people:
        made_of = Sealed(log, [], [])
        for number in range(HALLS):
            given = {"name": f"hall {number}", "places": 3}
            made_of.halls.append(await people.do("Hall", "found", None, given, "ann"))
        await made_of.keep()
        for hall in made_of.halls[: HALLS - 1]:
            await people.do("Hall", "sell_one", hall, {}, "ann")
        await made_of.keep()
        made_of.before = await log.admin.fetchrow("SELECT size, stack FROM avow.log_state")
        await people.do("Hall", "sell_one", made_of.halls[-1], {}, "ann")
        await made_of.keep()
        yield made_of


def found(result: Verification) -> set[tuple[str, str, int]]:
    """What was found: code, record, version."""
    return {(finding.code, finding.id, finding.version) for finding in result.findings}


async def test_a_sealed_log_holds_and_says_what_it_covers(sealed: Sealed, made: Database) -> None:
    """An entry that waits for its leaf is no finding."""
    async with acting(made) as people:
        await people.do("Hall", "sell_one", sealed.halls[0], {}, "ann")
    result = await sealed.check(sealed.saved)
    assert result.findings == []
    logs = result.logs
    assert (logs.epochs, logs.leaves, logs.covered, logs.unsealed) == (1, NEWEST, NEWEST, 1)
    assert logs.checkpoints == 3 + len(sealed.saved)
    assert logs.compared == ["saved-0", "saved-1", "saved-2"]


CUT = f"""
    DELETE FROM avow.audit WHERE entry = {NEWEST};
    UPDATE theatre.halls r SET version = 1, head = a.hash, sold = 0,
        changed_at = (convert_from(a.header, 'UTF8')::jsonb ->> 'at')::timestamptz
    FROM avow.audit a WHERE a.version = 1 AND a.entry = {HALLS} AND a.id = r.id;
"""
"""What the chain alone can't find: the newest entry of a record is cut off, and its row set back."""
CUT_LOG = f"DELETE FROM avow.leaf WHERE entry = {NEWEST}; DELETE FROM avow.checkpoint WHERE size = {NEWEST}"
REWRITE = f"""
    UPDATE avow.audit SET header = t.new, hash = sha256('\\x00'::bytea || t.new) FROM (
        SELECT convert_to(replace(convert_from(header, 'UTF8'), '"ann"', '"bob"'), 'UTF8') AS new
        FROM avow.audit WHERE entry = {NEWEST}) t WHERE entry = {NEWEST};
    UPDATE theatre.halls r SET head = a.hash FROM avow.audit a WHERE a.entry = {NEWEST} AND r.id = a.id;
"""
"""A last entry, rewritten with its hash and its row's head: the chain holds."""
REWRITE_LEAF = REWRITE + "UPDATE avow.leaf l SET hash = a.hash FROM avow.audit a WHERE a.entry = l.entry"

OF_A_RECORD = {
    "the newest entry is cut off": (CUT, "entry-removed"),
    "the newest entry is rewritten": (REWRITE, "leaf-altered"),
    "the newest entry and its leaf are rewritten": (REWRITE_LEAF, "leaves-altered"),
    "a leaf's hash": (f"UPDATE avow.leaf SET hash = sha256('x') WHERE entry = {NEWEST}", "leaf-altered"),
    "a leaf is taken away": (f"DELETE FROM avow.leaf WHERE entry = {NEWEST}", "leaf-missing"),
}
WITNESS = Signer("w", SecretKey(b"w" * 32))
COSIGN = f"INSERT INTO avow.cosignature (epoch, size, key, line) SELECT 1, 7, '{WITNESS.cosigner.text}',"
MOVE = "UPDATE avow.leaf SET index = {} WHERE index = {}"
OF_THE_LOG = {
    "a leaf is another record's": (
        "UPDATE avow.leaf SET id = gen_random_uuid() WHERE index = 2",
        "leaf-altered",
    ),
    "two leaves, swapped": (
        f"{MOVE.format(-1, 2)}; {MOVE.format(2, 3)}; {MOVE.format(3, -1)}",
        "leaves-altered",
    ),
    "a leaf in the middle, away": ("DELETE FROM avow.leaf WHERE index = 2", "log-cut"),
    "a checkpoint's root": (
        "UPDATE avow.checkpoint SET root = sha256('x') WHERE size = 7",
        "checkpoint-altered",
    ),
    "a checkpoint's time": (
        "UPDATE avow.checkpoint SET at = at - interval '1 day' WHERE size = 7",
        "checkpoint-altered",
    ),
    "a checkpoint's signature": (
        "UPDATE avow.checkpoint SET note = overlay(note PLACING 'AAA' FROM length(note) - 9) WHERE size = 7",
        "checkpoint-altered",
    ),
    "a checkpoint in another's place": (
        "UPDATE avow.checkpoint c SET note = o.note FROM avow.checkpoint o WHERE c.size = 7 AND o.size = 4",
        "checkpoint-altered",
    ),
    "the newest checkpoint, away": ("DELETE FROM avow.checkpoint WHERE size = 8", "log-altered"),
    "a leaf beyond the log": (
        "INSERT INTO avow.leaf (epoch, index, hash) VALUES (1, 8, sha256('x'))",
        "log-altered",
    ),
    "a node that isn't one": ("INSERT INTO avow.node VALUES (1, 1, 0, sha256('x'))", "node-altered"),
    "what the sealer goes on from": ("UPDATE avow.log_state SET stack = '{}'", "log-altered"),
    "the log's key": (
        f"UPDATE avow.log SET key = regexp_replace('{OTHER_KEY}', '^x', origin)",
        "log-altered",
    ),
    "how far it has come, away": ("DELETE FROM avow.log_state", "log-altered"),
    "how far it has come, of another epoch": ("UPDATE avow.log_state SET epoch = 2", "log-altered"),
    "a witness's line that isn't one": (f"{COSIGN} 'x'", "cosignature-altered"),
    "a witness's line over something else": (
        f"{COSIGN} '{WITNESS.cosign('else', 7)}'",
        "cosignature-altered",
    ),
    "a witness's line of no checkpoint": (
        f"{COSIGN} '{WITNESS.cosign('x', 7)}'; DELETE FROM avow.checkpoint WHERE size = 7",
        "cosignature-altered",
    ),
}


async def test_each_edit_is_found_and_one_of_a_record_by_its_name(sealed: Sealed) -> None:
    backup = Backup(sealed.log.admin, "theatre")
    await backup.take()
    missed = list[str]()
    for name, (sql, code) in (OF_A_RECORD | OF_THE_LOG).items():
        await sealed.log.admin.execute(sql)
        result = await sealed.check()
        wanted = (code, str(sealed.halls[-1]), 2) if name in OF_A_RECORD else code
        if wanted not in found(result) | {finding.code for finding in result.findings}:
            missed.append(f"{name}: {found(result)}")
        await backup.restore()
    assert missed == []
    assert (await sealed.check(sealed.saved)).findings == []


async def test_what_a_witness_has_signed_holds(sealed: Sealed) -> None:
    """Also more of it than is read at once."""
    notes = await sealed.log.admin.fetch("SELECT size, note FROM avow.checkpoint ORDER BY size")
    signers = [Signer(f"w{number}", SecretKey(bytes([number]) * 32)) for number in range(3)]
    rows = [
        (size, each.cosigner.text, each.cosign(parse_note(note.encode()).text, 7))
        for size, note in notes
        for each in signers
    ]
    for row in rows:
        await sealed.log.admin.execute("SELECT avow.keep_cosignature(1, $1, $2, $3)", *row)
    assert (await sealed.check()).findings == []
    seen = [kept async for kept in LogScan(sealed.log.admin, None).cosignatures(1, most=4)]
    assert [(kept.size, kept.key, kept.line) for kept in seen] == sorted(rows)


async def test_a_log_that_was_cut_consistently_is_found_by_a_checkpoint_kept_elsewhere(
    sealed: Sealed,
) -> None:
    await sealed.cut()
    assert (await sealed.check()).findings == []
    result = await sealed.check(sealed.saved)
    assert [(f.code, f.detail.rpartition(" by ")[2]) for f in result.findings] == [("log-cut", "saved-2")]


async def test_another_history_is_found_by_a_checkpoint_kept_elsewhere(
    sealed: Sealed, made: Database
) -> None:
    """Cut consistently, gone on from there, and signed with the stolen key: the record is named."""
    await sealed.cut()
    sealed.log.key.checkpoint.unlink()
    async with acting(made) as people:
        await people.do("Hall", "sell_one", sealed.halls[0], {}, "eve")
    steps = Steps("theatre", sealed.log.admin, sealed.log.key)
    await steps.take_over()
    await steps.step()
    assert (await sealed.check()).findings == []
    assert found(await sealed.check(sealed.saved)) == {("log-forked", str(sealed.halls[0]), 3)}


async def test_one_tenant_checks_the_whole_tree_and_its_own_entries(sealed: Sealed, made: Database) -> None:
    async with acting(made) as people:
        await people.do("Hall", "found", None, {"name": "x", "places": 1}, "ann", tenant="other")
    await sealed.keep()
    result = await sealed.check(sealed.saved, tenant="other")
    assert (result.findings, result.entries, result.logs.leaves) == ([], 1, NEWEST + 1)
