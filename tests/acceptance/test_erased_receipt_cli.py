"""Somebody holds a receipt, a person is forgotten, and the receipt is sent in: what does everybody read?"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from uuid import UUID

import pytest

from avow.evidence.verifier.__main__ import main as verifier
from avow.testing.databases import Databases
from examples.enrollment.system import app as other_app
from tests.acceptance.running import run_here
from tests.contract.systems.clinic import app
from tests.fix_database import Database
from tests.store.sealed import Log, sealing
from tests.store.test_private import Clinic, opened

CLINIC = Path(__file__).resolve().parents[1] / "contract" / "systems" / "clinic.py"
KNOWN = "state = known"


@dataclass
class Place:
    """A clinic with a log, and one patient who was forgotten after their receipt was handed out."""

    made: Database
    folder: Path
    patient: UUID
    leaf: int

    def avow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command, with the key of the log, in this process."""
        return run_here(self.made, self.folder, *arguments, **environment)

    def issue(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        record = f"patients/{self.patient}"
        return self.avow(
            "receipt", "issue", record, KNOWN, "--target", str(CLINIC), *arguments, **environment
        )

    def renew(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.avow("receipt", "renew", *arguments, "--target", str(CLINIC), **environment)

    def verified(self, file: str) -> dict[str, object]:
        done = self.avow("receipt", "verify", file, "--key", "log.pub", "--json", AVOW_DATABASE_URL="")
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout)


async def erasing_leaf(log: Log, clinic: Clinic) -> int:
    await clinic.forget("pat")
    await log.seal()
    return await log.admin.fetchval("SELECT max(index) FROM avow.leaf")


@pytest.fixture(scope="module")
def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made, folder = databases.make(app), tmp_path_factory.mktemp("log")

    async def fill() -> Place:
        async with opened(made, folder / "keys") as clinic, sealing(made, folder) as log:
            patient = await clinic.admit(passport="Canary-Passport")
            await log.seal()
            held = Place(made, folder, patient, 0)
            done = await asyncio.to_thread(held.issue, "--out", "old.tlog-proof")
            assert (done.returncode, done.stderr) == (0, "of version 1; witnessed by: nobody\n")
            held.leaf = await erasing_leaf(log, clinic)
            return held

    yield asyncio.run(fill())
    databases.drop(made)


def test_the_receipt_that_is_issued_now_says_what_was_erased(place: Place) -> None:
    done = place.issue("--out", "now.tlog-proof", "--page", "now.html")
    said = f"erased at leaf {place.leaf}: passport\n"
    assert (done.returncode, done.stderr) == (0, f"of version 1; witnessed by: nobody\n{said}")
    told = place.verified("now.tlog-proof")
    assert told["erased"] == [{"field": "passport", "leaf": place.leaf}]
    line = f"erased at leaf {place.leaf}, as the log says: passport\n"
    assert str(told["statement"]).endswith(line)
    assert line in (place.folder / "now.html").read_text()
    out = StringIO()
    with redirect_stdout(out):
        files = [str(place.folder / name) for name in ("now.tlog-proof", "log.pub")]
        assert verifier([files[0], "--key", files[1]]) == 0
    assert out.getvalue().endswith(line)
    assert "Canary" not in (place.folder / "now.tlog-proof").read_text()


def test_verification_names_the_same_leaf(place: Place) -> None:
    done = place.avow("verify", str(CLINIC), AVOW_PRIVATE_KEY=str(place.folder / "keys"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"1 erased at entry [0-9]+ \(leaf {place.leaf}\)", done.stdout)
    told = json.loads(place.avow("verify", str(CLINIC), "--json").stdout)["private"]
    assert [*told["leaves"].values()] == [{"epoch": 1, "leaf": place.leaf}]
    assert told["leaves"].keys() == told["erased"].keys()


def test_the_old_receipt_is_valid_says_nothing_of_it_and_is_renewed(place: Place) -> None:
    assert place.verified("old.tlog-proof")["erased"] == []
    done = place.renew("old.tlog-proof", "--out", "new.tlog-proof", "--page", "new.html", "--current")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1:] == [f"erased at leaf {place.leaf}: passport"]
    old, new = place.verified("old.tlog-proof"), place.verified("new.tlog-proof")
    same = ("claim", "kind", "id", "version", "leaf", "log", "entry", "tenant")
    assert [old[name] for name in same] == [new[name] for name in same]
    assert new["erased"] == [{"field": "passport", "leaf": place.leaf}]
    assert (old["newest"], new["newest"]) == (None, {"version": 1, "size": place.leaf + 1})
    assert f"erased at leaf {place.leaf}" in (place.folder / "new.html").read_text()
    printed = place.renew("old.tlog-proof")
    assert printed.stdout.startswith("c2sp.org/tlog-proof@v1\n")
    assert json.loads(place.renew("old.tlog-proof", "--json").stdout)["erased"] == [
        {"field": "passport", "leaf": place.leaf, "unsigned": None}
    ]


@pytest.mark.parametrize("setting", ["", "nowhere/log.key", "shared.key", "exec:/bin/false"])
def test_without_the_key_of_the_log_it_is_told_beside_the_receipt(place: Place, setting: str) -> None:
    shared = place.folder / "shared.key"
    shared.write_text((place.folder / "log.key").read_text())
    shared.chmod(0o644)
    for given in (
        place.issue("--out", "without", AVOW_LOG_KEY=setting),
        place.renew("old.tlog-proof", "--out", "without", AVOW_LOG_KEY=setting),
    ):
        why = "the receipt doesn't say so: the key of its log isn't at hand here"
        assert given.returncode == 0, given.stderr
        assert given.stderr.endswith(f"erased at leaf {place.leaf} ({why}): passport\n")
        assert place.verified("without")["erased"] == []
    told = json.loads(place.issue("--json", AVOW_LOG_KEY=setting).stdout)["erased"]
    assert told == [{"field": "passport", "leaf": place.leaf, "unsigned": "no-key"}]


@pytest.mark.parametrize(
    ("file", "options", "code", "said"),
    [
        ("gone", [], 2, "error[usage] gone can't be read"),
        ("log.pub", [], 2, "error[usage] the receipt is INVALID: not a receipt"),
        ("forged", [], 2, "error[usage] the receipt is INVALID: "),
        ("old.tlog-proof", ["--tenant", "other"], 2, "error[usage] the receipt is of the tenant main"),
        ("old.tlog-proof", ["--role", "desk"], 2, "error[usage] --role says nothing without --as"),
        ("old.tlog-proof", ["--as", "eve"], 1, "error[not-found]"),
    ],
)
def test_what_is_not_renewed_is_said(
    place: Place, file: str, options: list[str], code: int, said: str
) -> None:
    old = (place.folder / "old.tlog-proof").read_bytes()
    (place.folder / "forged").write_bytes(old.replace(b"\nindex 0", b"\nindex 1"))
    done = place.renew(file, *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said), done.stderr


def test_who_may_read_the_record_has_it_renewed(place: Place) -> None:
    assert place.renew("old.tlog-proof", "--as", "dora", "--role", "desk").returncode == 0


def test_the_receipt_of_another_application_is_named(place: Place, databases: Databases) -> None:
    made = databases.make(other_app)
    enrollment = Path(__file__).resolve().parents[2] / "examples" / "enrollment"
    done = place.avow(
        "receipt", "renew", "old.tlog-proof", "--target", str(enrollment), AVOW_DATABASE_URL=made.admin_url
    )
    databases.drop(made)
    assert done.returncode == 2
    assert done.stderr.startswith("error[usage] the receipt is of the log clinic.avow/")
    assert "/1, which this database doesn't have" in done.stderr
