"""Can somebody at a terminal let old entries go, check a log in parts, and believe an old receipt then?"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from avow.cli.group import run
from avow.store.pool import connect
from avow.testing.databases import Databases
from bench.corruptions.hand import UNLOCK
from bench.speed.system import app
from bench.verification.fill import VERSIONS, fill
from tests.fix_database import Database

TARGET = Path(__file__).resolve().parents[2] / "bench" / "speed"
ENTRIES = 600
DROPPED = ENTRIES // 256 * 256
KEY = f"{app.name}.log.key"
WHO = ("--as", "olga", "--reason", "ten years are over")


@dataclass(frozen=True)
class Place:
    """A database with a sealed log of 60 payments, its key beside it, and a way to ask."""

    made: Database
    folder: Path
    payment: str

    def avow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command, in this process: starting one each costs most."""
        out, err = StringIO(), StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            patch.setenv("AVOW_DATABASE_URL", self.made.admin_url)
            patch.setenv("AVOW_LOG_KEY", str(self.folder / KEY))
            patch.setenv("NO_COLOR", "1")
            code = run(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def drop(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Let go what was sealed by now."""
        until = ("--before", "2126-01-01T00:00:00Z", "--export", "kept")
        return self.avow("log", "drop", *until, *WHO, "--target", str(TARGET), *arguments)

    def issue(self, version: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A receipt of one version of the payment."""
        claim = f"captured = {version - 1}"
        where = (f"payments/{self.payment}", claim, "--version", str(version), "--wait-s", "0")
        return self.avow("receipt", "issue", *where, "--target", str(TARGET), *arguments)


@pytest.fixture(scope="module")
def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made, folder = databases.make(app), tmp_path_factory.mktemp("log")

    async def filled() -> str:
        await fill(made, folder, ENTRIES, lambda _: None)
        admin = await connect(made.admin_url)
        found = await admin.fetchval("SELECT id::text FROM avow.leaf ORDER BY index LIMIT 1")
        (folder / "log.pub").write_text(await admin.fetchval("SELECT key FROM avow.log"))
        await admin.close()
        return found

    yield Place(made, folder, asyncio.run(filled()))
    databases.drop(made)


def test_a_log_is_checked_in_parts(place: Place) -> None:
    done = place.avow("verify", str(TARGET), "--resume", "part", "--limit-s", "0")
    assert (done.returncode, (place.folder / "part").exists()) == (4, True), done.stderr
    told = json.loads(place.avow("verify", str(TARGET), "--resume", "part", "--json").stdout)
    assert (told["holds"], told["entries"], told["found"]) == (True, ENTRIES, 0)
    (place.folder / "part").write_text("{}")
    broken = place.avow("verify", str(TARGET), "--resume", "part")
    assert (broken.returncode, "error[usage]" in broken.stderr) == (2, True)
    assert "mend:" in broken.stderr


def test_what_was_dropped_is_said_and_its_receipts_hold(place: Place) -> None:
    """Nothing goes that isn't exported, nor before --yes; old receipts are believed, new ones aren't made."""
    assert place.issue(2, "--out", "old.tlog-proof").returncode == 0
    missing = place.drop("--yes")
    assert (missing.returncode, missing.stderr.split("]")[0]) == (3, "error[export-missing")
    assert place.avow("export", "kept", "--parquet", "--target", str(TARGET)).returncode == 0
    checked = place.avow("export", "kept", "--check", "--parquet", "--key", "log.pub")
    assert (checked.returncode, f"{ENTRIES:,} entries hold" in checked.stdout) == (0, True)
    shown = place.drop()
    assert (shown.returncode, shown.stderr) == (0, "nothing was dropped: --yes does it\n")
    assert f"{DROPPED} of the first {DROPPED} leaves have entries to drop" in shown.stdout
    gone = place.drop("--yes")
    assert gone.stderr.startswith(f"dropped the entries of {DROPPED} leaves; they are in ")
    assert json.loads(place.drop("--yes", "--json").stdout)["dropped"] == 0

    held = place.avow("receipt", "verify", "old.tlog-proof", "--key", "log.pub")
    assert held.stdout.startswith("VALID\ncaptured = 1\n")
    again = place.issue(2)
    assert again.returncode == 1
    assert again.stderr.startswith("error[claim-unproved] The entries up to version ")
    assert "were dropped at 20" in again.stderr
    assert place.issue(VERSIONS, "--out", "new.tlog-proof").returncode == 0

    why = place.avow("why", f"payments/{place.payment}", "amount", "--target", str(TARGET))
    assert "were dropped at" in why.stdout
    told = json.loads(place.avow("verify", str(TARGET), "--json").stdout)
    assert (told["holds"], told["found"]) == (True, 0)
    assert told["entries"] < ENTRIES
    looked = place.avow("doctor", str(TARGET))
    assert f"the entries of {DROPPED} leaves were dropped, last at 20" in looked.stdout


def test_who_drops_and_why_has_to_be_said(place: Place) -> None:
    for missing in ("--as", "--reason", "--before", "--export"):
        options = {"--before": "2016-01-01T00:00:00Z", "--export": "kept", "--as": "olga", "--reason": "x"}
        del options[missing]
        given = [word for option in options.items() for word in option]
        done = place.avow("log", "drop", *given, "--target", str(TARGET), "--yes")
        assert (done.returncode, missing in done.stderr) == (2, True)
    until = ("--before", "2016-01-01T00:00:00Z", "--export", "kept")
    early = place.avow("log", "drop", *until, *WHO, "--target", str(TARGET), "--yes")
    assert early.stderr == "nothing was sealed by then that fills a bundle of 256\n"


def test_doctor_says_whether_the_log_can_be_sealed(place: Place) -> None:
    """The key beside it is the log's; another one would seal nothing."""
    assert "the key of its newest log is here" in place.avow("doctor", str(TARGET)).stdout
    key = place.folder / KEY
    held = key.read_text()
    key.unlink()
    try:
        done = place.avow("doctor", str(TARGET))
        assert done.returncode == 1
        assert "OFF log key" in done.stdout
    finally:
        key.write_text(held)
        key.chmod(0o600)


def test_an_edit_is_found_though_the_log_was_checked_before(place: Place) -> None:
    async def edit() -> None:
        admin = await connect(place.made.admin_url)
        await admin.execute(UNLOCK)
        await admin.execute(
            "UPDATE payment.payments SET captured = captured + 1 WHERE id::text = $1", place.payment
        )
        await admin.close()

    asyncio.run(edit())
    done = place.avow("verify", str(TARGET))
    assert (done.returncode, place.payment in done.stdout) == (1, True)
