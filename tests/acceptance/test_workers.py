"""Several server processes behind one address: one that dies is replaced, and they end together."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from avow.api.authentication import DEVELOPMENT_ISSUER
from avow.api.bearer import development_token
from tests.acceptance import development
from tests.acceptance.development import ROOT, alive, running, until

ENROLLMENT = ROOT / "examples" / "enrollment"
END_S_MAX = 60


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a database with the tables, under the application's own login; it serves until the end."""
    folder = Path(tempfile.mkdtemp(prefix="avow workers "))
    folder.chmod(0o755)  # as root, the database server runs under another account
    with running(ENROLLMENT, folder) as dev:
        name = "enrollment_dev"
        password = next(folder.rglob(f"{name}.password")).read_text().strip()
        parts = urlsplit(dev.database)
        where = parts.netloc.rpartition("@")[2]
        yield urlunsplit(parts._replace(netloc=f"{name}:{quote(password)}@{where}"))
    development.destroy(folder)
    shutil.rmtree(folder)


class Parent:
    """A running `avow serve --workers`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log
        self.url = ""

    def children(self) -> set[int]:
        """The processes that serve."""
        return set(development.servers_of(self.process.pid))

    def get(self, path: str, credential: str = "") -> int:
        """The status of a GET on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=END_S_MAX)
        try:
            connection.request("GET", path, headers={"Authorization": credential} if credential else {})
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def workers(database: str, log: Path, count: int) -> Generator[Parent]:
    """Serve with so many processes; whatever still runs is killed at the end."""
    command = [sys.executable, "-m", "avow.cli", "serve", str(ENROLLMENT), "--port", "0", "--json"]
    environment = {**os.environ, "AVOW_DATABASE_URL": database, "AVOW_SECRET": secrets.token_hex(32)}
    with (
        log.open("w") as talk,
        subprocess.Popen(
            [*command, "--workers", str(count)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
        ) as process,
    ):
        parent = Parent(process, log)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, log.read_text()
            parent.url = json.loads(line)["url"]
            yield parent
        finally:
            process.kill()


def test_all_processes_serve_before_it_says_so_and_end_with_it(database: str, tmp_path: Path) -> None:
    """SIGTERM to the parent is enough; it is a success."""
    with workers(database, tmp_path / "log", 2) as parent:
        children = parent.children()
        assert len(children) == 2
        assert {parent.get("/readyz") for _ in range(10)} == {200}
        parent.process.send_signal(signal.SIGTERM)
        assert parent.process.wait(END_S_MAX) == 0
        assert not any(map(alive, children))


def test_a_process_that_dies_is_replaced_while_the_other_serves(database: str, tmp_path: Path) -> None:
    with workers(database, tmp_path / "log", 2) as parent:
        killed, kept = sorted(parent.children())
        os.kill(killed, signal.SIGKILL)
        assert {parent.get("/readyz") for _ in range(10)} <= {200}
        until(lambda: len(parent.children() - {killed}) == 2, "the process is replaced")
        assert kept in parent.children()
        assert "ended with -9; starting it again" in parent.log.read_text()


def test_processes_end_with_a_parent_that_was_killed(database: str, tmp_path: Path) -> None:
    with workers(database, tmp_path / "log", 2) as parent:
        children = parent.children()
        parent.process.kill()
        until(lambda: not any(map(alive, children)), "the processes have ended")


def test_processes_that_keep_dying_are_given_up(database: str, tmp_path: Path) -> None:
    with workers(database, tmp_path / "log", 2) as parent:

        def ended() -> bool:
            for child in parent.children():
                os.kill(child, signal.SIGKILL)
            return parent.process.poll() is not None

        until(ended, "it gives up")
        assert parent.process.returncode == 3
        assert parent.process.stdout is not None
        assert "keep dying" in json.loads(parent.process.stdout.read())["error"]["detail"]
        assert not parent.children()


def test_no_process_believes_a_development_token(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where AVOW_DEVELOPMENT_SECRET is set."""
    secret = b"d" * 32
    monkeypatch.setenv("AVOW_DEVELOPMENT_SECRET", secret.hex())
    token = development_token(DEVELOPMENT_ISSUER, secret, "ann", frozenset(), int(time.time()), 600, "main")
    with workers(database, tmp_path / "log", 2) as parent:
        assert parent.get("/courses") == 401
        assert parent.get("/courses", f"Bearer {token}") == 401
