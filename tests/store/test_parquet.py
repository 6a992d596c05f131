"""The log as Parquet files: a row for each entry, checked like the export that they are made of."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from avow.engine.log import parquet
from avow.engine.log.epochs import begin_epoch
from avow.engine.log.export import export
from avow.engine.log.tiles import Damaged, Folder
from avow.evidence.verifier import VerifierKey
from tests.acting import acting
from tests.fix_database import Database
from tests.store.sealed import Log, sealing

files: Any = import_module("pyarrow.parquet")


def silent(done: int, total: int) -> None:
    """Nobody looks at how far it is."""


async def written(log: Log, out: Path, key: VerifierKey) -> int:
    """Export, and write the Parquet files of the first epoch; gives back how many of them were kept."""
    await export(log.admin, out, silent)
    return parquet.write(Folder(out / "epoch-1"), key, silent)


def sum_up(file: Path) -> None:
    """Take the sum of a file anew, as somebody does who changes it on purpose."""
    told = f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
    file.with_name(f"_{file.name}.sha256").write_text(told)


def damaged(out: Path, key: VerifierKey) -> bool:
    try:
        parquet.check(Folder(out / "epoch-1"), key)
    except Damaged:
        return True
    return False


async def test_each_entry_is_a_row_and_nothing_else_is(
    made: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS_MAX", 256)
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log, acting(made) as people:
        hall = await people.do("Hall", "found", None, {"name": "long " * 900, "places": 9}, "ann", "clerk")
        await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.append(1, 298)
        await log.seal()
        key = log.signer.verifier
        assert await written(log, out, key) == 0
        place = out / "epoch-1" / "parquet"
        assert sorted(path.name for path in place.iterdir()) == [
            "_checkpoint", "_entries-000000.parquet.sha256", "_entries-000001.parquet.sha256",
            "entries-000000.parquet", "entries-000001.parquet",
        ]  # fmt: skip
        assert parquet.check(Folder(out / "epoch-1"), key).size == 300
        assert files.read_table(place).num_rows == 300  # the folder as one table
        rows = files.read_table(place / "entries-000000.parquet").to_pylist()
        stored = await log.admin.fetch("SELECT header FROM avow.audit ORDER BY entry LIMIT 256")
        assert [row["entry"] for row in rows] == [row[0] for row in stored]
        expected = {
            "leaf": 1, "kind": "Hall", "id": str(hall), "version": 2, "transition": "sell_one",
            "to": "opened", "subject": "ann",
        }  # fmt: skip
        assert {name: rows[1][name] for name in expected} == expected
        assert json.loads(rows[1]["changes"]) == {"sold": 1}
        assert set(json.loads(rows[0]["changes"])["name"]) == {"sha256"}
        assert rows[0]["at"].isoformat().startswith(json.loads(stored[0][0])["at"][:19])
        assert rows[2]["kind"] is None  # no entry: the bytes alone
        # What was written before is kept, what wasn't full or is damaged is written anew.
        assert await written(log, out, key) == 2
        await log.append(299, 50)
        await log.seal()
        await begin_epoch(log.admin, "theatre", log.key, "another key")
        assert await written(log, out, key) == 1
        assert parquet.check(Folder(out / "epoch-1"), key).size == 350
        parquet.write(Folder(out / "epoch-2"), log.signer.verifier, silent)
        [first] = files.read_table(out / "epoch-2" / "parquet" / "entries-000000.parquet").to_pylist()
        assert first["entry"].startswith(b"theatre")


async def test_damage_of_any_file_or_column_is_found(made: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log, acting(made) as people:
        hall = await people.do("Hall", "found", None, {"name": "a", "places": 9}, "ann")
        await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.seal()
        key = log.signer.verifier
        await written(log, out, key)
    file = out / "epoch-1" / "parquet" / "entries-000000.parquet"
    whole, table = file.read_bytes(), files.read_table(file)
    for name in table.column_names:
        rows = table.to_pylist()
        rows[0][name], rows[1][name] = rows[1][name], rows[0][name]
        if rows == table.to_pylist():
            rows[0][name] = {"cause_version": 7}.get(name, "x") if rows[0][name] is None else None
        files.write_table(table.from_pylist(rows, table.schema), file)
        sum_up(file)
        assert damaged(out, key), name
    for data in (b"", whole[:-1], whole[:100], b"PAR1" * 20, whole[:60] + bytes(40) + whole[100:]):
        file.write_bytes(data)
        sum_up(file)
        assert damaged(out, key)
    file.unlink()
    assert damaged(out, key)
    file.write_bytes(whole)
    sum_up(file)
    assert not damaged(out, key)
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert damaged(out, key), place
    file.write_bytes(whole)
    (out / "epoch-1" / "parquet" / "_checkpoint").unlink()
    assert damaged(out, key)


async def test_what_a_file_states_of_its_columns_is_compared_with_them(
    made: Database, tmp_path: Path
) -> None:
    """Programs pass over a file in which, by its own word, there can be no row that is asked for."""
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log, acting(made) as people:
        hall = await people.do("Hall", "found", None, {"name": "a", "places": 9}, "ann")
        await people.do("Hall", "sell_one", hall, {}, "ann")
        await log.seal()
        key = log.signer.verifier
        await written(log, out, key)
    file = out / "epoch-1" / "parquet" / "entries-000000.parquet"
    whole = file.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    place = whole.rindex(b"sell_one", footer, whole.index(b"ARROW:schema"))
    file.write_bytes(whole[:place] + b"aaaa_one" + whole[place + 8 :])
    sum_up(file)
    assert files.read_table(file).column("transition").to_pylist() == ["found", "sell_one"]
    with pytest.raises(Damaged, match="states bounds"):
        parquet.check(Folder(out / "epoch-1"), key)


async def test_nothing_is_made_of_an_export_that_is_damaged(made: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        await log.seal()
        await export(log.admin, out, silent)
        [bundle] = (out / "epoch-1" / "tile" / "entries").rglob("3")
        bundle.write_bytes(bundle.read_bytes().replace(b"entry 2", b"entry 7"))
        with pytest.raises(Damaged, match="aren't those that the checkpoint"):
            parquet.write(Folder(out / "epoch-1"), log.signer.verifier, silent)
        assert not (out / "epoch-1" / "parquet" / "_checkpoint").exists()


def test_without_pyarrow_the_command_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from avow.cli.group import run\n"
        f"sys.exit(run(['export', {str(tmp_path)!r}, '--check', '--parquet']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "error[usage] --parquet needs pyarrow" in done.stderr
    assert "pip install 'avow[parquet]'" in done.stderr
