"""Does somebody get a receipt at a terminal, and does a stranger believe it without our database?"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from avow.evidence import verifier
from avow.testing.databases import Databases
from examples.enrollment.system import app
from tests.acceptance.running import run_here
from tests.acting import acting
from tests.fix_database import Database
from tests.store.sealed import sealing

TARGET = Path(__file__).resolve().parents[2] / "examples" / "enrollment"


@dataclass(frozen=True)
class Place:
    """A database with a sealed and an unsealed record, its log's key beside it, and a way to ask."""

    made: Database
    folder: Path
    course: UUID
    enrollment: UUID
    later: UUID

    def avow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command, with the key of the log; in this process, as starting one each costs most."""
        return run_here(self.made, self.folder, "receipt", *arguments, **environment)

    def issue(self, claim: str, *arguments: str, of: str = "") -> subprocess.CompletedProcess[str]:
        """Ask for a receipt, of the sealed enrollment where nothing else is said."""
        record = of or f"enrollments/{self.enrollment}"
        return self.avow("issue", record, claim, "--target", str(TARGET), *arguments)


@pytest.fixture(scope="module")
def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made, folder = databases.make(app), tmp_path_factory.mktemp("log")

    async def fill() -> tuple[UUID, UUID, UUID]:
        async with acting(made) as act, sealing(made, folder) as log:
            course = await act.do(
                "Course", "announce", None, {"title": "Greek", "seats": 3}, "rita", "registrar"
            )
            enrollment = await act.do("Enrollment", "start", None, {"course": course}, "stu")
            await act.do("Enrollment", "submit", enrollment, {"essay": "because"}, "stu")
            await log.seal()
            later = await act.do("Enrollment", "start", None, {"course": course}, "sue")
            return course, enrollment, later

    yield Place(made, folder, *asyncio.run(fill()))
    databases.drop(made)


def test_a_receipt_is_issued_and_a_stranger_believes_it(place: Place) -> None:
    done = place.issue("state = submitted", "--out", "a.tlog-proof", "--page", "a.html")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == "of version 2; witnessed by: nobody\n"
    shown = place.avow("verify", "a.tlog-proof", "--key", "log.pub", AVOW_DATABASE_URL="", AVOW_LOG_KEY="")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[:3] == [
        "VALID",
        "state = submitted",
        f"Enrollment {place.enrollment} of enrollment, tenant main",
    ]
    assert lines[3].startswith("happened at version 2, sealed at 20")
    assert lines[3].endswith("; later versions may exist")
    assert lines[6:] == ["witnessed by: nobody"]
    assert "state = submitted" in (place.folder / "a.html").read_text()


def test_the_verifier_runs_where_nothing_else_of_avow_is(place: Place, tmp_path: Path) -> None:
    """Copied alone to another machine; only `cryptography` is there beside Python."""
    assert place.issue("state = submitted", "--out", str(tmp_path / "b")).returncode == 0
    shutil.copytree(Path(verifier.__file__).parent, tmp_path / "avow" / "evidence" / "verifier")
    told = "print(*(name for name in sys.modules if name.startswith('avow')), file=sys.stderr)"
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"from avow.evidence.verifier.__main__ import main\ncode = main(sys.argv[1:])\n{told}\nsys.exit(code)"
    )
    receipt = (tmp_path / "b").read_bytes()
    for data, code in [(receipt, 0), (receipt[:-9] + b"AAAAAAA=\n", 1)]:
        (tmp_path / "c").write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-I", "-c", program, tmp_path / "c", "--key", place.folder / "log.pub"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout.startswith("VALID" if code == 0 else "INVALID: ")
        loaded = {name for name in done.stderr.split() if not name.startswith("avow.evidence.verifier")}
        assert loaded == {"avow", "avow.evidence"}


@pytest.mark.parametrize(
    ("claim", "of", "code", "said"),
    [
        ("state = approved", "", 1, "error[claim-unproved] No entry of the record makes the claim true"),
        ("state = sold", "", 1, "error[claim-unproved] Enrollment has no such state; there are: "),
        ("seats = 3", "", 1, "error[claim-unproved] Enrollment has no field seats; there are: "),
        (
            "state captured",
            "",
            1,
            "error[input-invalid] The claim can't be read: it is made of conditions such as",
        ),
        ("applicant = stu & state = submitted", "", 1, "error[claim-unproved]"),
        ("state = draft", "later", 1, "error[not-sealed]"),
        ("state = draft", f"enrollments/{UUID(int=7)}", 1, "error[not-found]"),
        ("state = draft", "things/1", 2, "error[usage]"),
    ],
)
def test_what_cannot_be_shown_is_said(place: Place, claim: str, of: str, code: int, said: str) -> None:
    record = f"enrollments/{place.later}" if of == "later" else of
    done = place.issue(claim, "--wait-s", "0", of=record)
    assert done.returncode == code
    assert done.stderr.startswith(said), done.stderr
    assert done.stdout == ""


def test_values_are_read_as_their_fields_have_them(place: Place) -> None:
    for claim, written in [
        ("seats>2 & title='Greek'", "seats > 2 & title = Greek"),
        ("seats = 3", "seats = 3"),
    ]:
        done = place.issue(claim, "--json", of=f"courses/{place.course}")
        assert json.loads(done.stdout)["claim"] == written, done.stderr
    done = place.issue("seats = three", of=f"courses/{place.course}")
    assert "seats must be an integer" in done.stderr


def test_an_older_version_is_asked_for_by_its_number(place: Place) -> None:
    done = place.issue("state = draft", "--json")
    assert json.loads(done.stdout)["version"] == 1, done.stderr
    assert place.issue("state = submitted", "--version", "1").stderr.startswith(
        "error[claim-unproved] Version 1 says otherwise."
    )
    assert "Version 2 didn't set applicant" in place.issue("applicant = stu", "--version", "2").stderr


def test_the_log_says_which_version_is_the_newest(place: Place) -> None:
    place.issue("state = draft", "--current", "--out", "d.tlog-proof")
    done = place.avow("verify", "d.tlog-proof", "--key", "log.pub", "--json")
    told = json.loads(done.stdout)
    assert (told["version"], told["newest"]["version"], told["witnesses"]) == (1, 2, [])
    without = place.avow(
        "issue", f"enrollments/{place.enrollment}", "state = draft", "--target", str(TARGET), "--current",
        AVOW_LOG_KEY="",
    )  # fmt: skip
    assert without.stderr.startswith("error[usage] --current needs the key of the log")


def test_a_damaged_receipt_is_invalid_and_a_wrong_key_is_another_answer(place: Place) -> None:
    place.issue("state = submitted", "--out", "e.tlog-proof")
    file = place.folder / "e.tlog-proof"
    file.write_bytes(file.read_bytes().replace(b"\nindex 2", b"\nindex 1"))
    done = place.avow("verify", "e.tlog-proof", "--key", "log.pub")
    assert (done.returncode, done.stdout[:9]) == (1, "INVALID: ")
    told = json.loads(place.avow("verify", "e.tlog-proof", "--key", "log.pub", "--json").stdout)
    assert told["valid"] is False
    for arguments, said in [
        ([], "it isn't said which log is believed"),
        (["--key", "e.tlog-proof"], "not a verifier key"),
        (["--key", "gone.pub"], "gone.pub can't be read"),
        (["--policy", "log.pub"], "line 1 of the policy"),
    ]:
        done = place.avow("verify", "e.tlog-proof", *arguments)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_page_is_made_of_a_valid_receipt_alone(place: Place) -> None:
    place.issue("state = submitted", "--out", "f.tlog-proof")
    assert place.avow("page", "f.tlog-proof", "f.html", "--key", "log.pub").returncode == 0
    file = place.folder / "f.tlog-proof"
    file.write_bytes(file.read_bytes().replace(b"\nindex 2", b"\nindex 1"))
    done = place.avow("page", "f.tlog-proof", "g.html", "--key", "log.pub")
    assert (done.returncode, (place.folder / "g.html").exists()) == (2, False)
