"""Does somebody get a running backend from one command, and does it stay up?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance import development
from tests.acceptance.command_line import avow
from tests.acceptance.development import ROOT, Development, alive, running, until

ENROLLMENT = ROOT / "examples" / "enrollment"
COURSE = {"title": "Logic", "seats": 1}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A working directory with a database that outlives each start."""
    made = Path(tempfile.mkdtemp(prefix="avow dev ü "))
    made.chmod(0o755)  # as root, the database server runs under another account
    yield made
    development.destroy(made)
    shutil.rmtree(made)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A copy of the example that a test may edit."""
    return Path(shutil.copytree(ENROLLMENT, tmp_path / "enrollment"))


@pytest.fixture(scope="module")
def dev(folder: Path) -> Iterator[Development]:
    """One for the tests up to the one that ends it: what is killed of it is there again after each."""
    with running(ENROLLMENT, folder) as started:
        yield started


def test_one_line_tells_a_program_everything_it_needs(dev: Development) -> None:
    assert set(dev.tokens) == {"dean", "registrar", "user"}
    assert dev.database.startswith("postgresql://")
    status, course = dev.request("POST", "/courses", "registrar", COURSE, "k1")
    assert (status, course["taken"]) == (201, 0)
    assert dev.request("GET", f"/courses/{course['id']}", "user")[1] == course


def test_a_killed_server_is_started_again_and_nothing_acknowledged_is_lost(dev: Development) -> None:
    before = dev.request("POST", "/courses", "registrar", COURSE, "before-the-kill")
    killed = dev.server_pid()
    os.kill(killed, signal.SIGKILL)
    until(lambda: not alive(killed), "the server is gone")
    until(dev.ready, "the server is there again")
    assert dev.server_pid() != killed
    assert dev.request("POST", "/courses", "registrar", COURSE, "before-the-kill") == before


def test_a_killed_database_is_started_again_and_nothing_acknowledged_is_lost(dev: Development) -> None:
    """Also where the server is killed with it, and can't start as long as there is no database."""
    before = dev.request("POST", "/courses", "registrar", COURSE, "database")
    postmaster = int((dev.home / "pg" / "postmaster.pid").read_text().split()[0])
    for killed in (postmaster, dev.server_pid()):
        os.kill(killed, signal.SIGKILL)
    until(lambda: repeated(dev, "database") == before, "the database is there again")


def repeated(dev: Development, key: str) -> tuple[int, object] | None:
    """The answer to the same request; None while nobody answers."""
    try:
        return dev.request("POST", "/courses", "registrar", COURSE, key)
    except (OSError, ValueError):
        return None


def test_two_starts_share_one_database(folder: Path, dev: Development) -> None:
    course = dev.request("POST", "/courses", "registrar", COURSE, "shared")[1]
    with running(ENROLLMENT, folder) as other:
        assert urlsplit(other.database).port == urlsplit(dev.database).port
        assert other.request("GET", f"/courses/{course['id']}", "user")[1] == course
    assert dev.ready()


def serve(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`avow serve` where it is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "avow.cli", "serve", str(ENROLLMENT), "--port", "0"],
        env={**os.environ, "AVOW_SECRET": "s" * 32, **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_serve_refuses_a_login_with_more_rights_than_the_application(dev: Development) -> None:
    refused = serve({"AVOW_DATABASE_URL": dev.database})
    assert refused.returncode == 3
    assert "is a superuser" in refused.stderr
    assert "IN ROLE enrollment_application" in refused.stderr


def test_ending_it_leaves_no_process_behind(dev: Development) -> None:
    server = dev.server_pid()
    assert development.end(dev.process) == 0
    assert not alive(server)


def test_a_killed_supervisor_takes_its_server_along_and_the_next_start_finds_the_data(folder: Path) -> None:
    with running(ENROLLMENT, folder) as first:
        course = first.request("POST", "/courses", "registrar", COURSE, "supervisor")[1]
        server = first.server_pid()
        first.process.kill()
        first.process.wait()
        until(lambda: not alive(server), "the server has ended with its supervisor")
    with running(ENROLLMENT, folder) as second:
        assert second.request("GET", f"/courses/{course['id']}", "user")[1] == course


@pytest.fixture
def hangs_up() -> Iterator[None]:
    """What is started hears of a closed terminal, also where the tests themselves would not (nohup)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangs_up")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "closed terminal"])
def test_ending_it_at_a_terminal_ends_its_server_and_its_database(
    folder: Path, signal_number: signal.Signals
) -> None:
    with running(ENROLLMENT, folder) as started:
        server = started.server_pid()
        database = int((started.home / "pg" / "postmaster.pid").read_text().split()[0])
        assert alive(database)
        started.process.send_signal(signal_number)
        assert started.process.wait(timeout=30) == 0
        assert not alive(server)
        assert not alive(database)


def test_a_changed_declaration_is_taken_over_and_a_broken_one_is_not(folder: Path, target: Path) -> None:
    source = target / "system.py"
    text = source.read_text()
    with running(target, folder) as dev:
        course = dev.request("POST", "/courses", "registrar", COURSE, "reload")[1]
        source.write_text(
            text.replace("title: str = field(max_length=200)", "title: str = field(max_length=100)")
        )
        until(lambda: "reloaded" in dev.said(), "the declaration is taken over")
        assert dev.request("POST", "/courses", "registrar", {**COURSE, "title": "x" * 101}, "long")[0] == 422
        source.write_text(text.replace("to=closed", "to=clsd"))
        until(lambda: "wasn't taken over" in dev.said(), "the broken declaration is refused")
        assert "clsd" in dev.said()
        assert dev.request("GET", f"/courses/{course['id']}", "user")[1] == course
    source.write_text(text)
    with running(target, folder):
        pass


def test_a_declaration_that_breaks_between_check_and_start_is_served_once_it_is_mended(
    folder: Path, target: Path
) -> None:
    """As an editor leaves it that saves twice; also when the server that still ran is then killed."""
    source = target / "system.py"
    text = source.read_text()
    with running(target, folder) as dev:
        broken = "import sys\nassert 'server_process' not in sys.argv[0], 'half saved'\n" + text
        source.write_text(broken)
        until(lambda: "can't be served as it is now" in dev.said(), "the server doesn't start")
        assert "half saved" in dev.said()
        source.write_text(text)
        until(lambda: "reloaded" in dev.said(), "the mended declaration is taken over")
        assert dev.request("GET", "/courses", "user")[0] == 200
        source.write_text(text.replace("to=closed", "to=clsd"))
        until(lambda: "wasn't taken over" in dev.said(), "the broken declaration is refused")
        os.kill(dev.server_pid(), signal.SIGKILL)
        until(lambda: dev.said().count("can't be served") == 2, "starting it again is given up")
        source.write_text(text)
        until(dev.ready, "the mended declaration is served")


def test_a_declaration_whose_import_never_ends_holds_up_neither_the_next_change_nor_the_end(
    folder: Path, target: Path
) -> None:
    source = target / "system.py"
    text = source.read_text()
    began = target / "began"
    endless = f"open({str(began)!r}, 'w').close()\nwhile True: pass\n"
    with running(target, folder) as dev:
        for mended in (True, False):
            source.write_text(endless + text)
            until(began.exists, "the import has begun")
            began.unlink()
            assert dev.request("GET", "/courses", "user")[0] == 200
            if mended:
                source.write_text(text)
                until(lambda: "reloaded" in dev.said(), "the mended declaration is taken over")
        assert development.end(dev.process) == 0


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/below"])
def test_a_home_that_cannot_be_written_is_named(home: str) -> None:
    """Also where the database is another's: development keeps its secrets there."""
    for url in ("", "postgresql://x@127.0.0.1:1/x"):
        refused = avow(
            "dev", str(ENROLLMENT), "--port", "0", environment={"AVOW_HOME": home, "AVOW_DATABASE_URL": url}
        )
        assert (refused.returncode, refused.stdout) == (3, "")
        assert f"error[home-unwritable] {home} can't be written" in refused.stderr


def test_a_port_that_cannot_be_is_a_wrong_address() -> None:
    refused = avow(
        "verify", str(ENROLLMENT), environment={"AVOW_DATABASE_URL": "postgresql://x@127.0.0.1:99999/x"}
    )
    assert refused.returncode == 3
    assert "Check AVOW_DATABASE_URL" in refused.stderr


def test_serve_names_the_setting_that_is_missing() -> None:
    refused = serve({"AVOW_DATABASE_URL": ""})
    assert (refused.returncode, "AVOW_DATABASE_URL" in refused.stderr) == (2, True)
    refused = serve({"AVOW_DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "AVOW_SECRET": "short"})
    assert (refused.returncode, "AVOW_SECRET" in refused.stderr) == (2, True)
