"""The log as files: what is written was checked, what is read is checked, what broke off is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from avow.engine.log.epochs import begin_epoch
from avow.engine.log.export import Exported, export
from avow.engine.log.tiles import Damaged, Folder, demand_linked, epochs_in, place_of, read
from avow.evidence.checkpoint import sign
from avow.evidence.note import SecretKey, Signer
from avow.evidence.verifier import Checkpoint, VerifierKey
from bench.corruptions.hand import UNLOCK
from tests.fix_database import Database
from tests.store.sealed import Log, sealing

ENTRIES = 600


async def write(log: Log, out: Path) -> list[Exported]:
    return await export(log.admin, out, lambda done, total: None)


def files(out: Path) -> list[Path]:
    """Everything that a reader rests on."""
    return sorted(path for path in out.rglob("*") if path.is_file() and path.name != "key")


def damage_each(out: Path, key: VerifierKey) -> list[str]:
    """Turn over one bit of each file, one after the other; gives back the files in which nobody noticed."""
    missed = list[str]()
    for path in files(out):
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            try:
                read(Folder(out), key)
                missed.append(f"{path}:{place}")
            except Damaged:
                pass
        path.unlink()
        with pytest.raises(Damaged):
            read(Folder(out), key)
        path.write_bytes(whole)
    return missed


def cut(out: Path, number: int) -> None:
    """Leave a folder as somebody leaves it who is killed while writing."""
    (out / "checkpoint").unlink()
    for path in files(out):
        if path.name == f"{number:03}" or path.parent.name.endswith(".p"):
            path.unlink()


async def test_a_log_is_written_as_files_that_are_checked_without_the_database(
    made: Database, tmp_path: Path
) -> None:
    """Damage of any file is found; a longer log goes on where the files end."""
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log:
        await log.append(1, ENTRIES)
        await log.seal()
        key = log.signer.verifier
        assert await write(log, out) == [Exported(key.name, ENTRIES, 0)]
        assert read(Folder(out / "epoch-1"), key).size == ENTRIES
        names = {str(path.relative_to(out / "epoch-1")) for path in files(out)}
        assert names == {
            "checkpoint", "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2",
            "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
        }  # fmt: skip
        assert damage_each(out / "epoch-1", key) == []
        cut(out / "epoch-1", 1)
        with pytest.raises(Damaged, match="wasn't finished"):
            read(Folder(out / "epoch-1"), key)
        assert await write(log, out) == [Exported(key.name, ENTRIES, 256)]
        await log.append(ENTRIES + 1, 300)
        await log.seal()
        await begin_epoch(log.admin, "theatre", log.key, "another key")
        done = await write(log, out)
        assert [(one.size, one.kept) for one in done] == [(ENTRIES + 300, 512), (1, 0)]
        assert read(Folder(out / "epoch-1"), key).size == ENTRIES + 300
        assert read(Folder(out / "epoch-2"), log.signer.verifier).size == 1


async def test_nothing_is_written_under_a_checkpoint_that_it_does_not_come_to(
    made: Database, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log:
        await log.append(1, 300)
        await log.seal()
        await log.admin.execute(UNLOCK)
        await log.admin.execute("UPDATE avow.audit SET header = header || '!' WHERE entry = 200")
        with pytest.raises(Damaged, match="leaf 199 isn't its entry"):
            await write(log, out)
        await log.admin.execute(
            "UPDATE avow.audit SET hash = sha256('\\x00'::bytea || header);"
            "UPDATE avow.leaf l SET hash = a.hash FROM avow.audit a WHERE a.entry = l.entry"
        )
        with pytest.raises(Damaged, match="aren't those that checkpoint 300 was signed over"):
            await write(log, out)
        assert Folder(out / "epoch-1").checkpoint() is None


async def test_a_log_is_not_written_over_one_that_it_does_not_go_on_from(
    made: Database, tmp_path: Path
) -> None:
    """A database that was restored, or a log that was forked, is told by the checkpoint in the folder."""
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log:
        await log.append(1, 300)
        await log.seal()
        await log.append(301, 300)
        await log.seal()
        await write(log, out)
        whole = {path: path.read_bytes() for path in files(out)}
        forked = Checkpoint(log.signer.name, 299, bytes(32))
        (out / "epoch-1" / "checkpoint").write_text(sign(forked, log.signer, 1))
        with pytest.raises(Damaged, match="first 299 leaves aren't those that the folder's checkpoint"):
            await write(log, out)
        (out / "epoch-1" / "checkpoint").write_bytes(whole[out / "epoch-1" / "checkpoint"])
        await log.admin.execute(UNLOCK)
        await log.admin.execute("DELETE FROM avow.checkpoint WHERE size = 600")
        with pytest.raises(Damaged, match="the folder has 600 leaves, and the database 300"):
            await write(log, out)
        assert {path: path.read_bytes() for path in files(out)} == whole


async def test_what_was_exported_goes_on_from_epoch_to_epoch(made: Database, tmp_path: Path) -> None:
    """A folder that is gone, or of another log, is missed though each of the others holds."""
    out, keys = tmp_path / "out", list[VerifierKey]()
    async with sealing(made, tmp_path) as log:
        for number in range(11):
            if number:
                await begin_epoch(log.admin, "theatre", log.key, f"reason {number}")
                await log.steps.take_over()
            if number != 4:  # the fifth epoch is only its first leaf
                await log.append(1 + 300 * number, 300 if number < 2 else 2)
                await log.seal()
            keys.append(log.signer.verifier)
        await write(log, out)
    folders = epochs_in(out)
    assert [path.name for path in folders] == [f"epoch-{number}" for number in range(1, 12)]
    demand_linked(folders, keys)
    demand_linked(folders[:1], keys[:1])
    for gone in (0, 3, 9):
        left = [path for place, path in enumerate(folders) if place != gone]
        with pytest.raises(Damaged, match=f"epoch-{gone + 1} is missing"):
            demand_linked(left, keys[:gone] + keys[gone + 1 :])
    shorter = Checkpoint(keys[1].name, 2**40, bytes(32))
    (folders[1] / "checkpoint").write_text(sign(shorter, Signer(keys[1].name, SecretKey(b"k" * 32)), 1))
    with pytest.raises(Damaged, match="doesn't go on from"):
        demand_linked(folders, keys)


async def test_a_file_that_can_not_be_read_is_damaged(made: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log:
        await log.append(1, ENTRIES)
        await log.seal()
        await write(log, out)
        for path in files(out):
            path.rename(tmp_path / "aside")
            path.mkdir()
            with pytest.raises(Damaged, match=f"{path.name} can't be read"):
                read(Folder(out / "epoch-1"), log.signer.verifier)
            path.rmdir()
            (tmp_path / "aside").rename(path)


def test_tiles_have_the_paths_of_the_format() -> None:
    """Of c2sp.org/tlog-tiles: x001/x234/067 is its own example."""
    assert [place_of(number) for number in (0, 999, 1000, 1234067)] == [
        "000",
        "999",
        "x001/000",
        "x001/x234/067",
    ]
